"""`harness leaderboard --format`: what is printed is what stands in the file of that name."""

import shutil
from pathlib import Path

import pytest

REFERENCE = sorted(
    path.parent.parent
    for path in (Path(__file__).parents[2] / "results" / "reference").glob("*/plans/latest")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Path(
        shutil.copytree(REFERENCE[0], tmp_path_factory.mktemp("results") / REFERENCE[0].name, symlinks=True)
    )


@pytest.mark.parametrize(
    ("form", "ending"),
    [("markdown", "md"), ("latex", "tex"), ("csv", "csv"), ("json", "json"), ("html", "html")],
)
def test_a_format_prints_its_file(harness, folder, form, ending):
    done = harness("leaderboard", folder, "--format", form)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / f"leaderboard.{ending}").read_text()
    assert not done.torch


def test_the_model_index_is_front_matter(harness, folder):
    done = harness("leaderboard", folder, "--format", "model-index")
    assert done.stdout.startswith("---\nmodel-index:\n- name: ") and done.stdout.endswith("---\n")


def test_another_format_is_refused(harness, folder):
    assert harness("leaderboard", folder, "--format", "pdf").returncode == 2


def test_the_model_index_of_one_arm(harness, folder):
    whole = harness("leaderboard", folder, "--format", "model-index").stdout
    second = "---" + whole.split("---\n")[2].join(["\n", "---\n"])
    name = second.partition("- name: ")[2].splitlines()[0].strip('"')
    done = harness("leaderboard", folder, "--format", "model-index", "--arm", name)
    assert done.returncode == 0 and done.stdout == second
    wrong = harness("leaderboard", folder, "--format", "model-index", "--arm", name + "x")
    assert wrong.returncode == 2 and f'did you mean "{name}"?' in wrong.stderr and not wrong.stdout
    alone = harness("leaderboard", folder, "--arm", name)
    assert alone.returncode == 2 and "--format model-index" in alone.stderr

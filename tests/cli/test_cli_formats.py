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

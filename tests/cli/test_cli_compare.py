"""`harness compare` from the command line: two folders, three forms, and a suite at two commits."""

import json
import shutil
import subprocess

import pytest

from harness.record.plans import plan_hash
from harness.record.store import Store


@pytest.fixture(scope="module")
def folders(made_results, tmp_path_factory):
    """Return a folder with two results of one suite, the second under another seed."""
    folder = tmp_path_factory.mktemp("compare")
    made_results(folder / "a" / "s", (0, 1))
    made_results(folder / "b" / "s", (0, 1), seed=7, points=0.5)
    (folder / "suite.toml").write_text("")
    return folder


def test_two_folders_are_compared_arm_by_arm(folders, harness):
    done = harness("compare", "a/s", "b/s", cwd=folders)
    assert done.returncode == 0, done.stderr
    assert not done.torch
    for words in (
        "a/s (suite s",
        "plain",
        "mixup",
        "no verdict: with 2 and 2 replicates",
        "Holm over 2 arms",
    ):
        assert words in done.stdout
    same = json.loads(harness("compare", "a/s", "a/s", "--json", cwd=folders).stdout)
    assert [row["accuracy"]["bit_equal"] for row in same["arms"]] == [{"equal": 2, "of": 2}] * 2
    assert [row["accuracy"]["difference"]["mean"] for row in same["arms"]] == [0.0, 0.0]
    markdown = harness("compare", "a/s", "b/s", "--format", "markdown", cwd=folders).stdout
    assert len([line for line in markdown.splitlines() if line.startswith("|")]) == 4


def test_comparing_writes_nothing(folders, harness, tmp_path):
    shutil.copytree(folders / "a", tmp_path / "a")
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    harness("compare", "a/s", "a/s", cwd=tmp_path)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("a/s",), 2, "give one of"),
        (("a/s", "b/s", "--base", "main"), 2, "give one of"),
        (("a/s", "b/s", "b/s"), 2, "give one of"),
        (("a/s", "missing"), 2, "missing: is not there"),
        (("a/s", "suite.toml"), 2, "suite.toml: is a file"),
        (("a/s", "b/s", "--format", "pdf"), 2, "'terminal', 'markdown', 'json'"),
        (("a/s", "empty"), 3, "holds no plan"),
    ],
)
def test_what_cannot_be_compared_is_refused(folders, harness, arguments, code, words):
    (folders / "empty").mkdir(exist_ok=True)
    done = harness("compare", *arguments, cwd=folders)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_nothing_comparable_exits_with_three(folders, harness, tmp_path):
    store = Store(folders / "a" / "s")
    plan = store.read_plan()
    other = Store(tmp_path / "other" / "s")
    plan = {**plan, "margin_points": 0.5}
    other.write_plan({**plan, "hash": plan_hash(plan)})
    done = harness("compare", "a/s", tmp_path / "other" / "s", cwd=folders)
    assert done.returncode == 3, done.stderr
    assert "no result on the candidate's side" in done.stdout


@pytest.mark.slow
def test_a_suite_is_run_at_two_commits_and_compared(harness, suite_text, tmp_path):
    def git(*arguments):
        names = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    suite = tmp_path / "tiny.toml"
    suite.write_text(suite_text.replace("rounds = 1", "rounds = 0"))
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    suite.write_text(suite.read_text().replace("lr = 0.1", "lr = 0.2"))
    done = harness("compare", "tiny.toml", "--base", "HEAD", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["arm"] for row in report["arms"]] == ["plain", "smooth"]
    assert report["arms"][0]["changed"] == ["optimizer[0].params.lr is 0.1 there, 0.2 here"]
    assert report["arms"][0]["accuracy"]["bit_equal"] == {"equal": 0, "of": 1}
    assert report["base"]["label"].startswith("HEAD (")
    assert report["candidate"]["label"].startswith("working tree (")
    assert len(list((tmp_path / "results" / "compare").glob("*/tiny/plans"))) == 2
    again = harness("compare", "tiny.toml", "--base", "HEAD", "--json", cwd=tmp_path)
    assert json.loads(again.stdout) == report
    assert again.stderr.count("0 trials run, 2 had a record") == 2

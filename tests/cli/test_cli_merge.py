"""`harness merge` from the command line: what it says, what it exits with, and that a dry run writes nothing."""

import json

import pytest

from harness.record.record import canonical, seal


def test_halves_are_joined_and_the_leaderboard_is_whole(harness, made_results, tmp_path):
    made_results(tmp_path / "a" / "s", (0, 1))
    made_results(tmp_path / "b" / "s", (2, 3))
    dry = harness("merge", "a/s", "b/s", "--dry-run", cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr
    assert "b/s: 4 trials, 0 timings would be copied" in dry.stdout
    assert len(list((tmp_path / "a" / "s" / "trials").iterdir())) == 4
    done = harness("merge", "a/s", "b/s", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.torch
    assert "b/s: 4 trials, 0 timings copied" in done.stdout
    assert "harness leaderboard a/s" in done.stdout
    board = json.loads(harness("leaderboard", "a/s", "--json", cwd=tmp_path).stdout)
    assert {row["replicates"]["good"] for row in board["rows"]} == {4}
    again = json.loads(harness("merge", "a/s", "b/s", "--json", cwd=tmp_path).stdout)
    assert again["from"][0]["present"]["trials"] == 4
    assert again["from"][0]["copied"]["trials"] == 0


def test_damaged_files_are_named_on_the_error_stream(harness, made_results, tmp_path):
    made_results(tmp_path / "a" / "s", (0,))
    made_results(tmp_path / "b" / "s", (1,))
    path = tmp_path / "b" / "s" / "trials" / "plain0.1-1" / "0.json"
    path.write_bytes(path.read_bytes()[:-7])
    done = harness("merge", "a/s", "b/s", cwd=tmp_path)
    assert done.returncode == 0
    assert "1 damaged files left" in done.stdout
    assert "left: b/s: trials/plain0.1-1/0.json" in done.stderr


def test_records_that_contradict_the_plan_are_counted_and_named(harness, made_results, tmp_path):
    made_results(tmp_path / "a" / "s", (0,))
    made_results(tmp_path / "b" / "s", (1,))
    path = tmp_path / "b" / "s" / "trials" / "plain0.1-1" / "0.json"
    record = json.loads(path.read_bytes())
    del record["content_hash"]
    path.write_bytes(canonical(seal({**record, "suite": "t"})))
    done = harness("merge", "a/s", "b/s", cwd=tmp_path)
    assert done.returncode == 0
    assert "b/s: 1 trials, 0 timings copied; 1 records that contradict the plan left" in done.stdout
    reason = "of another suite: it says 't', the plan 's'"
    assert f"left: b/s: trials/plain0.1-1/0.json: {reason}" in done.stderr
    (path.parents[1] / "mixup0.1-1" / "0.json").unlink()
    assert harness("merge", "a/s", "b/s", cwd=tmp_path).returncode == 3  # nothing else is there


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("a/s", "other/s"), 2, "arm plain: alpha is 0.1 there, 0.4 here"),
        (("a/s", "a/s"), 2, "itself"),
        (("a/s", "missing/s"), 2, "holds no plan"),
        (("a/s", "none/s"), 3, ""),
        (("a/s",), 2, "FROM"),
    ],
)
def test_what_cannot_be_merged_is_refused(harness, made_results, tmp_path, arguments, code, words):
    made_results(tmp_path / "a" / "s", (0,))
    made_results(tmp_path / "none" / "s", ())
    made_results(tmp_path / "other" / "s", (1,), alpha=0.4)
    done = harness("merge", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr
    assert len(list((tmp_path / "a" / "s" / "trials").iterdir())) == 2


def test_trials_that_are_not_in_the_plan_are_told_as_what_they_are(harness, made_results, tmp_path):
    made_results(tmp_path / "a" / "s", (0,))
    made_results(tmp_path / "b" / "s", (1,))
    (tmp_path / "b" / "s" / "trials" / "plain0.1-1").rename(tmp_path / "b" / "s" / "trials" / "other0.1-1")
    done = harness("merge", "a/s", "b/s", "--dry-run", cwd=tmp_path)
    assert "; 1 trials left, of arms or replicates that are not in the plan" in done.stdout

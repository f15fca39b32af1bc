"""`harness merge` from the command line: what it says, what it exits with, and that a dry run writes nothing."""

import json

import pytest

from harness.record.record import dead_outcome, trial_record
from harness.record.store import Store


def make(folder, replicates, *, alpha=0.1):
    """Write a results folder of a suite of two arms, with these replicates of them."""
    store = Store(folder)
    arms = ("plain", "mixup")
    plan = {
        "schema": 1,
        "protocol": 1,
        "hash": f"{alpha}".replace(".", "").rjust(8, "0"),
        "suite": "s",
        "seed": 0,
        "replicates": 4,
        "baseline": "plain",
        "alpha": 0.05,
        "margin_points": 0.1,
        "equal_margin_points": 0.1,
        "verdicts": False,
        "verdicts_reason": "few",
        "timing": {"rounds": 0, "seconds": 1.0},
        "arms": [
            {
                "name": arm,
                "recipe": {"batch_size": 32, "alpha": alpha},
                "components": [],
                "varies": [],
                "data": "m",
                "failure": None,
            }
            for arm in arms
        ],
        "manifests": {"m": {"hash": "m", "dataset": "d", "classes": 10, "splits": {"test": {"count": 100}}}},
        "trials": [{"id": f"{arm}{alpha}-{r}", "arm": arm, "replicate": r} for r in range(4) for arm in arms],
        "plugins": [],
    }
    store.write_plan(plan)
    for trial in plan["trials"]:
        if trial["replicate"] in replicates:
            heading = {"protocol": 1, "suite": "s", "plan": plan["hash"], "attempt": 0}
            heading |= {"trial": trial["id"], "arm": trial["arm"], "replicate": trial["replicate"]}
            results = {
                "test": {"count": 100, "top1": 90.0 + trial["replicate"], "nll": 0.3},
                "validation": None,
            }
            store.write_trial(
                trial_record(
                    {**dead_outcome("completed", None), "results": results},
                    heading=heading,
                    refs={"host": None},
                    started_at="2026-01-01T00:00",
                    finished_at=f"2026-01-01T00:0{trial['replicate']}",
                )
            )
    return folder


def test_halves_are_joined_and_the_leaderboard_is_whole(harness, tmp_path):
    make(tmp_path / "a" / "s", (0, 1))
    make(tmp_path / "b" / "s", (2, 3))
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


def test_damaged_files_are_named_on_the_error_stream(harness, tmp_path):
    make(tmp_path / "a" / "s", (0,))
    make(tmp_path / "b" / "s", (1,))
    path = tmp_path / "b" / "s" / "trials" / "plain0.1-1" / "0.json"
    path.write_bytes(path.read_bytes()[:-7])
    done = harness("merge", "a/s", "b/s", cwd=tmp_path)
    assert done.returncode == 0
    assert "1 damaged files left" in done.stdout
    assert "left: b/s: trials/plain0.1-1/0.json" in done.stderr


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
def test_what_cannot_be_merged_is_refused(harness, tmp_path, arguments, code, words):
    make(tmp_path / "a" / "s", (0,))
    make(tmp_path / "none" / "s", ())
    make(tmp_path / "other" / "s", (1,), alpha=0.4)
    done = harness("merge", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr
    assert len(list((tmp_path / "a" / "s" / "trials").iterdir())) == 2

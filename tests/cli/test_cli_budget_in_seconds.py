"""A suite with a budget in seconds on the command line: its hours, a run, and a trial of it run again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.board.in_seconds import NOTE
from harness.cli.forecast import Cost, costs_of, evaluated_samples, memory_of, training_samples
from harness.record.record import seal, trial_record
from harness.record.store import Store
from harness.suite.expand import expand
from harness.suite.load import load
from harness.suite.plan import Plan

Json = dict[str, Any]

SUITE = """
schema = 1
name = "{name}"
replicates = 10
baseline = "plain"
[budget]
{budget}
[recipe]
dataset = {{ name = "digits", validation = 0.1 }}
backbone = {{ name = "simple-cnn", width = 8 }}
optimizer = {{ name = "sgd", lr = 0.1 }}
batch_size = 32
[arms.plain]
"""
MANIFEST = {
    "hash": "m" * 32,
    "classes": ["0"],
    "modalities": {"image": {"shape": [1, 8, 8]}},
    "splits": {"train": {"count": 1000}, "test": {"count": 500}},
}


def planned(folder: Path, name: str, budget: str) -> Plan:
    path = folder / f"{name}.toml"
    path.write_text(SUITE.format(name=name, budget=budget))
    suite = load(path)
    return expand(suite, dict.fromkeys(suite.arms, MANIFEST))


def stored(results: Path, plan: Plan, samples: int, train: float) -> None:
    """Write the record of a trial of 2 s of building, so many of training, and 1 s of all else."""
    trial = plan.trials[0]
    heading = {"protocol": 1, "suite": plan.suite, "plan": plan.hash, "trial": trial.id, "arm": trial.arm}
    record = trial_record(
        {
            "status": "completed",
            "results": {"test": {"top1": 90.0}},
            "seconds": {
                "total": 2 + train + 1,
                "build": 2.0,
                "compile": None,
                "warm_up": None,
                "train": train,
            },
            "budget": {"samples": samples},
            "memory": {},
        },
        heading={**heading, "replicate": trial.replicate, "attempt": 0},
        refs={},
        started_at="2026-01-01T00:00:00+00:00",
        finished_at="2026-01-01T00:00:01+00:00",
    )
    store = Store(results / plan.suite)
    store.write_plan(plan.to_json())
    store.write_trial(record)


def test_hours_go_with_the_training_seconds_of_a_like_arm(tmp_path: Path) -> None:
    results = tmp_path / "results"
    stored(results, planned(tmp_path, "epochs", "epochs = 2"), 1800, 10.0)
    cost = costs_of(planned(tmp_path, "timed", "seconds = 60"), {}, results)["plain"]
    # Building stays; eleven seconds for ten of training become sixty-six for sixty.
    assert cost.seconds == pytest.approx(2 + 66) and cost.source == "like"
    assert "by training seconds" in cost.told


def test_hours_of_another_unit_go_with_the_samples_that_a_timed_arm_saw(tmp_path: Path) -> None:
    results = tmp_path / "results"
    stored(results, planned(tmp_path, "timed", "seconds = 60"), 9000, 60.0)
    cost = costs_of(planned(tmp_path, "epochs", "epochs = 20"), {}, results)["plain"]
    # 20 epochs of 900 samples are twice the 9,000 of those sixty seconds.
    assert cost.seconds == pytest.approx(2 + 2 * 61) and cost.source == "like"


def test_an_arm_of_the_same_suite_in_another_unit_goes_with_them_too(tmp_path: Path) -> None:
    both = 'seconds = 60\n[arms.long]\nvaries = ["budget"]\nbudget = { epochs = 20 }'
    plan = planned(tmp_path, "both", both)
    trial = next(trial for trial in plan.trials if trial.arm == "plain")
    stored(tmp_path / "results", replace(plan, trials=(trial,)), 9000, 60.0)
    record = Store(tmp_path / "results" / "both").good(trial.id)
    assert record is not None
    cost = costs_of(plan, {trial.id: record}, tmp_path / "none")["long"]
    assert cost.seconds == pytest.approx(2 + 2 * 61) and "arm plain" in cost.told


def test_another_precision_tells_nothing(tmp_path: Path) -> None:
    """The backbone and the images are the same, and a step costs something else altogether."""
    results = tmp_path / "results"
    stored(
        results, planned(tmp_path, "double", 'epochs = 2\n[recipe.numerics]\nprecision = "bf16"'), 1800, 10.0
    )
    assert costs_of(planned(tmp_path, "single", "epochs = 2"), {}, results) == {}


def test_the_memory_of_a_run_is_that_of_its_largest_trial() -> None:
    small, large = (Cost(1.0, size * 1e8, size * 1e9, "records", "its own") for size in (1, 3))
    unmeasured = Cost(1.0, None, None, "budget", "nobody's")
    for costs in ([small, large, unmeasured], [unmeasured, large, small]):
        assert memory_of(dict(zip("abc", costs, strict=True))) == {"host_bytes": 3e8, "device_bytes": 3e9}


def test_without_a_like_arm_the_budget_itself_is_known(tmp_path: Path) -> None:
    plan = planned(tmp_path, "timed", "seconds = 60")
    cost = costs_of(plan, {}, tmp_path / "none")["plain"]
    assert (cost.seconds, cost.source) == (60.0, "budget")
    # A probe knows how fast it is: at 300 images a second it sees 18,000, twenty epochs of 900.
    assert training_samples(plan, plan.arm("plain"), 300.0) == 18_000
    assert evaluated_samples(plan, plan.arm("plain"), 300.0) == 500 + 20 * 100


@pytest.fixture(scope="module")
def finished(harness: Any, suite_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seconds")
    (folder / "tiny.toml").write_text(suite_text.replace("epochs = 1", "seconds = 0.2"))
    done = harness("run", "tiny.toml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def record_of(folder: Path, arm: str) -> Json:
    found = (orjson.loads(path.read_bytes()) for path in (folder / "results/tiny/trials").glob("*/0.json"))
    return next(record for record in found if record["arm"] == arm)


def test_a_run_says_on_its_board_what_the_budget_means(finished: Path) -> None:
    board = json.loads((finished / "results/tiny/leaderboard.json").read_text())
    assert NOTE in board["stamps"]
    for row in board["rows"]:
        told = record_of(finished, row["arm"])["budget"]
        assert told["seconds"]["asked"] == 0.2 and told["steps"] == told["seconds"]["total_steps"]
        assert row["trained_epochs"]["median"] == told["epochs"]
        assert any(stamp.startswith("0.2 s of training: ") for stamp in row["stamps"])
    assert NOTE in (finished / "results/tiny/leaderboard.md").read_text()


def test_plan_and_check_say_it_before_anything_runs(finished: Path, harness: Any) -> None:
    done = harness("plan", "tiny.toml", "--results", "none", cwd=finished)
    assert done.returncode == 0 and NOTE in done.stdout
    done = harness("check", "tiny.toml", cwd=finished)
    assert done.returncode == 0 and NOTE in done.stderr


def test_reproduce_takes_as_many_steps_as_the_record(finished: Path, harness: Any) -> None:
    record = record_of(finished, "smooth")
    done = harness("reproduce", record["trial"], "--run", cwd=finished)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"0.2 s of training, which came to {record['budget']['steps']:,} steps" in done.stdout
    assert "equal bit for bit: weights, outputs and accuracy" in done.stdout


def test_reproduce_says_that_it_cannot_where_no_record_tells_the_steps(
    finished: Path, harness: Any, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(finished / "results", tmp_path / "results")
    record = record_of(tmp_path, "plain")
    record["budget"]["seconds"] = None
    path = tmp_path / "results/tiny/trials" / record["trial"] / "0.json"
    path.write_bytes(orjson.dumps(seal(record), option=orjson.OPT_SORT_KEYS))
    done = harness("reproduce", record["trial"], "--results", tmp_path / "results", "--run", cwd=finished)
    assert done.returncode == 2
    assert "no record says how many steps this trial took" in done.stderr


@pytest.mark.parametrize(
    ("budget", "samples"), [("steps = 100", 3200), ("samples = 5000", 5000), ("epochs = 3", 2700)]
)
def test_samples_of_a_budget_in_any_unit(budget: str, samples: int, tmp_path: Path) -> None:
    plan = planned(tmp_path, "any", budget)
    assert training_samples(plan, plan.arm("plain")) == samples
    # Judged at the end of each epoch of 900, by 100; once at the least, and by the 500 of the test at the end.
    assert evaluated_samples(plan, plan.arm("plain")) == pytest.approx(500 + 100 * max(1, samples / 900))


def test_a_budget_of_less_than_an_epoch_is_judged_once(tmp_path: Path) -> None:
    plan = planned(tmp_path, "short", "steps = 3")
    assert evaluated_samples(plan, plan.arm("plain")) == 600

"""What `harness plan` says of the timing pass and of the disk, on timings and records that are written by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.cli import timing_cost
from harness.cli.disk import disk_bytes, parameter_counts
from harness.cli.forecast import _by_arm, _cost
from harness.cli.resolution import resolution_lines, resolution_of
from harness.cli.timing_cost import TimingPass, round_seconds, rounds_left, timing_pass, timing_seconds
from harness.record.record import timing_record
from harness.record.store import Store
from harness.suite.expand import expand
from harness.suite.load import load

Json = dict[str, Any]


def of_resolution() -> ModuleType:
    """Return the maker of plans and records of the tests beside this one."""
    path = Path(__file__).parent / "test_cli_plan_resolution.py"
    spec = importlib.util.spec_from_file_location("plan_inputs", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = of_resolution()

MEASURED: Json = {
    "status": "completed",
    "images_per_second": 3200.0,
    "compute_images_per_second": 4000.0,
    "step_seconds": {"median": 0.01},
    "seconds": {
        "build": 1.0,
        "compile": None,
        "warmup": 0.5,
        "steady": 2.0,
        "compute": 1.0,
        "evaluate": 0.25,
    },
}
"""A step of 10 ms, of 8 ms alone: 40 of them take 0.4 s and 0.32 s."""
TEN_SECONDS = {"started_at": "2026-01-01T00:00:00+00:00", "finished_at": "2026-01-01T00:00:10+00:00"}


def timing(arm: str, number: int) -> Json:
    return {"arm": arm, "round": number, **MEASURED, **TEN_SECONDS}


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [
        # 10 s from start to record, 3 of them in windows; asked for 1 s, those are 1 s and half a second.
        ({**MEASURED, **TEN_SECONDS}, 1.0, 10 - 3 + 1.5),
        # Asked for less than 40 steps take, they are 40 steps.
        ({**MEASURED, **TEN_SECONDS}, 0.1, 10 - 3 + 0.4 + 0.32),
        ({**MEASURED, **TEN_SECONDS}, 7.0, 10 - 3 + 10.5),
        # A probe has no start and no end: its phases are 4.75 s.
        (MEASURED, 1.0, 4.75 - 3 + 1.5),
        # Taken three times, of 2 s each, it takes them three times again: asked for 1 s, three of those.
        ({**MEASURED, **TEN_SECONDS, "tries": [{}] * 3}, 1.0, 10 - 3 * 2 - 1 + 3 * 1 + 0.5),
        # How often a probe's short windows were noisy says nothing of longer ones.
        ({**MEASURED, "tries": [{}] * 3}, 1.0, 4.75 - 3 + 1.5),
        ({**MEASURED, "status": "oom"}, 1.0, None),
    ],
)
def test_what_a_round_takes(given: Json, asked: float, expected: float | None) -> None:
    assert round_seconds(given, asked) == (None if expected is None else pytest.approx(expected))


def test_the_share_and_the_steps_are_those_of_the_timing_pass() -> None:
    from harness.engine import timing as engine_timing
    from harness.engine import windows

    assert timing_cost.COMPUTE_SHARE == engine_timing.COMPUTE_SHARE
    assert timing_cost.STEADY_STEPS == windows.STEADY_STEPS


def test_rounds_that_are_left_take_their_time_one_after_another(tmp_path: Path) -> None:
    plan = made.planned(tmp_path, "toy")
    done = [timing("plain", 0), timing("plain", 1), timing("plain", 1), timing("smooth", 2)]
    left = rounds_left(plan, done)
    assert left == {"plain": 1, "smooth": 2, "sam": 3}
    assert timing_pass(left, {"plain": 8.0, "smooth": 10.0}) == TimingPass(28.0, ["sam"])
    assert timing_pass(left, {}) == TimingPass(None, ["plain", "smooth", "sam"])
    assert timing_pass({"plain": 0}, {}) == TimingPass(0.0, [])


def test_an_arm_without_timings_takes_as_long_as_the_nearest_one(tmp_path: Path) -> None:
    plan = made.planned(tmp_path, "toy")  # asks for a second
    own = timing_seconds(plan, [timing("plain", 0)], tmp_path / "none")
    assert own == {arm: pytest.approx(8.5) for arm in ("plain", "smooth", "sam")}
    # Another suite of the folder tells as much; another backbone tells nothing.
    results = tmp_path / "results"
    other = made.planned(tmp_path, "other", epochs=3)
    made.stored(results, other, made.record(other, "plain", 0, 90.0))
    written = timing_record(
        MEASURED,
        heading={"protocol": 1, "suite": "other", "plan": other.hash, "arm": "plain", "round": 0},
        refs={},
        **TEN_SECONDS,
    )
    Store(results / "other").write_timing(written)
    assert timing_seconds(plan, [], results)["sam"] == pytest.approx(8.5)
    assert timing_seconds(made.planned(tmp_path, "wide", width=9), [], results) == {}


def test_the_disk_that_a_run_takes_goes_with_the_parameters(tmp_path: Path) -> None:
    plan = made.planned(tmp_path, "toy", replicates=10)
    records = made.by_trial(
        *({**made.record(plan, "plain", n, 90.0), "parameters": 250_000} for n in range(4))
    )
    counts = parameter_counts(plan, records)
    assert counts == dict.fromkeys(("plain", "smooth", "sam"), 250_000)  # one backbone, data set and head
    # 26 records and 9 timings; two checkpoints at a time, each a model, two moments and an average: 4 × 1 MB.
    rounds = {"plain": 3, "smooth": 3, "sam": 3}
    assert disk_bytes(plan, records, rounds, 2, counts) == 26 * 20_000 + 9 * 4_000 + 2 * 4_000_000
    # Of a model of which nothing is known, 16 MB.
    assert disk_bytes(plan, {}, {}, 2, {}) == 30 * 20_000 + 2 * 16_000_000
    assert disk_bytes(plan, {trial.id: {} for trial in plan.trials}, {}, 2, {}) == 0


def test_weights_that_others_need_stay(tmp_path: Path) -> None:
    path = tmp_path / "teach.toml"
    text = made.SUITE.format(name="teach", replicates=6, epochs=2, width=8, top="")
    child = '[arms.child]\nteacher = { arm = "plain" }\ntricks = ["knowledge-distillation"]\n'
    path.write_text(text + child)
    suite = load(path)
    plan = expand(suite, dict.fromkeys(suite.arms, made.MANIFEST))
    counts = dict.fromkeys(suite.arms, 1_000_000)
    # The weights of six teachers, 4 MB each; one trial at a time, whose checkpoint is 16 MB.
    assert disk_bytes(plan, {}, {}, 1, counts) == 24 * 20_000 + 6 * 4_000_000 + 16_000_000


def test_each_cell_of_a_grid_resolves_what_its_own_luck_lets_it(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    text = made.SUITE.format(name="grid", replicates=10, epochs=2, width=8, top="margin = 0.1")
    data = '{ name = "subset", of = "digits", samples = 500, validation = 0.1 }'
    path.write_text(text + f'[grid]\ndataset = [{{ name = "digits", validation = 0.1 }}, {data}]\n')
    suite = load(path)
    plan = expand(suite, dict.fromkeys(suite.arms, made.MANIFEST))
    records = []
    for suffix, deviation in (("", 0.3), (".1", 3.0)):
        for replicate, sign in enumerate((1, -1, 1, -1)):
            records.append(made.record(plan, f"plain{suffix}", replicate, 80.0))
            records.append(made.record(plan, f"smooth{suffix}", replicate, 81.0 + sign * deviation))
    told = resolution_of(plan, made.by_trial(*records), tmp_path, None)
    assert told is not None
    calm, wild = told["cells"]
    # Differences of ± d in four pairs: d √(4/3).
    assert calm["deviation_points"] == pytest.approx(0.3 * (4 / 3) ** 0.5)
    assert wild["deviation_points"] == pytest.approx(3.0 * (4 / 3) ** 0.5)
    assert wild["points"] / calm["points"] == pytest.approx(10, rel=0.2)  # but for the margin
    lines = resolution_lines(told)
    assert (
        lines[1].startswith("  ") and " at dataset digits (a deviation of 0.35 points in 4 pairs)" in lines[1]
    )
    assert " at dataset subset of digits (a deviation of 3.5 points in 4 pairs)" in lines[2]


@pytest.mark.parametrize(("source", "is_told"), [("probe", True), ("records", False), (None, False)])
def test_that_noisy_rounds_come_again_is_told_where_no_timing_tells_how_often(
    source: str | None, is_told: bool
) -> None:
    from harness.cli.planning import _cost_lines

    cost = source and {"source": source, "told": "a probe of 40 steps", "seconds": 1.0}
    summary = {
        "hours": 2.0,
        "hours_without": [],
        "timing_hours": 1.0,
        "timing_hours_without": [],
        "missing": 4,
        "again": 0,
        "timings_missing": 6,
        "tuning": None,
        "jobs": 2,
        "disk_bytes": 1e6,
        "memory": {"host_bytes": None, "device_bytes": None},
        "arms": [{"cost": cost}],
    }
    time = _cost_lines(summary)[0]
    assert "1 h of it for the timing pass, one at a time" in time
    assert ("longer where rounds come out noisy and are measured again" in time) is is_told


@pytest.mark.parametrize("number", [1e308, -1e308, -5.0, 1e-320])
def test_a_trial_that_took_a_time_that_cannot_be_forecasts_nothing(number: float) -> None:
    """Beside it lies one of ten seconds, of which three hang on the samples."""
    good = {
        "seconds": {"total": 10.0, "build": 7.0, "compile": number},
        "memory": {"peak_tree_bytes": number},
    }
    told = _cost([good, good], 2.0, "like", "")
    assert (told.seconds, told.host_bytes) == (13.0, None)
    record = {"status": "completed", "results": {"test": {"top1": 50.0}}}
    trials = [{"id": "a", "arm": "plain"}, {"id": "b", "arm": "plain"}]
    records = {"a": {**record, "seconds": {"total": number}}, "b": {**record, **good}}
    assert _by_arm(trials, records) == {"plain": [records["b"]]}
    assert round_seconds(
        {**MEASURED, "seconds": {**MEASURED["seconds"], "build": number}}, 4.0
    ) == pytest.approx(round_seconds({**MEASURED, "seconds": {**MEASURED["seconds"], "build": None}}, 4.0))
    assert round_seconds({**MEASURED, "images_per_second": number}, 4.0) is None

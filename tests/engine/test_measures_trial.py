"""What a trial's outcome says of time: waiting, warming up, a target reached; and what is absent is null."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engine import tally
from harness.engine.trial import run_trial
from harness.suite.plan import MEASURE, Job
from harness.testing.jobs import TOYS


@pytest.fixture
def measured(make_job: Callable[..., Job]) -> Callable[..., Job]:
    """Makes a job that measures what it is told to."""

    def make(*, recipe: dict[str, Any] | None = None, **measure: Any) -> Job:
        job = make_job(**(recipe or {}))
        return Job(**{**job.to_json(), "plugins": job.plugins, "measure": {**MEASURE, **measure}})

    return make


def run(job: Job, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    outcome = run_trial(job, report=lambda _: None, stop=stop)
    assert outcome["status"] in ("completed", "preempted"), outcome["culprit"]
    return outcome


SLOW = """
import time
from dataclasses import dataclass
from harness.contract import Slots, Trick, hookimpl

@dataclass(frozen=True)
class Slow(Trick):
    def bind(self, ctx):
        def eval_model(model):
            time.sleep(0.1)
            return model
        return Slots(eval_model=eval_model)

@dataclass(frozen=True)
class Broken(Trick):
    def bind(self, ctx):
        raise ValueError("no")

@hookimpl
def harness_register(registry):
    registry.add("trick", "slow", Slow, summary="slow to judge")
    registry.add("trick", "broken", Broken, summary="not to be built")
"""


@pytest.fixture
def slow(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    file = tmp_path / "slow.py"
    file.write_text(SLOW)
    return lambda name: {"plugins": (TOYS, str(file)), "tricks": [{"name": name, "params": {}}]}


def learning(rate: float) -> dict[str, Any]:
    """Return an optimizer's part of a recipe: at 0.005 the toy is learnt over several epochs, at 0 never."""
    return {"optimizer": [{"name": "toy-sgd", "params": {"lr": rate, "momentum": 0.0}, "parameters": "all"}]}


def test_the_target_is_reached_in_the_first_epoch_that_holds_it(measured: Callable[..., Job]) -> None:
    top1 = run(measured(recipe=learning(0.005)))["curves"]["validation_top1"]
    assert len(set(top1)) > 2
    for target in set(top1):
        reached = run(measured(target_top1=target, recipe=learning(0.005)))["time_to_target"]
        first = next(epoch for epoch, value in enumerate(top1, start=1) if value >= target)
        assert (reached["top1"], reached["epoch"]) == (target, first)


def test_no_target_or_one_that_is_not_reached_is_null(measured: Callable[..., Job]) -> None:
    assert run(measured())["time_to_target"] is None
    assert run(measured(target_top1=100.0, recipe=learning(0.0)))["time_to_target"] is None


def test_time_to_target_counts_compiling_and_warming_up_and_leaves_evaluation_out(
    measured: Callable[..., Job], slow: Callable[[str], dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "warm_up", lambda run: 7.0)
    outcome = run(measured(target_top1=60.0, recipe={**slow("slow"), **learning(0.005)}))
    seconds, reached = outcome["seconds"], outcome["time_to_target"]
    assert (seconds["warm_up"], seconds["compile"]) == (7.0, None)
    assert reached["epoch"] > 1  # so that it was judged before
    assert 7.0 < reached["seconds"] < 7.0 + seconds["train"]
    # Judged five times while training, and at the end: 0.1 s each.
    assert seconds["evaluate"] > 0.5
    assert seconds["train"] < seconds["total"] - 0.5


def test_with_a_compiler_the_warm_up_is_compiling(
    measured: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "warm_up", lambda run: 3.0)
    kept = tally.Tally()
    job = measured()
    numerics = {**job.recipe["numerics"], "compile": True}
    kept.warm_up(_Stub(job={**job.to_json(), "recipe": {**job.recipe, "numerics": numerics}}))  # type: ignore[arg-type]
    assert kept.seconds_json()["compile"] == 3.0
    assert kept.seconds_json()["warm_up"] is None


class _Stub:
    def __init__(self, job: dict[str, Any]) -> None:
        self.job = Job.from_json(job)


def test_where_nothing_warms_up_nothing_is_told_of_it(measured: Callable[..., Job]) -> None:
    seconds = run(measured())["seconds"]
    assert (seconds["warm_up"], seconds["compile"]) == (None, None)
    assert min(seconds[name] for name in ("build", "train", "evaluate", "total")) > 0


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_resumed_trial_keeps_its_time_to_target_and_adds_up_its_seconds(
    measured: Callable[..., Job], stop_at: int
) -> None:
    straight = run(measured(target_top1=60.0, recipe=learning(0.005)))
    asked = iter(range(1000))
    first = run(measured(target_top1=60.0, recipe=learning(0.005)), stop=lambda: next(asked) >= stop_at)
    assert first["status"] == "preempted"
    resumed = run(measured(target_top1=60.0, recipe=learning(0.005)))
    assert resumed["time_to_target"]["epoch"] == straight["time_to_target"]["epoch"]
    if first["time_to_target"]:
        assert resumed["time_to_target"] == first["time_to_target"]
    for name in ("train", "data_wait", "evaluate", "build"):
        assert resumed["seconds"][name] >= first["seconds"][name]


def test_waiting_for_data_is_told_as_seconds_and_share(measured: Callable[..., Job], machine: Any) -> None:
    machine.wait_seconds = 0.02
    outcome = run(measured())
    seconds, steps = outcome["seconds"], outcome["budget"]["steps"]
    assert seconds["data_wait"] == pytest.approx(0.02 * steps)
    assert seconds["train"] == pytest.approx(0.03 * steps)
    assert outcome["data_wait_share"] == pytest.approx(0.02 / 0.03)
    assert outcome["loader"]["mode"] == "resident" and outcome["loader"]["workers"] == 0
    assert outcome["loader"]["reason"]


def test_gradient_norms_are_there_by_layer_and_epoch_where_they_are_asked_for(
    measured: Callable[..., Job],
) -> None:
    assert run(measured())["curves"]["gradient_norms"] is None
    outcome = run(measured(gradient_norms=True))
    norms = outcome["curves"]["gradient_norms"]
    assert list(norms) == ["1", "3"]  # the two linear layers of the toy
    for curve in norms.values():
        assert len(curve) == len(outcome["curves"]["epoch"]) == 5
        assert all(math.isfinite(norm) and norm > 0 for norm in curve)


def test_a_trial_that_was_never_built_has_no_times_of_what_did_not_happen(
    make_job: Callable[..., Job], slow: Callable[[str], dict]
) -> None:
    outcome = run_trial(make_job(**slow("broken")), report=lambda _: None, stop=lambda: False)
    assert outcome["status"] == "failed"
    for name in ("compile", "warm_up", "train", "data_wait", "evaluate"):
        assert outcome["seconds"][name] is None, name
    assert outcome["loader"] is outcome["data_wait_share"] is outcome["time_to_target"] is None
    assert list(outcome["memory"]["phases"]) == ["build"]
    assert no_number_is_nan(outcome)


def test_every_key_is_in_an_outcome_however_it_ended(
    measured: Callable[..., Job], make_job: Callable[..., Job], slow: Callable[[str], dict]
) -> None:
    good = run(measured(target_top1=50.0, gradient_norms=True))
    bad = run_trial(make_job(**slow("broken")), report=lambda _: None, stop=lambda: False)
    assert good.keys() == bad.keys()
    for name in ("seconds", "memory", "curves"):
        assert good[name].keys() == bad[name].keys()
    assert no_number_is_nan(good)


def no_number_is_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(no_number_is_nan, value.values()))
    if isinstance(value, list):
        return all(map(no_number_is_nan, value))
    return not isinstance(value, float) or math.isfinite(value)

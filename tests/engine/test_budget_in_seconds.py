"""A budget in seconds is the budget in steps that a measurement of the trial's own step makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.engine import seconds
from harness.engine.check import check_arm
from harness.engine.checkpoint import NAME
from harness.engine.foundation import STAND_IN_STEPS, budget_steps
from harness.engine.seconds import FLOOR_SECONDS, SHARE, in_steps, step_seconds
from harness.engine.timing import time_arm
from harness.engine.together import run_together
from harness.engine.trial import run_trial
from harness.suite.plan import Job
from harness.testing.jobs import component

Json = dict[str, Any]
MakeJob = Callable[..., Job]

BROKEN = '''
from dataclasses import dataclass
from harness.contract import Slots, Trick, hookimpl

@dataclass(frozen=True)
class Breaks(Trick):
    """Raises in its first step."""
    def bind(self, ctx):
        def gradients(all_gradients):
            raise ValueError("no such gradient")
        return Slots(gradients=gradients)

@hookimpl
def harness_register(registry):
    registry.add("trick", "breaks", Breaks, summary="raises")
'''


def in_seconds(amount: float) -> Json:
    return {"unit": "seconds", "amount": amount}


def in_as_many(steps: int) -> Json:
    return {"unit": "steps", "amount": steps}


def unheard(message: object) -> None:
    del message


def run(job: Job, stop: Callable[[], bool] = lambda: False) -> Json:
    return run_trial(job, report=unheard, stop=stop)


def measured_as(steps: int) -> Json:
    """Return what a record says of a trial that came to so many steps."""
    return {
        "asked": 1.0,
        "step_seconds": 1.0 / steps,
        "total_steps": steps,
        "measured_steps": 50,
        "measuring_seconds": 0.1,
    }


def test_it_is_the_trial_of_as_many_steps_bit_for_bit(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, machine: Any
) -> None:
    """A step takes 10 ms by the clock of this machine, and 155 ms have room for fifteen."""
    monkeypatch.setattr(seconds, "perf_counter", machine.clock)
    recipe: Json = {
        "augmentations": [component("toy-noise")],
        "tricks": [component("toy-ascent"), component("toy-penalty")],
        "schedule": {**component("toy-constant"), "warmup": 0.3},  # its length is the budget's
        "backbone": component("toy-net", width=8, batch_norm=True, dropout=0.2),
    }
    one = run(make_job(budget=in_seconds(0.155), **recipe))
    assert one["status"] == "completed", one["culprit"]
    told = one["budget"]["seconds"]
    other = run(make_job(budget=in_as_many(15), **recipe))
    assert one["budget"]["steps"] == told["total_steps"] == 15
    for name in ("initial_weights", "final_weights", "evaluation_outputs"):
        assert one["digests"][name] == other["digests"][name]
    assert one["curves"] == other["curves"]
    assert other["budget"]["seconds"] is None
    # The record holds every unit, and what was measured fits what was asked for.
    assert (told["asked"], told["step_seconds"]) == (0.155, pytest.approx(0.01))
    assert one["budget"]["samples"] == 8 * 15
    assert told["measured_steps"] * 0.01 < told["measuring_seconds"]


def test_a_budget_that_holds_no_step_is_one_step(make_job: MakeJob) -> None:
    outcome = run(make_job(budget=in_seconds(1e-9)))
    assert (outcome["status"], outcome["budget"]["steps"]) == ("completed", 1)


def test_an_earlier_measurement_is_taken_as_it_is(make_job: MakeJob) -> None:
    job = replace(make_job(budget=in_seconds(1.0)), measured=measured_as(23))
    outcome = run(job)
    assert outcome["budget"]["steps"] == 23
    assert outcome["budget"]["seconds"] == measured_as(23)
    assert (
        outcome["digests"]["final_weights"]
        == run(make_job(budget=in_as_many(23)))["digests"]["final_weights"]
    )


def test_nothing_is_measured_for_another_unit(make_job: MakeJob) -> None:
    def compose(job: Job) -> Any:
        raise AssertionError("nothing is to be composed")

    job = make_job(budget=in_as_many(5))
    assert in_steps(job, compose, lambda: None) is job


class Clock:
    """A machine on which a step takes what it is told to, and nothing else takes any time."""

    def __init__(self, cost: Callable[[int], float]) -> None:
        self.now, self.cost, self.taken = 0.0, cost, 0

    def __call__(self) -> float:
        return self.now

    def step(self, number: int) -> None:
        self.now += self.cost(number)
        self.taken += 1


def timed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, phases: list[int], asked: float
) -> tuple[float, int]:
    def steps(run: Any, first: int, last: int) -> Iterator[int]:
        for number in range(first, last):
            clock.step(number)
            yield number

    monkeypatch.setattr(seconds, "perf_counter", clock)
    monkeypatch.setattr(seconds, "warm_up", unheard)
    monkeypatch.setattr(seconds, "steps", steps)
    monkeypatch.setattr(seconds, "first_step", lambda run, step: next(steps(run, step, step + 1)))
    run: Any = SimpleNamespace(
        phases=dict.fromkeys(phases), total_steps=STAND_IN_STEPS, device=torch.device("cpu")
    )
    return step_seconds(run, asked, lambda: None)


def test_each_phase_counts_by_its_share_of_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the steps costs three times as much: the mean is 0.75 x 1 + 0.25 x 3."""
    clock = Clock(lambda step: 0.01 if step < 7500 else 0.03)
    mean, _ = timed(monkeypatch, clock, [0, 7500], 1000.0)
    assert mean == pytest.approx(0.015)


def test_what_only_some_steps_cost_is_in_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth step begins an epoch and takes ten times as long: 1.9 on the average."""
    mean, _ = timed(monkeypatch, Clock(lambda step: 0.01 * (10 if step % 10 == 0 else 1)), [0], 1000.0)
    assert mean == pytest.approx(0.019)


def test_the_first_steps_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mean, _ = timed(monkeypatch, Clock(lambda step: 0.01 if step > 12 else 5.0), [0], 10_000.0)
    assert mean == pytest.approx(0.01)


@pytest.mark.parametrize(("step", "asked"), [(0.01, 100.0), (1.0, 60.0), (1.0, 3600.0), (0.001, 0.1)])
def test_measuring_takes_a_share_of_the_budget(
    monkeypatch: pytest.MonkeyPatch, step: float, asked: float
) -> None:
    clock = Clock(lambda _: step)
    mean, counted = timed(monkeypatch, clock, [0], asked)
    assert mean == pytest.approx(step) and counted >= 1
    # One window more than the share, at the most: what is under way is finished.
    assert clock.now <= max(SHARE * asked, FLOOR_SECONDS) + 10 * step


def test_a_budget_of_a_few_steps_is_measured_by_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda _: 1.0)
    assert timed(monkeypatch, clock, [0], 1e-6)[0] == pytest.approx(1.0)
    assert clock.taken <= 4


def test_a_phase_of_one_step_is_measured_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mean, _ = timed(monkeypatch, Clock(lambda _: 2.0), [0, 4000, 4001, 4003], 1e6)
    assert mean == pytest.approx(2.0)


def test_what_was_stopped_begins_anew_and_leaves_no_checkpoint(make_job: MakeJob) -> None:
    def stopped(budget: Json) -> tuple[Json, bool]:
        # Five epochs and more, so that there is an edge to stop at.
        job = replace(make_job(budget=budget), measured=measured_as(50), checkpoint_seconds=0.0)
        outcome = run(job, stop=lambda: True)
        return outcome, (Path(job.folder) / NAME).exists()

    outcome, is_there = stopped(in_as_many(50))
    assert (outcome["status"], is_there) == ("preempted", True)
    (Path(make_job().folder) / NAME).unlink()

    outcome, is_there = stopped(in_seconds(1.0))
    assert (outcome["status"], is_there) == ("preempted", False)
    again = run(replace(make_job(budget=in_seconds(1.0)), measured=measured_as(50)))
    assert (again["status"], again["resumed_from_step"]) == ("completed", None)
    straight = run(make_job(budget=in_as_many(50)))
    assert again["digests"]["final_weights"] == straight["digests"]["final_weights"]


def test_replicates_are_trained_one_by_one_and_the_reason_is_told(make_job: MakeJob) -> None:
    jobs = [make_job(budget=in_seconds(60.0), replicate=number) for number in range(2)]
    handed_in: list[int] = []
    mode = run_together(
        jobs,
        mode=None,
        report=unheard,
        stop=lambda: False,
        finished=lambda number, _: handed_in.append(number),
    )
    assert mode["together"] == 1 and "budget in seconds" in mode["reason"]
    assert not handed_in


def test_an_arm_that_breaks_while_it_is_measured_is_to_blame(make_job: MakeJob, tmp_path: Path) -> None:
    from harness.testing.jobs import TOYS

    file = tmp_path / "breaks.py"
    file.write_text(BROKEN)
    outcome = run(make_job(budget=in_seconds(1.0), tricks=[component("breaks")], plugins=(TOYS, str(file))))
    assert outcome["status"] == "failed"
    assert (outcome["culprit"]["plugin"], outcome["culprit"]["slot"]) == ("trick breaks", "gradients")


def test_a_longer_training_goes_on_in_the_order_of_a_shorter_one(make_job: MakeJob) -> None:
    """Ten steps are an epoch here."""

    def order(steps: int, **changes: Any) -> list[str]:
        job = replace(make_job(budget=in_seconds(1.0), **changes), measured=measured_as(steps))
        return str(run(job)["digests"]["order"]).split(" ")

    short, long = order(12), order(35)
    assert (len(short), len(long)) == (2, 4)
    assert long[:2] == short
    assert len(set(long)) == 4
    assert order(12, seed=1)[0] != short[0]


def test_what_only_stands_in_a_training_takes_it_to_be_of_a_stand_in_length(make_job: MakeJob) -> None:
    assert budget_steps(in_seconds(3.0), 8, 10) == STAND_IN_STEPS
    assert budget_steps(in_seconds(3.0), 8, 10, 77) == 77
    assert time_arm(make_job(budget=in_seconds(1e-9)), report=unheard)["status"] == "completed"
    assert check_arm(make_job(budget=in_seconds(1e-9))) == []


def test_many_phases_share_the_time_that_measuring_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda _: 1.0)
    timed(monkeypatch, clock, list(range(0, STAND_IN_STEPS, STAND_IN_STEPS // 10)), 1000.0)
    # A tenth of the budget, and of each phase its two first steps and a window that is under way.
    assert clock.now <= SHARE * 1000.0 + 10 * (2 + 3)


def test_warm_up_ends_where_windows_agree_and_the_rest_is_forty_steps_and_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for step, least in ((0.01, 500), (1.0, 40)):
        clock = Clock(lambda _, step=step: step)  # type: ignore[misc]
        _, counted = timed(monkeypatch, clock, [0], 10_000.0)
        assert least <= counted <= least + 10
        assert clock.taken == 2 + 20 + counted


def test_what_the_very_first_step_takes_is_not_what_measuring_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mean, counted = timed(monkeypatch, Clock(lambda step: 0.01 if step else 1000.0), [0], 1000.0)
    assert mean == pytest.approx(0.01) and counted >= 500


def test_a_watchdog_is_told_and_each_phase_begins_with_a_step_that_is_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, checked, told = Clock(lambda _: 0.01), [], []
    timed(monkeypatch, clock, [0, 4000], 100.0)
    first = seconds.first_step
    monkeypatch.setattr(seconds, "first_step", lambda run, step: checked.append(step) or first(run, step))
    run: Any = SimpleNamespace(phases={0: None, 4000: None}, total_steps=8000, device=torch.device("cpu"))
    before = clock.taken
    step_seconds(run, 100.0, lambda: told.append(clock.taken))
    assert checked == [0, 4000]
    assert (
        all(later - sooner <= 10 for sooner, later in pairwise([before, *told])) and told[-1] == clock.taken
    )


def test_as_many_whole_steps_as_go_into_the_budget_and_the_loader_is_closed(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    run: Any = SimpleNamespace(loader=SimpleNamespace(close=lambda: closed.append(1)))
    monkeypatch.setattr(seconds, "step_seconds", lambda *_: (0.28, 50))
    measured = in_steps(make_job(budget=in_seconds(1.0)), lambda _: run, lambda: None).measured
    assert measured is not None and (measured["total_steps"], measured["measured_steps"]) == (3, 50)

    def breaks(*_: Any) -> Any:
        raise ValueError("in its first step")

    monkeypatch.setattr(seconds, "step_seconds", breaks)
    with pytest.raises(ValueError, match="first step"):
        in_steps(make_job(budget=in_seconds(1.0)), lambda _: run, lambda: None)
    assert len(closed) == 2


def test_the_order_is_that_of_the_epochs_whenever_they_were_noted() -> None:
    def digest(*epochs: int) -> str:
        digests = {epoch: f"{epoch}" * 32 for epoch in epochs}
        job = SimpleNamespace(recipe={"budget": in_seconds(1.0)})
        run: Any = SimpleNamespace(order_digests=digests, job=job)
        return seconds.order_digest(run)

    assert digest(1, 0, 2) == digest(0, 1, 2) and len(digest(0, 1).split(" ")) == 2

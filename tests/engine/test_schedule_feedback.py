"""Schedules that go by the validation loss: `Schedule.observes`, `rate_after`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.check import check_arm
from harness.engine.contract_check import ContractError
from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.rates import Feedback
from harness.engine.together import run_together
from harness.engine.trial import open_run, run_trial
from harness.errors import HarnessError
from harness.record.record import together_mode
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

PLUGIN = """
import math
from dataclasses import dataclass
from harness.contract import Schedule, hookimpl

@dataclass(frozen=True)
class Follows(Schedule):
    observes = True
    how: str = "loss"
    def rate(self, progress):
        return 1.0 - progress / 2
    def rate_after(self, losses):
        if self.how == "odd epochs" and len(losses) % 2:
            return None
        if self.how == "text":
            return "a rate"
        if self.how == "no number":
            return math.nan
        return round(losses[-1], 3) / len(losses)

@hookimpl
def harness_register(registry):
    registry.add("schedule", "test-follows", Follows, summary="a schedule")
"""

Jobs = Callable[..., Job]


@pytest.fixture
def make(make_job: Callable[..., Job], tmp_path: Path) -> Jobs:
    file = tmp_path / "follows.py"
    file.write_text(PLUGIN)

    def job(how: str = "loss", warmup: float = 0.0, **changes: Any) -> Job:
        schedule = {**component("test-follows", how=how), "warmup": warmup}
        return make_job(plugins=(TOYS, str(file)), schedule=schedule, **changes)

    return job


def outcome_of(job: Job, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    return run_trial(job, report=lambda _: None, stop=stop)


def test_each_epoch_has_the_rate_that_its_schedule_gave_of_the_losses_before(make: Jobs) -> None:
    curves = outcome_of(make())["curves"]
    losses = curves["validation_loss"]
    # ten steps an epoch of fifty: the first is by `rate`, whose last step there is the ninth
    wanted = [0.05 * (1 - 9 / 50 / 2), *(0.05 * (round(losses[i], 3) / (i + 1)) for i in range(4))]
    assert curves["learning_rate"] == pytest.approx(wanted, rel=1e-12)
    assert len(set(wanted)) == 5


def test_an_epoch_for_which_it_has_no_rate_goes_by_the_budget(make: Jobs) -> None:
    curves = outcome_of(make("odd epochs"))["curves"]
    losses = curves["validation_loss"]
    by_budget = [0.05 * (1 - step / 50 / 2) for step in (9, 19, 29, 39, 49)]
    wanted = [
        by_budget[0],
        by_budget[1],
        0.05 * round(losses[1], 3) / 2,
        by_budget[3],
        0.05 * round(losses[3], 3) / 4,
    ]
    assert curves["learning_rate"] == pytest.approx(wanted, rel=1e-12)


def test_the_warm_up_still_rises_in_a_straight_line(make: Jobs) -> None:
    run = open_run(make(warmup=0.3), Owners())
    assert run.rates[:15] == [(step + 1) / 15 for step in range(15)]
    run.follow([0.8])
    assert run.rates[10:20] == [0.8 * 11 / 15, 0.8 * 12 / 15, 0.8 * 13 / 15, 0.8 * 14 / 15, *[0.8] * 6]
    run.follow([0.8, 0.5, 0.4, 0.3, 0.2])  # after the last epoch there is nothing to enter
    assert len(run.rates) == 50


def test_a_loss_that_json_made_none_of_is_handed_on_as_no_number() -> None:
    seen: list[float] = []

    def rate_after(losses: Sequence[float]) -> float:
        seen.extend(losses)
        return 0.5

    rates = [1.0] * 6
    Feedback("schedule test", rate_after, 0, 2).enter(rates, [0.25, None])
    assert seen[0] == 0.25 and math.isnan(seen[1])
    assert rates == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize("windows", [1, 2, 4])
def test_a_resumed_trial_has_the_rates_of_a_straight_one(make: Jobs, windows: int) -> None:
    job = make(warmup=0.3)
    straight = outcome_of(job)
    asked = iter([False] * (windows - 1) + [True])
    assert outcome_of(job, lambda: next(asked))["status"] == "preempted"
    resumed = outcome_of(job)
    assert resumed["resumed_from_step"] == 10 * windows
    assert resumed["digests"] == straight["digests"] and resumed["curves"] == straight["curves"]


@pytest.mark.parametrize("how", ["text", "no number"])
def test_a_rate_that_is_none_is_the_schedule_s_fault(make: Jobs, how: str) -> None:
    run = open_run(make(how), Owners())
    with pytest.raises(ContractError, match="schedule test-follows, slot rate_after: expected a number"):
        run.follow([0.5])


def test_without_a_validation_split_it_is_refused_naming_the_key(make: Jobs) -> None:
    dataset = {**component("toy-dataset"), "validation": 0.0}
    job = make(dataset=dataset)
    for refuse in (lambda: open_run(job, Owners()), lambda: check_arm(job)):
        with pytest.raises(HarnessError, match=r'"test-follows" .* dataset\.validation is 0'):
            refuse()
    check_arm(make())


def test_each_of_the_replicates_at_once_has_its_own_rate(make: Jobs, tmp_path: Path) -> None:
    job = make(budget={"unit": "steps", "amount": 35})
    jobs = [dataclasses.replace(job, replicate=r, folder=str(tmp_path / str(r))) for r in range(3)]
    outcomes: dict[int, dict[str, Any]] = {}
    mode = together_mode(3, ratio=2.0, difference=0.0)
    run_together(jobs, mode=mode, report=lambda _: None, stop=lambda: False, finished=outcomes.__setitem__)
    rates = set()
    for number, one in enumerate(jobs):
        serial = outcome_of(one)
        assert outcomes[number]["status"] == serial["status"] == "completed"
        for name in ("learning_rate", "train_loss"):
            assert outcomes[number]["curves"][name] == pytest.approx(serial["curves"][name], rel=2e-2)
        rates.add(tuple(outcomes[number]["curves"]["learning_rate"]))
    assert len(rates) == 3


def test_steps_outside_a_trial_go_by_the_table(make: Jobs) -> None:
    """The timing pass takes steps and sees no validation loss."""
    run = open_run(make(), Owners())
    rates = []
    for step, _ in steps(run, 0, 50):
        rates.append(run.step.optimizers[0].param_groups[0]["lr"])
        assert rates[-1] == 0.05 * run.rates[step] == run.learning_rate
    assert torch.allclose(torch.tensor(rates), 0.05 * (1 - torch.arange(50) / 100))

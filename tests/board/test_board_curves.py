"""Learning curves over replicates hold whatever floats a run may leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.board.curves import curves_of
from harness.board.select import ArmTrials
from harness.record.attempt import Attempt, attempt_of
from harness.record.packed import CURVES


def told_of(attempts: list[Attempt]) -> dict[str, Any]:
    return curves_of({"arm": arm_of(attempts)})["arm"]


def arm_of(attempts: list[Attempt]) -> ArmTrials:
    good = dict(enumerate(attempts))
    return ArmTrials("arm", tuple(good), [], good, good)


def record_of(*values: Any, epoch: Any = (1, 2, 3)) -> Attempt:
    record = {"curves": {"epoch": list(epoch), **{name: list(values) for name in CURVES}}}
    return attempt_of(record)


def test_each_epoch_has_the_t_interval_of_its_replicates() -> None:
    found = told_of([record_of(2.0, 1.0, None), record_of(3.0, 1.5, 0.5), record_of(2.5, 2.0, 0.75)])
    low, high = stats.t.interval(0.95, 2, 2.5, stats.sem([2.0, 3.0, 2.5]))
    told = found["train_loss"]
    assert (told["mean"][0], told["low"][0], told["high"][0]) == pytest.approx((2.5, low, high))
    assert told["mean"][2] == 0.625


@pytest.mark.parametrize(
    "values", [(1.7e308, 1.7e308), (1.7e308, -1.7e308), (1e200, -1e200), (-1.7e308, -1e308)]
)
def test_a_loss_near_the_largest_float_keeps_its_mean_and_loses_its_interval(
    values: tuple[float, float],
) -> None:
    told = told_of([record_of(one) for one in values])["train_loss"]
    assert told["mean"] == [pytest.approx(values[0] / 2 + values[1] / 2)]
    if values[0] != values[1]:
        assert told["low"] == told["high"] == [None]
    assert all(one is None or np.isfinite(one) for curve in told.values() for one in curve)


def test_epochs_that_are_no_numbers_are_no_axis() -> None:
    strange = record_of(2.0, 1.0, 0.5, epoch=[None, "x", 3, 4])
    assert told_of([record_of(2.0, 1.0, 0.5), strange])["epoch"] == [1, 2, 3]
    assert told_of([strange])["epoch"] == []


def test_arms_are_told_alike_alone_and_together() -> None:
    """Small tables of many replicates are looked at together; what an arm says hangs on none of the others."""
    draw = np.random.default_rng(0)
    arms = {
        f"{count} {epochs}": [
            record_of(*row, epoch=range(epochs)) for row in draw.normal(size=(count, epochs))
        ]
        for count in (1, 70, 70, 80)
        for epochs in (3, 5)
    } | {"none": []}
    together = curves_of({arm: arm_of(own) for arm, own in arms.items()})
    assert together == {arm: told_of(own) for arm, own in arms.items()}

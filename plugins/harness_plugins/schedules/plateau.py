"""The rate divided where the validation loss stops falling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Interval, Lt

from harness.contract import Schedule


@dataclass(frozen=True)
class Plateau(Schedule):
    """torch's `ReduceLROnPlateau` on the validation loss, with torch's defaults.

    An epoch is bad where its loss is not below best (1 - threshold), best being that of the last epoch that was not.
    After more than `patience` bad epochs in a row the rate is multiplied by `factor`, down to `minimum`, and bad epochs
    are not counted for the `cooldown` epochs that follow. The loss is that of the model that is judged, an average of
    weights where a trick keeps one. It is looked at once an epoch, those of the warm-up included.

    The rates depend on the run, and so does what an arm is trained with: the record's curves hold them. A
    validation split is needed, which the training then lacks.

    When not to use it: where the budget is fixed, as it is here. A schedule over the budget (`cosine`) ends at a low
    rate for certain; this one may never come to it, at torch's patience surely not in fewer than a dozen epochs.

    Attributes:
        factor: Of the rate, at a reduction.
        patience: Bad epochs in a row that are let pass.
        threshold: Share of the best loss that an epoch has to be below it by.
        cooldown: Epochs after a reduction in which bad ones do not count.
        minimum: Multiple of the base rate that it does not go below.
    """

    observes: ClassVar[bool] = True

    factor: Annotated[float, Interval(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Ge(0)] = 10
    threshold: Annotated[float, Ge(0), Lt(1)] = 1e-4
    cooldown: Annotated[int, Ge(0)] = 0
    minimum: Annotated[float, Interval(ge=0, le=1)] = 0.0

    def rate(self, progress: float) -> float:
        """Return 1: the base rate, until there is a loss to go by."""
        del progress
        return 1.0

    def rate_after(self, losses: Sequence[float]) -> float:
        """Return the multiple of the base rate after epochs with these validation losses."""
        rate, best, bad, cooling = 1.0, float("inf"), 0, 0
        for loss in losses:
            # a loss that is no number is not below anything
            if loss < best * (1 - self.threshold):
                best, bad = loss, 0
            else:
                bad += 1
            if cooling:
                cooling, bad = cooling - 1, 0
            if bad > self.patience:
                rate = max(rate * self.factor, self.minimum)
                cooling, bad = self.cooldown, 0
        return rate

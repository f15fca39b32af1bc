"""The rate multiplied at given points of the budget."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Interval, Le, Len

from harness.contract import Schedule


@dataclass(frozen=True)
class MultiStep(Schedule):
    """The base rate times `gamma` at each milestone that is passed.

    rate(p) = gamma ** (number of milestones m with m <= p), torch's `MultiStepLR`. The default is the recipe of
    Zagoruyko and Komodakis 2016 ("Wide Residual Networks") for CIFAR: 60, 120 and 160 of 200 epochs, gamma 0.2.

    When not to use it: where nobody has found milestones for this budget; `cosine` needs none.

    Attributes:
        milestones: Shares of the budget.
        gamma: Factor at each.
    """

    milestones: Annotated[tuple[Annotated[float, Interval(gt=0, lt=1)], ...], Len(1)] = (0.3, 0.6, 0.8)
    gamma: Annotated[float, Gt(0), Le(1)] = 0.2

    def rate(self, progress: float) -> float:
        """Return the multiple of the base rate at a share of the budget."""
        # a hair's breadth, for 3 * 0.1 is over 0.3; no budget has so many steps that this could move a drop
        return self.gamma ** sum(milestone <= progress + 1e-9 for milestone in self.milestones)

"""The rate divided at regular points of the budget."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le

from harness.contract import Schedule


@dataclass(frozen=True)
class Step(Schedule):
    """The base rate times `gamma` once for every `step_size` of the budget that is done.

    rate(p) = gamma ** floor(p / step_size), torch's `StepLR`. A tenth at each third of the budget is the
    recipe of He et al. 2016 for ImageNet (30 of 90 epochs), and the default.

    When not to use it: where the budget is short; much of it then passes at a rate that is too high or too
    low, and `cosine` does better without a setting.

    Attributes:
        step_size: Share of the budget between two drops.
        gamma: Factor of a drop.
    """

    step_size: Annotated[float, Gt(0), Le(1)] = 1 / 3
    gamma: Annotated[float, Gt(0), Le(1)] = 0.1

    def rate(self, progress: float) -> float:
        """Return the multiple of the base rate at a share of the budget."""
        # 0.6 / 0.2 is a hair under 3; no budget has so many steps that this could move a drop
        return self.gamma ** math.floor(progress / self.step_size + 1e-9)

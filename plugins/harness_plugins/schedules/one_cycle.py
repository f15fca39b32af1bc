"""Up to the base rate and down again, along cosines."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Interval, Le

from harness.contract import Schedule


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rise from `start` to the base rate over `rise` of the budget, and fall to `end`, each along half a cosine.

    Smith and Topin 2019, "Super-Convergence", in the form of torch's `OneCycleLR` (`anneal_strategy="cos"`, momentum
    left alone), whose defaults these are: start 1 / 25, end 1 / 25 / 10,000, 30 % of the budget to rise.

    When not to use it: with `warmup`, which is what its first part is.

    Attributes:
        rise: Share of the budget until the base rate is reached.
        start: Multiple of the base rate at the start.
        end: Multiple of the base rate at the end.
    """

    rise: Annotated[float, Interval(gt=0, lt=1)] = 0.3
    start: Annotated[float, Gt(0), Le(1)] = 0.04
    end: Annotated[float, Interval(ge=0, le=1)] = 4e-6

    def rate(self, progress: float) -> float:
        """Return the multiple of the base rate at a share of the budget."""
        if progress < self.rise:
            return _between(self.start, 1.0, progress / self.rise)
        return _between(1.0, self.end, (progress - self.rise) / (1 - self.rise))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2

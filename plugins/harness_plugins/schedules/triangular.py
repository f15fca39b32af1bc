"""Up in a straight line, then down in another."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Interval, Le

from harness.contract import Schedule


@dataclass(frozen=True)
class Triangular(Schedule):
    """Smith 2018, "A disciplined approach to neural network hyper-parameters" (1cycle, the rate alone).

    From `start` of the base rate in a straight line to all of it at the share `peak` of the budget, and in another to
    `end` of it. The defaults are those of Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds", arXiv 2404.00498.

    When not to use it: with `warmup`, since it has its own; or where a run may be cut short or prolonged.

    Attributes:
        start: First rate, as a multiple of the base rate.
        peak: Share of the budget at which the base rate is reached.
        end: Rate at the end, as a multiple of the base rate.
    """

    start: Annotated[float, Ge(0), Le(1)] = 0.2
    peak: Annotated[float, Interval(gt=0, lt=1)] = 0.23
    end: Annotated[float, Ge(0), Le(1)] = 0.07

    def rate(self, progress: float) -> float:
        """Return the multiple of the base rate at a share of the budget."""
        if progress < self.peak:
            return self.start + (1 - self.start) * progress / self.peak
        return 1 + (self.end - 1) * (progress - self.peak) / (1 - self.peak)

"""A straight line down from the base rate."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from harness.contract import Schedule


@dataclass(frozen=True)
class Linear(Schedule):
    """rate(p) = 1 + (end - 1) * p: from the base rate to `end` of it, evenly over the budget.

    Down to nought it is what Li et al. 2020, "Budgeted Training", found best of the simple ones for short budgets, and
    what the Muon speedruns use. With `warmup` it is the schedule of BERT (Devlin et al. 2019).

    When not to use it: where a run may be cut short or prolonged; the rate is right for one length only.

    Attributes:
        end: Rate at the end, as a multiple of the base rate.
    """

    end: Annotated[float, Ge(0), Le(1)] = 0.0

    def rate(self, progress: float) -> float:
        """Return the multiple of the base rate at a share of the budget."""
        return 1 + (self.end - 1) * progress

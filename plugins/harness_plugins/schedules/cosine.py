"""Half a cosine from the base rate down."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from harness.contract import Schedule


@dataclass(frozen=True)
class Cosine(Schedule):
    """Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts.

    rate(p) = eta_min + (1 - eta_min) * (1 + cos(pi * p / t_max)) / 2, as torch's `CosineAnnealingLR` has it
    in closed form. The defaults, one half cosine over the whole budget down to nought, are those of most
    recipes.

    When not to use it: where a run may be cut short or prolonged; the rate is right for one length only.

    Attributes:
        t_max: Share of the budget at which `eta_min` is reached; below 1 the rate rises again after it.
        eta_min: Lowest rate, as a multiple of the base rate.
    """

    t_max: Annotated[float, Gt(0)] = 1.0
    eta_min: Annotated[float, Ge(0), Le(1)] = 0.0

    def rate(self, progress: float) -> float:
        """Return the multiple of the base rate at a share of the budget."""
        return self.eta_min + (1 - self.eta_min) * (1 + math.cos(math.pi * progress / self.t_max)) / 2

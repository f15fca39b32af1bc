"""Learning rates that follow the validation loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.engine.contract_check import ContractError


@dataclass(frozen=True, slots=True)
class Feedback:
    """How a schedule that goes by the validation losses changes the table of rates.

    Attributes:
        label: Whose it is.
        rate_after: `Schedule.rate_after`.
        warmup_steps: Steps in which the rate rises linearly, whatever the schedule says of it.
        steps_per_epoch: Steps of an epoch.
    """

    label: str
    rate_after: Callable[[Sequence[float]], float | None]
    warmup_steps: int
    steps_per_epoch: int

    def enter(self, rates: list[float], losses: Sequence[float | None]) -> None:
        """Enter the rates of the epoch that comes after `losses`, in place.

        Args:
            rates: The multiple of the base rate for each step.
            losses: Validation losses of all epochs so far; None is what JSON makes of a number that is none.

        Raises:
            ContractError: For a rate that is no number from 0 on.
        """
        rate = self.rate_after([math.nan if loss is None else loss for loss in losses])
        if rate is None:
            return
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < math.inf:
            raise ContractError(
                self.label, "rate_after", f"expected a number, 0 or above, or None, got {rate!r}"
            )
        first = len(losses) * self.steps_per_epoch
        for step in range(first, min(first + self.steps_per_epoch, len(rates))):
            rates[step] = rate * min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else rate

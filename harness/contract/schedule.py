"""Schedules: the learning rate over the budget."""

from collections.abc import Sequence
from typing import ClassVar


class Schedule:
    """Base of every schedule plugin. Warm-up is the core's: every schedule has it (`warmup = 0.05`).

    Class variables:
        observes: Whether it goes by the validation loss (`rate_after`): an arm with it needs a validation split.
    """

    observes: ClassVar[bool] = False

    def rate(self, progress: float) -> float:
        """Return the multiple of the base rate for a step.

        Args:
            progress: Share of the budget done when the step starts, from 0 up to but not 1; warm-up
                is not counted in it.
        """
        raise NotImplementedError

    def rate_after(self, losses: Sequence[float]) -> float | None:
        """Return the multiple of the base rate for the coming epoch, or None to go by `rate`.

        Only a schedule with `observes` is asked, at the end of each epoch; before the first such end `rate` counts.

        Args:
            losses: Validation losses in nats at the ends of all epochs so far. The answer depends on nothing else,
                so that a resumed trial has nothing to restore.
        """
        del losses
        return None

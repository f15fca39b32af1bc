"""Schedules: the learning rate over the budget."""


class Schedule:
    """Base of every schedule plugin. Warm-up is the core's: every schedule has it (`warmup = 0.05`)."""

    def rate(self, progress: float) -> float:
        """Return the multiple of the base rate for a step.

        Args:
            progress: Share of the budget done when the step starts, from 0 up to but not 1; warm-up
                is not counted in it.
        """
        raise NotImplementedError

"""The base rate throughout."""

from dataclasses import dataclass

from harness.contract import Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """rate(p) = 1, torch's `ConstantLR` at factor 1: the plainest schedule, and the right baseline for a new one.

    When not to use it: where the last weights are judged without averaging. SGD at a constant rate keeps
    bouncing about the minimum; a rate that falls to nought at the end is worth points.
    """

    def rate(self, progress: float) -> float:
        """Return 1 for every share of the budget."""
        del progress
        return 1.0

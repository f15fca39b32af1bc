"""How far confidence is from accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from harness.contract import Metric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CalibrationError(Metric):
    """Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3, in points.

    A sample's confidence is its largest softmax probability. Bin m of M holds those in ((m - 1) / M, m / M];
    the error is the mean over all samples of |accuracy - confidence| of their bin. 15 bins are the paper's.

    When not to use it: to compare models by small differences. It is biased upwards on small test sets,
    depends on the number of bins, and a model that always says the class frequencies has none; read it beside
    the negative log-likelihood.

    Attributes:
        bins: Bins of equal width, M.
    """

    unit: ClassVar[str] = "points"

    bins: Annotated[int, Ge(1)] = 15

    def compute(self, logits: Tensor, target: Tensor) -> float:
        """Return the error in points, of logits (N, K) and target (N,)."""
        # double precision: in single, a bin's sum over a big split loses the fourth digit
        confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
        index = (confidence * self.bins).ceil().long().sub(1).clamp(0, self.bins - 1)
        # |B| * |accuracy - confidence| of a bin is the absolute sum of (correct - confidence) over it
        gap = (predicted == target).double() - confidence
        sums = gap.new_zeros(self.bins).scatter_add_(0, index, gap)
        return 100 * float(sums.abs().sum()) / len(target)

"""Accuracy in which every class counts the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.contract import Metric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BalancedAccuracy(Metric):
    """Mean of the classes' accuracies, in points (Brodersen et al., ICPR 2010; scikit-learn's definition).

    Classes that have no sample in the split are left out of the mean.

    When not to use it: where classes are equally frequent it is plain accuracy, and where some have a handful
    of samples it is mostly their noise.
    """

    unit: ClassVar[str] = "points"

    def compute(self, logits: Tensor, target: Tensor) -> float:
        """Return the accuracy in points, of logits (N, K) and target (N,)."""
        num_classes = logits.shape[1]
        count = target.bincount(minlength=num_classes)
        correct = target[logits.argmax(dim=1) == target].bincount(minlength=num_classes)
        present = count > 0
        return 100 * float((correct[present].double() / count[present]).mean())

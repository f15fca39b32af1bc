"""Share of samples whose class is among the k likeliest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from harness.contract import Metric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TopK(Metric):
    """Top-k accuracy, in points (Russakovsky et al. 2015, whose k = 5 for 1,000 classes is the default).

    When not to use it: with few classes; of ten, five are right half the time by chance.

    Attributes:
        k: How many of the highest logits count.
    """

    unit: ClassVar[str] = "points"

    k: Annotated[int, Ge(1)] = 5

    def compute(self, logits: Tensor, target: Tensor) -> float:
        """Return the accuracy in points, of logits (N, K) and target (N,).

        Raises:
            ValueError: Where there are fewer than `k` classes.
        """
        if self.k > logits.shape[1]:
            raise ValueError(f"top-k with k = {self.k} needs as many classes; there are {logits.shape[1]}")
        among = (logits.topk(self.k, dim=1).indices == target[:, None]).any(dim=1)
        return 100 * int(among.sum()) / len(target)

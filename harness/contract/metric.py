"""Metrics beyond top-1 and negative log-likelihood, which the core always measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


class Metric:
    """Base of every metric plugin; the result is recorded under the plugin's name.

    Class variables:
        unit: What the number counts: "points" (percent), "nats", "".
    """

    unit: ClassVar[str] = ""

    def compute(self, logits: Tensor, target: Tensor) -> float:
        """Return the metric over a whole split: logits float32 (N, K), target int64 (N,)."""
        raise NotImplementedError

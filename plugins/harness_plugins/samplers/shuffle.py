"""Every sample once an epoch, in random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.contract import Sampler

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Shuffle(Sampler):
    """Every sample once an epoch, in an order drawn anew for each epoch (sampling without replacement).

    Not for data whose classes are very unequal in number, where rare classes should be seen more often.
    """

    def order(self, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return a random permutation of 0 .. N-1, int64 (N,)."""
        return generator.permutation(len(labels)).astype("int64", copy=False)

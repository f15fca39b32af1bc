"""Every class as often as every other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.contract import Sampler

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Balanced(Sampler):
    """An epoch in which all classes come equally often, in random order (class-balanced sampling).

    The N places of an epoch are shared out evenly among the K classes; where K does not divide N, the classes that
    get one more are drawn. A class gives its samples in random order, each as often as every other to within one:
    a rare class repeats, of a frequent one a part has its turn in another epoch. Without chance where none is
    needed, unlike torch's `WeightedRandomSampler`, which draws with replacement.

    When not to use it: on classes of like size, where it is `shuffle`; where the frequencies of the test set are
    those of training and plain accuracy is what counts.
    """

    def order(self, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return positions in `labels`, int64 (N,), all classes equally often."""
        import numpy as np

        classes = np.unique(labels)
        quota = np.full(len(classes), len(labels) // len(classes))
        quota[generator.permutation(len(classes))[: len(labels) % len(classes)]] += 1
        chosen = []
        for label, places in zip(classes, quota, strict=True):
            members = np.flatnonzero(labels == label)
            rounds = -(-places // len(members))
            chosen.append(np.concatenate([generator.permutation(members) for _ in range(rounds)])[:places])
        return generator.permutation(np.concatenate(chosen)).astype("int64", copy=False)

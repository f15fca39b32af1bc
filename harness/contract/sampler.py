"""Samplers: the order of an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class Sampler:
    """Base of every sampler plugin."""

    def order(self, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return the order of one epoch: positions in `labels`, int64 (N,).

        Args:
            labels: int64 (N,), the labels of the samples that are trained on.
            generator: Keyed by (suite seed, replicate, epoch): the only source of chance.
        """
        raise NotImplementedError

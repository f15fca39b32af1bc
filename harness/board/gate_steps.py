"""Sustained shifts in a series that each gate finds fine: many small slowdowns, or one below the threshold.

Binary segmentation: of all places where the series may be cut, the one whose two sides' ranks differ most; its
p-value from permutations of the same ranks, the maximum over all cuts taken in each, so that looking everywhere is
paid for; then the same within both sides. Ranks, so that one hiccup is one rank. A permutation takes the points
for independent: where a machine has good and bad weeks of its own, a step says so too, and not who made it.

Sources: Pettitt 1979 (rank statistic of a change point); Vostrikova 1981 (binary segmentation); Phipson and Smyth
2010 (the +1).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.board.statistics import median_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SHORTEST = 5
"""Fewest points on either side of a step: "sustained"."""

DRAWS = 4999
ALPHA = 0.002
SMALLEST = 0.01
"""A step of less, relative, is nobody's business, however significant: memory hardly scatters at all."""


@dataclass(frozen=True, slots=True)
class Step:
    """A shift of a series.

    Attributes:
        index: Of the first point after it.
        before: Median of the stretch before it, up to the step before.
        after: Median of the stretch after it, up to the next step.
        ratio: `after` over `before`.
        p: Of the permutation test within the stretch in which it was found.
    """

    index: int
    before: float
    after: float
    ratio: float
    p: float


def detect_steps(values: Sequence[float], alpha: float = ALPHA) -> list[Step]:
    """Return the sustained steps of a series of positive numbers, in order; none in fewer than 2 x 5 points.

    The same values give the same steps: the permutations are keyed by the number of points.
    """
    found: dict[int, float] = {}
    if len(values) < 2 * SHORTEST:
        return []
    _segment(list(values), 0, alpha, found)
    kept = sorted(found)
    # A small step between two real ones may be left once the stretches are known: drop it and look again.
    while True:
        edges = [0, *kept, len(values)]
        levels = [median_of(values[start:end]) for start, end in pairwise(edges)]
        small = [
            (abs(math.log(levels[at + 1] / levels[at])), index)
            for at, index in enumerate(kept)
            if max(levels[at], levels[at + 1]) < (1 + SMALLEST) * min(levels[at], levels[at + 1])
        ]
        if not small:
            break
        kept.remove(min(small)[1])
    return [
        Step(index, levels[at], levels[at + 1], levels[at + 1] / levels[at], found[index])
        for at, index in enumerate(kept)
    ]


def _segment(values: Sequence[float], start: int, alpha: float, found: dict[int, float]) -> None:
    if len(values) < 2 * SHORTEST:
        return
    cut, p = strongest_cut(values)
    if p >= alpha:
        return
    cut = _place(values, cut)
    found[start + cut] = p
    _segment(values[:cut], start, alpha, found)
    _segment(values[cut:], start + cut, alpha, found)


def _place(values: Sequence[float], near: int) -> int:
    """Return the cut within `SHORTEST` points of `near` that leaves the least absolute deviation from both medians.

    Ranks say that there is a step, and hardly where: the first point after it may be the lowest of the higher ones.
    """
    cuts = range(max(SHORTEST, near - SHORTEST), min(len(values) - SHORTEST, near + SHORTEST) + 1)
    return min(cuts, key=lambda cut: _deviation(values[:cut]) + _deviation(values[cut:]))


def _deviation(values: Sequence[float]) -> float:
    middle = median_of(values)
    return math.fsum(abs(value - middle) for value in values)


def strongest_cut(values: Sequence[float], shortest: int = SHORTEST) -> tuple[int, float]:
    """Return the index before which a series is best cut, and the permutation p-value of that cut.

    Needs at least 2 x `shortest` values.
    """
    import numpy as np

    # Equal values share the mean of their ranks; twice that is whole.
    _, places, counts = np.unique(
        np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True
    )
    ranks = (2 * np.cumsum(counts) - counts + 1)[places]
    statistics = _statistics(ranks.astype(np.float64)[None, :], shortest)[0]
    best = int(np.argmax(statistics))
    null = _null(tuple(sorted(ranks.tolist())), shortest)
    # Equal sums may differ in their last bits.
    extreme = int(np.count_nonzero(null >= statistics[best] * (1 - 1e-12)))
    return shortest + best, (extreme + 1) / (len(null) + 1)


def _statistics(ranks: npt.NDArray[np.float64], shortest: int) -> npt.NDArray[np.float64]:
    """Return (series, cuts): how far the rank sum before each cut is from its mean, in units of its deviation.

    The deviation's factor that all cuts of one series share is left out: it cancels in a comparison of
    permutations of the same ranks.
    """
    import numpy as np

    size = ranks.shape[1]
    before = np.arange(shortest, size - shortest + 1)
    sums = np.cumsum(ranks, axis=1)[:, before - 1]
    return np.asarray(
        np.abs(sums - before * ranks.mean(axis=1, keepdims=True)) / np.sqrt(before * (size - before))
    )


@lru_cache(maxsize=256)
def _null(ranks: tuple[int, ...], shortest: int) -> npt.NDArray[np.float64]:
    """Return the largest statistic in each of `DRAWS` permutations of `ranks`."""
    import numpy as np

    key = hashlib.blake2b(f"gate/steps/{len(ranks)}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    order = np.argsort(generator.random((DRAWS, len(ranks))), axis=1)
    shuffled = np.asarray(ranks, dtype=np.float64)[order]
    return np.asarray(_statistics(shuffled, shortest).max(axis=1))

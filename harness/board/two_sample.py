"""Two samples that are not paired: the exact permutation test of their means, and Welch's interval.

For two result folders whose replicates are not the same draws of order and initialisation. Where no replicate of one
side belongs to one of the other, the labels of the sides are what could have been otherwise: under the hypothesis that
both are one population, each way of dealing the values to the sides is equally likely.

Sources: Fisher 1935 and Pitman 1937 (the permutation test); Welch 1947 (the interval; degrees of freedom by
Satterthwaite, rounded down, which makes it wider); Schuirmann 1987 (two one-sided tests); Phipson and Smyth 2010.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.board.statistics import (
    DRAWS,
    POWER,
    TIE,
    Estimate,
    deviation_of,
    mean_of,
    student_t_quantile,
    student_t_tail,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EXACT_UP_TO = 200_000
"""Ways of dealing the values; two sides of ten have 184,756."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard error of a difference of two means, and Welch's degrees of freedom, rounded down."""

    error: float
    degrees: int


def smallest_p(base: int, candidate: int) -> float:
    """Return the smallest two-sided p-value that sides of so many values can give."""
    if not base or not candidate:
        return 1.0
    return min(1.0, (2.0 if base == candidate else 1.0) / math.comb(base + candidate, candidate))


def permutation_p(base: Sequence[float], candidate: Sequence[float], seed: int = 0) -> float:
    """Return the two-sided p-value that both sides come from one population, by their means.

    The share of all ways of dealing the values to the sides whose means lie at least as far apart: all of them up to
    200,000 ways, else 10,000 that are drawn under `seed`, the observed one being one more draw.
    """
    import numpy as np

    if not base or not candidate:
        return 1.0
    centre = mean_of([*base, *candidate])
    # Sorted, so that the draws do not hang on the order of the replicates.
    values = np.asarray(sorted(value - centre for value in (*base, *candidate)))
    # About the common mean, the distance of the means is the candidate's sum times a constant.
    observed = abs(math.fsum(value - centre for value in candidate)) - TIE * float(np.abs(values).sum())
    if math.comb(len(values), len(candidate)) <= EXACT_UP_TO:
        return float(np.mean(np.abs(values[_choices(len(values), len(candidate))].sum(axis=1)) >= observed))
    sums = values[_drawn(len(values), len(candidate), seed)].sum(axis=1)
    return (int(np.count_nonzero(np.abs(sums) >= observed)) + 1) / (DRAWS + 1)


def spread_of(base: Sequence[float], candidate: Sequence[float]) -> Spread | None:
    """Return Welch's spread of the difference; None where a side has fewer than two values."""
    deviations = deviation_of(base), deviation_of(candidate)
    if deviations[0] is None or deviations[1] is None:
        return None
    one, other = deviations[0] ** 2 / len(base), deviations[1] ** 2 / len(candidate)
    if one + other == 0.0:
        return Spread(0.0, len(base) + len(candidate) - 2)
    degrees = (one + other) ** 2 / (one**2 / (len(base) - 1) + other**2 / (len(candidate) - 1))
    return Spread(math.sqrt(one + other), math.floor(degrees * (1 + TIE)))


def difference_of(base: Sequence[float], candidate: Sequence[float], alpha: float) -> Estimate | None:
    """Return candidate minus base with Welch's interval at level 1 - `alpha`; its count is the smaller side's."""
    if not base or not candidate:
        return None
    mean, count = mean_of(candidate) - mean_of(base), min(len(base), len(candidate))
    spread = spread_of(base, candidate)
    if spread is None:
        return Estimate(mean, None, None, None, count)
    half = student_t_quantile(alpha / 2, spread.degrees) * spread.error
    return Estimate(mean, mean - half, mean + half, None, count)


def equivalence_p(base: Sequence[float], candidate: Sequence[float], margin: float) -> float | None:
    """Return the larger p-value of two one-sided Welch tests that the means lie within ± `margin` of each other."""
    spread = spread_of(base, candidate)
    if spread is None:
        return None
    room = margin - abs(mean_of(candidate) - mean_of(base))
    if spread.error == 0.0:
        return 0.0 if room > 0 else 1.0
    return student_t_tail(room / spread.error, spread.degrees)


def detectable(
    base: Sequence[float], candidate: Sequence[float], alpha: float, margin: float = 0.0
) -> float | None:
    """Return the difference that Welch's test at `alpha` finds, and beyond `margin`, in 80 % of such pairs of samples.

    The difference that is measured has to reach the margin as well, as in `statistics.resolvable`.
    """
    spread = spread_of(base, candidate)
    if spread is None:
        return None
    beyond = student_t_quantile(1 - POWER, spread.degrees) * spread.error
    by_t = student_t_quantile(alpha / 2, spread.degrees) * spread.error + beyond
    return max(by_t, margin + beyond if margin else 0.0)


@lru_cache(maxsize=4)
def _choices(total: int, chosen: int) -> npt.NDArray[np.intp]:
    """Return all ways of choosing, (ways, `chosen`)."""
    import numpy as np

    flat = itertools.chain.from_iterable(itertools.combinations(range(total), chosen))
    return np.fromiter(flat, np.intp, math.comb(total, chosen) * chosen).reshape(-1, chosen)


@lru_cache(maxsize=4)
def _drawn(total: int, chosen: int, seed: int) -> npt.NDArray[np.intp]:
    """Return ways of choosing, (DRAWS, `chosen`), from Philox under a key of their own."""
    import numpy as np

    name = f"board/permutation/{seed}/{total}/{chosen}"
    key = hashlib.blake2b(name.encode(), digest_size=16).digest()
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(DRAWS * total)
    return np.argsort(words.reshape(DRAWS, total), axis=1, kind="stable")[:, :chosen]

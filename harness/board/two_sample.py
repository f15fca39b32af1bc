"""Two samples that are not paired: the permutation test of Welch's t, and Welch's interval.

For two result folders whose replicates are not the same draws of order and initialisation. Where no replicate of one
side belongs to one of the other, the labels of the sides are what could have been otherwise: under the hypothesis that
both are one population, each way of dealing the values to the sides is equally likely, and the test is exact.

What is dealt is Welch's t and not the difference of the means: two sides may have one mean and two spreads, and with
unequal counts the difference of the means then calls a third of equal arms different. With t the test keeps its level
as the sides grow, whatever their spreads (Janssen 1997). On few values some excess stays: at a level of 5 %, spreads
of 1 to 3 give 7 % (5 against 5, and 20 against 6) or 8 % (5 against 10 or 30, the wider side being the smaller), and
5 against 5 with spreads of 1 to 10 give 10 %.

Sources: Fisher 1935 and Pitman 1937 (the permutation test); Janssen 1997 (Statistics and Probability Letters 36, 9:
of a studentised statistic); Welch 1947 (t and the interval; degrees of freedom by Satterthwaite, rounded down, which
makes it wider); Schuirmann 1987 (two one-sided tests); Phipson and Smyth 2010.
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
DRAWS_BY_LEVEL = 25
"""Draws at a level of 1: so many of them lie beyond the level, that chance takes little of the power."""
ROUNDING = 1e-12
"""Of the sum of all squares, what rounding may leave of a square that is 0."""
FEWEST = 5
"""Values that each side takes for a verdict: of fewer t knows the spread too badly. Of two equal means, the spread of
the smaller side being three times the other's, 1 against 40 or 20 are called different in 48 or 46 % at a level of 5 %,
2 against 20 or 40 in 15 or 11 %, 3 against 20 in 12 %, 4 in 8 %, and 6 in 5 %."""


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


def needed_each(level: float) -> int:
    """Return the fewest values on each of two sides at which there can be a verdict at `level`."""
    return next(count for count in itertools.count(FEWEST) if suffices(count, count, level))


def suffices(base: int, candidate: int, level: float) -> bool:
    """Return whether there can be a verdict on sides of so many values at `level`."""
    return min(base, candidate) >= FEWEST and smallest_p(base, candidate) <= level


def permutation_p(
    base: Sequence[float], candidate: Sequence[float], seed: int = 0, level: float = 1.0
) -> float:
    """Return the two-sided p-value that both sides come from one population, by Welch's t.

    The share of all ways of dealing the values to the sides whose t is at least as far from 0: all of them up to
    200,000 ways, else draws under `seed`, the observed one being one more draw. A side of one value has no spread:
    the difference of the means stands for t.

    Args:
        base: The values of one side.
        candidate: Those of the other.
        seed: Keys the draws.
        level: What the p-value is compared with; there are at least 10,000 draws, and 25 / `level`.
    """
    import numpy as np

    if not base or not candidate:
        return 1.0
    centre = mean_of([*base, *candidate])
    # Sorted, so that the draws do not hang on the order of the replicates.
    values = np.asarray(sorted(value - centre for value in (*base, *candidate)))
    own = np.asarray(sorted(value - centre for value in candidate))
    observed = _squared_t(own[None], values)[0] * (1 - TIE)
    if observed == 0.0:
        return 1.0
    if math.comb(len(values), len(own)) <= EXACT_UP_TO:
        return float(np.mean(_squared_t(values[_choices(len(values), len(own))], values) >= observed))
    extreme, parts = 0, math.ceil(DRAWS_BY_LEVEL / level / DRAWS)
    for part in range(parts):
        dealt = values[_drawn(len(values), len(own), seed, part)]
        extreme += int(np.count_nonzero(_squared_t(dealt, values) >= observed))
    return (extreme + 1) / (parts * DRAWS + 1)


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


def _squared_t(own: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Welch's t, squared, of values that are dealt to one side.

    Args:
        own: What the side has, (ways, count).
        values: What both have, (total,), about their common mean.
    """
    import numpy as np

    count, rest = own.shape[1], len(values) - own.shape[1]
    sums, squares = own.sum(axis=1), (own * own).sum(axis=1)
    others, all_squares = values.sum() - sums, (values * values).sum()
    apart: npt.NDArray[np.float64] = (sums / count - others / rest) ** 2
    # What two floats of that size cannot tell from no distance, and from no spread.
    least = ROUNDING * all_squares
    apart[apart <= least] = 0.0
    if count == 1 or rest == 1:
        return apart
    error = (squares - sums * sums / count) / (count * (count - 1))
    error += (all_squares - squares - others * others / rest) / (rest * (rest - 1))
    return apart / np.maximum(error, least) if least else apart


@lru_cache(maxsize=4)
def _choices(total: int, chosen: int) -> npt.NDArray[np.intp]:
    """Return all ways of choosing, (ways, `chosen`)."""
    import numpy as np

    flat = itertools.chain.from_iterable(itertools.combinations(range(total), chosen))
    return np.fromiter(flat, np.intp, math.comb(total, chosen) * chosen).reshape(-1, chosen)


@lru_cache(maxsize=4)
def _drawn(total: int, chosen: int, seed: int, part: int) -> npt.NDArray[np.intp]:
    """Return ways of choosing, (DRAWS, `chosen`), from Philox under a key of their own."""
    import numpy as np

    name = f"board/permutation/{seed}/{total}/{chosen}/{part}"
    key = hashlib.blake2b(name.encode(), digest_size=16).digest()
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(DRAWS * total)
    return np.argsort(words.reshape(DRAWS, total), axis=1, kind="stable")[:, :chosen]

"""The sign-flip test: that paired differences are symmetric about 0.

Exact over all 2^n signs up to n = 16 non-zero differences; beyond, draws of signs keyed by the suite's seed, where
the observed signs count as one more draw. A sign hangs on the seed, the draw and its place alone, so that a p-value
depends on nothing but its own differences and many tests share one product with the drawn signs.

There are 25 / level draws, at least 10,000: with a handful of them beyond the level, chance would decide and take up to
a third of the power. They are drawn 10,000 at a time, and a test has no more of them where they would not change its
answer: as many were as extreme as the level allows of all of them (the share so far stays a p-value, as in Besag and
Clifford 1991: to be at most any a, it has to be so at the first part where a test that has stopped is above a); or its
p-value is within the level, and c P(|Z| > z), z = |sum d| / sqrt(sum d^2), which no exact one exceeds with c = 3.18
(Bentkus and Dzindzalieta 2015), is below a quarter of it: 25 draws in 25 / level are then beyond all chance.

Two sums of the same numbers may differ in their last bits, between machines as well: they are a tie within `TIE`.

Sources: PROTOCOL.md, "Replicates and the verdict"; Phipson and Smyth 2010 (the +1 of a Monte Carlo p-value); Besag and
Clifford 1991 (draws that stop); Bentkus and Dzindzalieta 2015 (a Gaussian bound for sums of signs).
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

from harness.board.distributions import normal_quantile

if TYPE_CHECKING:  # a board of 16 replicates or fewer needs no numpy and is there 0.2 s sooner
    import numpy as np
    import numpy.typing as npt

EXACT_UP_TO = 16
DRAWS = 10_000
DRAWS_BY_LEVEL = 25
"""Draws at a level of 1: how many are expected beyond a test's level."""
CLEAR = 4
"""How many times below the level the exact p-value has to lie for a test to stop there."""
BENTKUS = 3.18
"""How many times the Gaussian tail that of a sum of signs is at the most."""
PAIR_SIGNS = 2 * 10**7
"""Signs that are drawn for pairs at the most, but for those without which no p-value reaches the level."""
TIE = 1e-9
DRAWS_AT_ONCE = 1000
NUMBERS_AT_ONCE = 2**21
"""Signs, or sums under them, that are held as floats at one time at the most: 16 MiB."""


def sign_flip_p(differences: Sequence[float], seed: int = 0, level: float = 1.0) -> float:
    """Return the p-value of `sign_flip_ps` for one arm."""
    return sign_flip_ps([differences], seed, level)[0]


def sign_flip_ps(arms: Sequence[Sequence[float]], seed: int = 0, level: float = 1.0) -> list[float]:
    """Return the two-sided p-values of the sign-flip tests that paired differences are symmetric about 0.

    A difference of zero has no sign and is left out. The order of an arm's differences changes nothing.

    Args:
        arms: By arm, one number a pair. Arms are tested apart; together they share the drawing of signs.
        seed: Keys the draws.
        level: What a p-value is compared with at first: alpha / family. More than 20 arms at 5 % take more than 10,000
            draws.
    """
    p_values = [1.0] * len(arms)
    drawn: list[tuple[int, Sequence[float], float]] = []
    for index, differences in enumerate(arms):
        # Sorted, so that equal differences in any order meet the same draws.
        sizes = sorted(abs(difference) for difference in differences if difference != 0.0)
        observed = abs(math.fsum(differences)) - TIE * math.fsum(sizes)
        if sizes and len(sizes) <= EXACT_UP_TO:
            p_values[index] = _exact_share(sizes, observed)
        elif sizes:
            drawn.append((index, sizes, observed))
    if drawn:
        indices, sizes_of, observed_of = zip(*drawn, strict=True)
        for index, share in zip(indices, _drawn_shares(sizes_of, observed_of, seed, level), strict=True):
            p_values[index] = share
    return p_values


def pair_flip_ps(
    arms: Mapping[str, Mapping[int, float]], needed: int, seed: int = 0, level: float = 1.0
) -> dict[tuple[str, str], float]:
    """Return the p-values of `sign_flip_ps` for each pair of arms, the one that is better on average first.

    Above 16 replicates a drawn sign belongs to a replicate: the same differences of other replicates meet other draws.

    Args:
        arms: By arm, its value by replicate.
        needed: Of how many replicates two arms have to have values, not to be left out.
        seed: Keys the draws.
        level: As in `sign_flip_ps`; but where 25 / level draws would take more than 20,000,000 signs, there are fewer
            of them, for a board has to be there in a second: with 200 replicates, pairs of 50 arms have a sixth of
            them, four beyond the level.
    """
    replicates = sorted({replicate for values in arms.values() for replicate in values})
    if len(replicates) > EXACT_UP_TO:
        return _many_pair_ps(arms, replicates, needed, seed, level)
    tested: dict[tuple[str, str], list[float]] = {}
    for one, other in combinations(arms, 2):
        common = [
            replicate for replicate in replicates if replicate in arms[one] and replicate in arms[other]
        ]
        if len(common) >= needed:
            differences = [arms[one][replicate] - arms[other][replicate] for replicate in common]
            tested[(one, other) if math.fsum(differences) > 0 else (other, one)] = differences
    return dict(zip(tested, sign_flip_ps(list(tested.values()), seed, level), strict=True))


def _exact_share(sizes: Sequence[float], observed: float) -> float:
    """Return the share of all sign vectors whose sum is at least `observed` away from 0.

    Every sum is one of the left half's plus one of the right half's, so sorting the right half's makes the count
    2^(n/2) bisections.
    """
    half = len(sizes) // 2
    left, right = _signed_sums(sizes[:half]), sorted(_signed_sums(sizes[half:]))
    count = 0
    for value in left:
        above = max(bisect_left(right, observed - value), bisect_right(right, -observed - value))
        count += len(right) - above + bisect_right(right, -observed - value)
    return count / 2.0 ** len(sizes)


def _signed_sums(sizes: Sequence[float]) -> list[float]:
    sums = [0.0]
    for size in sizes:
        sums = [total + sign for sign in (size, -size) for total in sums]
    return sums


def _drawn_shares(
    sizes: Sequence[Sequence[float]], observed: Sequence[float], seed: int, level: float
) -> list[float]:
    import numpy as np

    rows, least = np.zeros((len(sizes), max(map(len, sizes)))), np.array(observed)[:, None]
    for row, own in zip(rows, sizes, strict=True):
        row[: len(own)] = own

    def count(part: int, tests: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        own, extreme = rows[tests], np.zeros(len(tests), np.int64)
        for signs in _drawn_signs(seed, part, own.shape[1], len(own)):
            extreme += np.count_nonzero(np.abs(own @ signs) >= least[tests], axis=1)
        return extreme

    return _shares(count, least[:, 0], (rows * rows).sum(axis=1), level, _parts(DRAWS_BY_LEVEL, level))


def _many_pair_ps(
    arms: Mapping[str, Mapping[int, float]], replicates: Sequence[int], needed: int, seed: int, level: float
) -> dict[tuple[str, str], float]:
    """Return `pair_flip_ps` without a product for each pair.

    Under given signs a pair's differences add up to the one arm's sum less the other's, each over the replicates of
    both: one product gives the sums of all arms, and of the replicates that an arm lacks another is taken off.
    """
    import numpy as np

    values = np.array([[own.get(replicate, math.nan) for replicate in replicates] for own in arms.values()])
    lacking = np.isnan(values)
    one, other = np.triu_indices(len(values), 1)
    has_enough = np.count_nonzero(~lacking[one] & ~lacking[other], axis=1) >= needed
    one, other = one[has_enough], other[has_enough]
    differences = np.nan_to_num(values[one] - values[other])
    totals = differences.sum(axis=1)
    least = (np.abs(totals) - TIE * np.abs(differences).sum(axis=1))[:, None]
    # Near 0, where what is subtracted at the end loses no digits.
    values = np.nan_to_num(values - np.nanmedian(values))

    def count(part: int, tests: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        extreme = np.zeros(len(tests), np.int64)
        of, places = np.unique(np.stack([one[tests], other[tests]]), return_inverse=True)
        own, gaps, pairs = values[of], lacking[of], places.reshape(2, -1).T.tolist()
        for signs in _drawn_signs(seed, part, len(replicates), len(tests)):
            sums = own @ signs
            over = [sums - own[:, none] @ signs[none] if none.any() else sums for none in gaps]
            between = np.array([over[b][a] - over[a][b] for a, b in pairs])
            extreme += np.count_nonzero(np.abs(between) >= least[tests], axis=1)
        return extreme

    wanted = min(_parts(DRAWS_BY_LEVEL, level), PAIR_SIGNS // (DRAWS * len(replicates)))
    parts = max(wanted, _parts(1, level))
    shares = _shares(count, least[:, 0], (differences * differences).sum(axis=1), level, parts)
    names = list(arms)
    pairs = [(names[a], names[b]) for a, b in zip(one, other, strict=True)]
    found = {}
    for pair, share, total, own in zip(pairs, shares, totals, differences, strict=True):
        is_exact = np.count_nonzero(own) <= EXACT_UP_TO
        found[pair if total > 0 else pair[::-1]] = sign_flip_p(own.tolist()) if is_exact else share
    return found


def _parts(beyond: int, level: float) -> int:
    """Return how many times `DRAWS` it takes for `beyond` of them to lie beyond `level`."""
    return max(1, math.ceil(beyond / level / DRAWS))


def _shares(
    count: Callable[[int, npt.NDArray[np.intp]], npt.NDArray[np.int64]],
    observed: npt.NDArray[np.float64],
    squares: npt.NDArray[np.float64],
    level: float,
    parts: int,
) -> list[float]:
    """Return the p-values of drawn tests, each by as many draws as can change its answer.

    Args:
        count: Gives how many of one part's draws are as extreme as what was seen, for the tests of those numbers.
        observed: How far what was seen lies from 0, (tests,).
        squares: The sum of the squares of a test's differences, (tests,).
        level: What the p-values are compared with.
        parts: How many times `DRAWS` there are at the most.
    """
    import numpy as np

    is_clear = observed**2 >= squares * normal_quantile(level / (2 * BENTKUS * CLEAR)) ** 2
    extreme, draws = np.zeros(len(observed), np.int64), np.zeros(len(observed), np.int64)
    tests = np.arange(len(observed))
    # The largest number of draws, the observed one among them, that are as extreme and still within the level.
    most = level * (parts * DRAWS + 1)
    for part in range(parts):
        extreme[tests] += count(part, tests)
        draws[tests] += DRAWS
        counted = extreme[tests] + 1
        is_found = is_clear[tests] & (counted <= level * (draws[tests] + 1))
        tests = tests[(counted <= most) & ~is_found]
        if not len(tests):
            break
    found: list[float] = ((extreme + 1) / (draws + 1)).tolist()
    return found


def _drawn_signs(seed: int, part: int, places: int, tests: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield a part's drawn signs of so many places, some of the draws at a time: (`places`, draws) of -1 and 1."""
    import numpy as np

    octets = max(1, min(DRAWS_AT_ONCE, NUMBERS_AT_ONCE // max(places, tests)) // 8)
    bits = _drawn_bits(seed, part, places)
    for start in range(0, bits.shape[1], octets):
        ones = np.unpackbits(bits[:, start : start + octets], axis=1).view(np.int8)
        yield (ones * np.int8(2) - np.int8(1)).astype(np.float64)


@lru_cache(maxsize=4)
def _drawn_bits(seed: int, part: int, places: int) -> npt.NDArray[np.uint8]:
    """Return the signs of `DRAWS` draws as bits, uint8 (`places`, DRAWS / 8), from Philox under a key of their own.

    The bits of fewer places are the first rows of those of more.
    """
    import numpy as np

    key = hashlib.blake2b(f"board/sign-flip/{seed}/{part}".encode(), digest_size=16).digest()
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(places * -(-DRAWS // 64))
    return words.astype("<u8").view(np.uint8).reshape(places, -1)[:, : DRAWS // 8]

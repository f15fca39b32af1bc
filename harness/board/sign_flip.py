"""The sign-flip test: that paired differences are symmetric about 0.

Exact over all 2^n signs up to n = 16 non-zero differences; beyond, 10,000 draws of signs keyed by the suite's seed,
where the observed signs count as one more draw. A sign hangs on the seed, the draw and its place alone, so that a
p-value depends on nothing but its own differences and many tests share one product with the drawn signs.

Two sums of the same numbers may differ in their last bits, between machines as well: they are a tie within `TIE`.

Sources: PROTOCOL.md, "Replicates and the verdict"; Phipson and Smyth 2010 (the +1 of a Monte Carlo p-value).
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a board of 16 replicates or fewer needs no numpy and is there 0.2 s sooner
    import numpy as np
    import numpy.typing as npt

EXACT_UP_TO = 16
DRAWS = 10_000
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
        level: What a p-value is compared with at first. Where 10,000 draws could never reach it (a family of more than
            500 arms), there are as many times 10,000 as it takes.
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
        level: As in `sign_flip_ps`.
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
    extreme = np.zeros(len(sizes), np.int64)
    for signs in _drawn_signs(seed, level, rows.shape[1], len(rows)):
        extreme += np.count_nonzero(np.abs(rows @ signs) >= least, axis=1)
    return _shares(extreme, level)


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
    extreme = np.zeros(len(totals), np.int64)
    for signs in _drawn_signs(seed, level, len(replicates), len(totals)):
        sums = values @ signs
        over = [sums - values[:, none] @ signs[none] if none.any() else sums for none in lacking]
        between = np.array([over[b][a] - over[a][b] for a, b in zip(one, other, strict=True)])
        extreme += np.count_nonzero(np.abs(between) >= least, axis=1)
    names = list(arms)
    pairs = [(names[a], names[b]) for a, b in zip(one, other, strict=True)]
    found = {}
    for pair, share, total, own in zip(pairs, _shares(extreme, level), totals, differences, strict=True):
        is_exact = np.count_nonzero(own) <= EXACT_UP_TO
        found[pair if total > 0 else pair[::-1]] = sign_flip_p(own.tolist()) if is_exact else share
    return found


def _parts(level: float) -> int:
    """Return how many times `DRAWS` it takes for a p-value of `level`."""
    return max(1, math.ceil((1 / level - 1) / DRAWS))


def _shares(extreme: npt.NDArray[np.int64], level: float) -> list[float]:
    return [(count + 1) / (_parts(level) * DRAWS + 1) for count in extreme.tolist()]


def _drawn_signs(seed: int, level: float, places: int, tests: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield all drawn signs of so many places, some of the draws at a time: (`places`, draws) of -1 and 1."""
    import numpy as np

    octets = max(1, min(DRAWS_AT_ONCE, NUMBERS_AT_ONCE // max(places, tests)) // 8)
    for part in range(_parts(level)):
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

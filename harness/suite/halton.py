"""Quasi-random points: Halton's sequence, its digits scrambled.

Halton (1960): coordinate d of point i is i's radical inverse in the d-th prime base b, the sum of digit_j(i) b^(-j-1).
Plain, the coordinates of large bases run in step with each other for the first points; a random permutation of the
digits at each place ends that and keeps the strata: of b^m points in a row that begin at a multiple of b^m, one lies
in each interval of length b^-m (Owen 2017, arXiv:1706.02808). Permutations are keyed by a name, so a point depends on
nothing but its number and its name. For some tens of points, better spread than independent draws and than a grid
(Bergstra & Bengio 2012).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

_BITS = 53
"""Of a float's mantissa: digits beyond them are lost."""


def halton(index: int, names: Sequence[str]) -> list[float]:
    """Return a point of the scrambled sequence.

    Args:
        index: Its number, from 0.
        names: A name for each coordinate, which keys its permutations; the d-th gets the d-th prime.

    Returns:
        A number in [0, 1) for each name.
    """
    return [_coordinate(index, base, name) for base, name in zip(primes(len(names)), names, strict=True)]


def _coordinate(index: int, base: int, name: str) -> float:
    value, weight = 0.0, 1.0
    for place in range(math.ceil(_BITS / math.log2(base))):
        index, digit = divmod(index, base)
        weight /= base
        value += permutation(base, f"{name}\x00{place}")[digit] * weight
    return min(value, 1.0 - 2.0**-_BITS)  # a sum of rounded parts may reach 1


def permutation(count: int, name: str) -> list[int]:
    """Return the numbers below `count` in an order that the name alone decides."""
    return sorted(range(count), key=lambda number: hashlib.blake2b(f"{name}\x00{number}".encode()).digest())


def primes(count: int) -> list[int]:
    """Return the first primes."""
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found

"""Tables of bits, a replicate a row and a test example a column: counted by row, by column, and where two differ.

A few rows are counted as whole Python numbers: 10,000 examples take a microsecond a row, and numpy is not needed.
Many are counted by numpy where that is loaded already. All counts are whole numbers, so both ways say the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

_FEW = 64
"""Rows up to which Python's whole numbers are as fast."""


def hits_of(rows: Sequence[bytes]) -> list[int]:
    """Return how many bits of each row are set."""
    if numpy := _numpy(rows):
        found: list[int] = numpy.bitwise_count(_words(numpy, rows)).sum(axis=1, dtype=numpy.int64).tolist()
        return found
    return [int.from_bytes(row, "big").bit_count() for row in rows]


def unlike(rows: Sequence[bytes], others: Sequence[bytes]) -> int:
    """Return in how many bits two tables of one shape differ."""
    if numpy := _numpy(rows):
        return int(numpy.bitwise_count(_words(numpy, rows) ^ _words(numpy, others)).sum(dtype=numpy.int64))
    pairs = zip(rows, others, strict=True)
    return sum((int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_count() for one, two in pairs)


def column_counts(rows: Sequence[bytes]) -> list[int]:
    """Return how many rows have each bit set, as binary digits: the k-th number holds every column's digit of 2^k."""
    if numpy := _numpy(rows):
        summed = _summed(numpy, _words(numpy, rows))
        return [int.from_bytes(digit.tobytes()[: len(rows[0])], "big") for digit in summed]
    digits: list[int] = []
    for row in rows:
        carry, place = int.from_bytes(row, "big"), 0
        while carry:
            if place == len(digits):
                digits.append(0)
            digits[place], carry = digits[place] ^ carry, digits[place] & carry
            place += 1
    return digits


def products(counts: Sequence[int], others: Sequence[int]) -> int:
    """Return the sum over columns of one count times the other."""
    return sum(
        (one & other).bit_count() << (place + other_place)
        for place, one in enumerate(counts)
        for other_place, other in enumerate(others)
    )


def _numpy(rows: Sequence[bytes]) -> Any:
    return sys.modules.get("numpy") if len(rows) > _FEW else None


def _words(numpy: Any, rows: Sequence[bytes]) -> Any:
    """Return rows as 64-bit words, (rows, words); behind the last byte stand zeros."""
    width = len(rows[0])
    words = numpy.zeros((len(rows), -(-width // 8) * 8), numpy.uint8)
    words[:, :width] = numpy.frombuffer(b"".join(rows), numpy.uint8).reshape(len(rows), width)
    return words.view(numpy.uint64)


def _summed(numpy: Any, words: Any) -> list[Any]:
    """Return the binary digits of each column's sum: rows are added in pairs, all pairs at once, until one is left."""
    digits = [words]
    while len(digits[0]) > 1:
        if len(digits[0]) % 2:
            digits = [numpy.concatenate([digit, numpy.zeros_like(digit[:1])]) for digit in digits]
        carry: Any = None
        added = []
        for digit in digits:
            one, two = digit[0::2], digit[1::2]
            half, over = one ^ two, one & two
            if carry is not None:
                half, over = half ^ carry, over | (half & carry)
            added.append(half)
            carry = over
        digits = [*added, carry] if carry.any() else added
    return digits

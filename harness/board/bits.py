"""Tables of bits, a replicate a row and a test example a column: counted by row, by column, and where two differ.

A few rows are counted as whole Python numbers: 10,000 examples take a microsecond a row, and numpy is not needed.
Many are counted by numpy where that is loaded already. All counts are whole numbers, so both ways say the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from harness.board.columns import numpy_of

_FEW = 64
"""Rows up to which Python's whole numbers are as fast."""

Bits = Sequence[Any]
"""Rows with zeros behind them up to a multiple of 64: Python's whole numbers, or an array of numpy's, (rows, words)."""


def bits_of(data: bytes, rows: int) -> Bits:
    """Return so many packed rows of one length as they are counted."""
    width = len(data) // rows if rows else 0
    if not (numpy := sys.modules.get("numpy") if rows > _FEW else None):
        begins = range(0, rows * width, width or 1)
        return [int.from_bytes(data[at : at + width], "big") << 8 * (-width % 8) for at in begins]
    words = numpy.zeros((rows, width + -width % 8), numpy.uint8)
    words[:, :width] = numpy.frombuffer(data, numpy.uint8).reshape(rows, width)
    found: Bits = words.view(numpy.uint64)
    return found


def taking(bits: Bits, places: Sequence[int]) -> Bits:
    """Return the rows at `places`."""
    if len(places) == len(bits):  # nearly always
        return bits
    if numpy := numpy_of(bits):
        found: Bits = numpy.take(bits, places, axis=0)
        return found
    return [bits[place] for place in places]


def hits_of(bits: Bits) -> list[int]:
    """Return how many bits of each row are set."""
    if numpy := numpy_of(bits):
        found: list[int] = numpy.bitwise_count(bits).sum(axis=1, dtype=numpy.int64).tolist()
        return found
    return [row.bit_count() for row in bits]


def unlike(bits: Bits, others: Bits) -> int:
    """Return in how many bits two tables of one shape differ."""
    if (numpy := numpy_of(bits)) and numpy_of(others):
        return int(numpy.bitwise_count(numpy.bitwise_xor(bits, others)).sum(dtype=numpy.int64))
    return sum((one ^ two).bit_count() for one, two in zip(_numbers(bits), _numbers(others), strict=True))


def column_counts(bits: Bits) -> list[int]:
    """Return how many rows have each bit set, as binary digits: the k-th number holds every column's digit of 2^k."""
    if numpy := numpy_of(bits):
        return [number for digit in _summed(numpy, bits) for number in _numbers(digit)]
    digits: list[int] = []
    for row in bits:
        carry, place = row, 0
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


def _numbers(bits: Bits) -> list[int]:
    """Return rows as Python's whole numbers."""
    return bits if isinstance(bits, list) else [int.from_bytes(row.tobytes(), "big") for row in bits]


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

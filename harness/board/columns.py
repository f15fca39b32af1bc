"""Tables of numbers, a replicate a row: what a board says of their columns.

Sums are `math.fsum`, exactly rounded; what is done number by number is done by numpy where that is loaded already (a
board of thousands of records loads it), in Python elsewhere. Both give the same bits.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from operator import mul
from typing import Any

Column = Sequence[float]


def table_of(rows: Sequence[bytes]) -> list[Column]:
    """Return the columns of packed float64 rows; a short row ends in NaN."""
    width = max(map(len, rows), default=0)
    if not width:
        return []
    missing = array("d", [math.nan]).tobytes() * (width // 8)
    values = array("d", b"".join(row if len(row) == width else row + missing[len(row) :] for row in rows))
    return [values[column :: width // 8] for column in range(width // 8)]


def squares_about(column: Column, middle: float) -> float:
    """Return the sum of the squared differences of a column's numbers from one number; infinite beyond any float."""
    try:
        if numpy := _numpy(column):
            away = numpy.asarray(column) - middle
            return math.fsum((away * away).tolist())
        away = [value - middle for value in column]
        return math.fsum(map(mul, away, away))
    except OverflowError:
        return math.inf


def totals_of(rows: Sequence[bytes], typecode: str) -> list[float]:
    """Return the sum of each column of packed rows of equal length: int32 for typecode `i`, float64 for `d`."""
    values = array(typecode, b"".join(rows))
    width = len(values) // len(rows)
    if typecode == "i" and (numpy := _numpy(values)):
        found: list[float] = numpy.asarray(values).reshape(-1, width).sum(axis=0, dtype="int64").tolist()
        return found
    return [math.fsum(values[column::width]) for column in range(width)]


def _numpy(values: Sequence[float]) -> Any:
    """Return numpy where it is loaded and pays; else None."""
    return sys.modules.get("numpy") if len(values) > 64 else None

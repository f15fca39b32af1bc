"""Tables of numbers, a replicate a row: what a board says of their columns.

Sums are `math.fsum`, exactly rounded; what is done number by number is done by numpy where that is loaded already (a
board of thousands of records loads it), in Python elsewhere. Both give the same bits.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence
from operator import mul, sub
from typing import Any

Column = Sequence[float]


def table_of(rows: Sequence[bytes], typecode: str = "d") -> list[Column]:
    """Return the columns of packed rows of one length: float64 for typecode `d`, int32 for `i`."""
    values = array(typecode, b"".join(rows))
    width = len(values) // len(rows) if rows else 0
    return [values[column::width] for column in range(width)]


def totals_of(rows: Sequence[bytes]) -> list[int]:
    """Return the sum of each column of packed int32 rows of one length."""
    if numpy := _numpy(rows):
        whole = numpy.frombuffer(b"".join(rows), numpy.int32).reshape(len(rows), -1)
        found: list[int] = whole.sum(axis=0, dtype=numpy.int64).tolist()
        return found
    return [sum(column) for column in zip(*(array("i", row) for row in rows), strict=True)]


def shares_of(column: Column, whole: int) -> Column:
    """Return each number of a column in per cent of `whole`; NaN where that is nothing."""
    if not whole:
        return array("d", [math.nan]) * len(column)
    if numpy := _numpy(column):
        found: Column = array("d", (100.0 * numpy.asarray(column) / whole).tobytes())
        return found
    return array("d", [100.0 * value / whole for value in column])


def minus(column: Column, other: Column) -> Column:
    """Return one column less another."""
    if numpy := _numpy(column):
        found: Column = array("d", (numpy.asarray(column) - numpy.asarray(other)).tobytes())
        return found
    return array("d", map(sub, column, other))


def squares_about(column: Column, middle: float) -> float:
    """Return the sum of the squared differences of a column's numbers from one number; infinite beyond any float."""
    try:
        if numpy := _numpy(column):
            with numpy.errstate(over="ignore", invalid="ignore"):
                away = numpy.asarray(column) - middle
                return math.fsum((away * away).tolist())
        away = [value - middle for value in column]
        return math.fsum(map(mul, away, away))
    except OverflowError:
        return math.inf


def _numpy(values: Sequence[Any]) -> Any:
    """Return numpy where it is loaded and pays; else None."""
    return sys.modules.get("numpy") if len(values) > 64 else None

"""Tables of numbers, a replicate a row: what a board says of their columns.

Sums are exactly rounded, as `math.fsum`'s are. What is done number by number is done by numpy where that is loaded
already (a board of thousands of records loads it), a whole table at once; in Python elsewhere. Both give the same bits.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import mul, sub
from typing import Any, NamedTuple, TypeVar

from harness.board.statistics import mean_of

Column = Sequence[float]
Columns = Sequence[Column]
"""A list of columns, or an array of numpy's, (columns, rows)."""

AT_ONCE = 1 << 17
"""Numbers that numpy is handed at once: what it makes of them stays in the processor's cache."""
T = TypeVar("T")


class Moments(NamedTuple):
    """What a column says in sum.

    Attributes:
        size: How many finite numbers it has.
        mean: Their mean; None where there is none.
        squares: The sum of their squared differences from it; infinite where that is beyond any float.
    """

    size: int
    mean: float | None
    squares: float


def columns_of(data: bytes, rows: int, typecode: str = "d") -> Columns:
    """Return the columns of so many packed rows of one length: float64 for typecode `d`, int32 for `i`."""
    if numpy := _numpy(rows):
        whole = numpy.frombuffer(data, numpy.dtype(typecode)).reshape(rows, -1)
        found: Columns = numpy.ascontiguousarray(whole.T)
        return found
    values = array(typecode, data)
    width = len(values) // rows if rows else 0
    return [values[column::width] for column in range(width)]


def totals_of(data: bytes, rows: int) -> list[int]:
    """Return the sum of each column of so many packed int32 rows of one length."""
    if numpy := _numpy(rows):
        whole = numpy.frombuffer(data, numpy.int32).reshape(rows, -1)
        found: list[int] = whole.sum(axis=0, dtype=numpy.int64).tolist()
        return found
    return [sum(map(int, column)) for column in columns_of(data, rows, "i")]


def shares_of(columns: Columns, wholes: Sequence[int]) -> Columns:
    """Return each column's numbers in per cent of a whole of its own; NaN where that is nothing."""
    if numpy := numpy_of(columns):
        found: Columns = (
            100.0 * numpy.asarray(columns) / numpy.array([one or math.nan for one in wholes])[:, None]
        )
        return found
    return [
        array("d", [100.0 * value / whole if whole else math.nan for value in column])
        for column, whole in zip(columns, wholes, strict=True)
    ]


def minus(columns: Columns, others: Columns) -> Columns:
    """Return columns less others of the same shape."""
    if numpy_of(columns) and numpy_of(others):
        return columns - others  # type: ignore[operator, no-any-return]
    return [array("d", map(sub, one, other)) for one, other in zip(columns, others, strict=True)]


def taking(columns: Columns, places: Sequence[int]) -> Columns:
    """Return columns with the rows at `places` alone."""
    if numpy_of(columns):
        return columns[:, places]  # type: ignore[call-overload, no-any-return]
    return [[column[place] for place in places] for column in columns]


def sizes_of(columns: Columns) -> Columns:
    """Return each number without its sign."""
    if numpy := numpy_of(columns):
        found: Columns = numpy.abs(columns)
        return found
    return [array("d", map(abs, column)) for column in columns]


def turned(columns: Columns) -> Columns:
    """Return the rows as columns."""
    if numpy := numpy_of(columns):
        found: Columns = numpy.transpose(columns)
        return found
    return list(zip(*columns, strict=True))


def each(told_of: Callable[[Columns], list[T]], tables: Iterable[Columns]) -> Iterator[list[T]]:
    """Yield what `told_of` says of the columns of each table, having numpy look at several small ones at once."""
    together: list[Columns] = []
    for table in tables:
        if together and not _fits(table, together):
            yield from _each(told_of, together)
            together = []
        together.append(table)
    yield from _each(told_of, together)


def _fits(table: Columns, others: Sequence[Columns]) -> bool:
    """Return whether a table may be put below others: all are numpy's, of equally many rows, and few in sum."""
    if not all(map(numpy_of, (table, others[0]))) or not len(table) or not len(others[0]):
        return False
    rows = len(table[0])
    return rows == len(others[0][0]) and rows * (len(table) + sum(map(len, others))) <= AT_ONCE


def _each(told_of: Callable[[Columns], list[T]], tables: Sequence[Columns]) -> Iterator[list[T]]:
    if len(tables) < 2:
        yield from map(told_of, tables)
        return
    told = iter(told_of(sys.modules["numpy"].concatenate(tables)))
    yield from (list(islice(told, len(table))) for table in tables)


def sums_of(columns: Columns) -> list[float]:
    """Return each column's sum; NaN where it is none."""
    if numpy := numpy_of(columns):
        return _sums(numpy, columns)
    return list(map(_sum, columns))


def moments_of(columns: Columns) -> list[Moments]:
    """Return what each column says in sum; nearly all have nothing but finite numbers, and are taken at once."""
    if (numpy := numpy_of(columns)) and len(columns) and len(columns[0]):
        count = len(columns[0])
        sums = sums_of(columns)
        with numpy.errstate(over="ignore", invalid="ignore"):
            away = columns - numpy.array(sums)[:, None] / count
            squares = sums_of(away * away)
        return [
            Moments(count, total / count, square)
            if math.isfinite(total) and math.isfinite(square)
            else _moments(column.tolist())  # type: ignore[attr-defined]
            for column, total, square in zip(columns, sums, squares, strict=True)
        ]
    return list(map(_moments, columns))


def _moments(column: Column) -> Moments:
    values = column if math.isfinite(_sum(column)) else [one for one in column if math.isfinite(one)]
    if not len(values):
        return Moments(0, None, 0.0)
    mean = mean_of(values)
    away = [value - mean for value in values]
    squares = _sum(list(map(mul, away, away)))
    return Moments(len(values), mean, math.inf if math.isnan(squares) else squares)


def _sum(values: Column) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # beyond any float; infinities of both signs
        return math.nan


def _sums(numpy: Any, columns: Any) -> list[float]:
    """Return the exactly rounded sum of each column, (columns, rows).

    The halves of each column are added to each other until one number is left. What an addition rounds off is a float
    itself (Knuth, The Art of Computer Programming 2, 4.2.2, theorem B), and is added up beside. The sum of these parts
    is not exact: with u = 2^-53 they are at most 31 u of the sum of all sizes for up to 2^31 rows, and adding fewer
    than 2 rows of them rounds off at most 2 rows * u of that, below rows * 2^-99 of all sizes. Where both bounds round
    to one float, that is the sum; elsewhere (once in billions of columns, or where a number is not finite) `math.fsum`
    tells.
    """
    count = columns.shape[1]
    high = numpy.zeros((len(columns), 1 << max(0, count - 1).bit_length()))
    high[:, :count] = columns
    low = numpy.zeros(len(columns))
    with numpy.errstate(over="ignore", invalid="ignore"):
        size = numpy.abs(high).sum(axis=1)
        while (half := high.shape[1] // 2) > 0:
            one, other = high[:, :half], high[:, half:]
            high = one + other
            of_other = high - one
            low += ((one - (high - of_other)) + (other - of_other)).sum(axis=1)
        off = size * (count * 2.0**-99)
        least, most = high[:, 0] + (low - off), high[:, 0] + (low + off)
    return [
        one if one == other else _sum(column.tolist())
        for one, other, column in zip(least.tolist(), most.tolist(), columns, strict=True)
    ]


def _numpy(rows: int) -> Any:
    """Return numpy where it is loaded and pays; else None."""
    return sys.modules.get("numpy") if rows > 64 else None


def numpy_of(table: Sequence[Any]) -> Any:
    """Return numpy where a table is an array of it; else None."""
    return None if isinstance(table, list) else sys.modules["numpy"]

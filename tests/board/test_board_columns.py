"""Columns of packed tables: numpy and Python give the same bits, and both are what arithmetic by hand gives."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.board import columns

DRAW = np.random.default_rng(3)
TABLE = DRAW.normal(1e3, 1e-3, (200, 5))
COUNTS = DRAW.integers(0, 2**31 - 1, (200, 4), dtype=np.int32)


def packed(table: Any) -> tuple[bytes, int]:
    return table.tobytes(), len(table)


def listed(table: columns.Columns) -> list[list[float]]:
    return [list(map(float, column)) for column in table]


def told() -> dict[str, Any]:
    whole, counts = columns.columns_of(*packed(TABLE)), columns.columns_of(*packed(COUNTS), "i")
    return {
        "columns": listed(whole),
        "sums": columns.sums_of(whole),
        "moments": columns.moments_of(whole),
        "totals": columns.totals_of(*packed(COUNTS)),
        "shares": listed(columns.shares_of(counts, [7, 0, 1, 3])),
        "minus": listed(columns.minus(whole[:2], whole[2:4])),
        "sizes": columns.sums_of(columns.turned(columns.sizes_of(columns.minus(whole[:2], whole[2:4])))),
        "taking": listed(columns.taking(whole, [3, 199])),
    }


def test_both_ways_give_the_same_bits_and_those_of_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = told()
    monkeypatch.setattr(columns, "_numpy", lambda _: None)
    assert repr(told()) == repr(fast)  # NaN equals itself there
    assert fast["columns"] == TABLE.T.tolist()
    assert fast["sums"] == [math.fsum(column) for column in TABLE.T.tolist()]
    for column, (size, mean, squares) in zip(TABLE.T.tolist(), fast["moments"], strict=True):
        assert (size, mean) == (200, math.fsum(column) / 200)
        assert squares == math.fsum((value - mean) * (value - mean) for value in column)
    assert fast["totals"] == [sum(column) for column in COUNTS.T.tolist()]  # beyond what 32 bits hold
    assert fast["shares"][0] == [100.0 * value / 7 for value in COUNTS[:, 0].tolist()]
    assert all(map(math.isnan, fast["shares"][1]))  # of a class without examples
    assert fast["minus"][0] == [row[0] - row[2] for row in TABLE.tolist()]
    assert fast["sizes"] == [abs(a - c) + abs(b - d) for a, b, c, d, _ in TABLE.tolist()]
    assert fast["taking"] == TABLE[[3, 199]].T.tolist()


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [1e16, 1.0, -1e16, 2.0**-1074, -(2.0**-1074), 2.0**-53, 1.0 + 2.0**-52, -0.0, 1e308]
)


@given(st.lists(NUMBERS, min_size=65, max_size=140), st.booleans())
@settings(max_examples=150)
def test_a_sum_is_the_float_next_to_the_true_one(values: list[float], is_cancelled: bool) -> None:
    """Against fractions, which do not round; half of them with sums that are all but gone."""
    if is_cancelled:
        values += [-value for value in values[:-1]]
    (found,) = columns.sums_of(np.array([values]))
    try:
        wanted = float(sum(map(Fraction, values)))
    except OverflowError:
        assert not math.isfinite(found)
        return
    # A sum that is a float may still be out of reach of `math.fsum`, whose parts overflow.
    assert found == wanted or (math.isnan(found) and max(map(abs, values)) > 1e300)


def test_nearly_every_sum_is_told_without_going_through_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[int] = []
    monkeypatch.setattr(columns, "_sum", lambda values: again.append(1) or math.fsum(values))
    table = DRAW.normal(size=(300, 2000)) * 10.0 ** DRAW.integers(-8, 8, (300, 2000))
    assert columns.sums_of(table) == [math.fsum(column) for column in table.tolist()]
    assert not again


@pytest.mark.parametrize("rows", [3, 100])
def test_numbers_that_are_none_count_for_nothing(rows: int) -> None:
    table = np.arange(3.0 * rows).reshape(rows, 3)
    table[1, 0], table[0, 0], table[:, 2] = math.nan, math.inf, -math.inf
    one, two, three = columns.moments_of(columns.columns_of(*packed(table)))
    left = table[2:, 0].tolist()
    assert one[:2] == (rows - 2, math.fsum(left) / len(left))
    assert two == (rows, *by_hand(table[:, 1].tolist()))
    assert three == (0, None, 0.0)


def by_hand(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values)


@pytest.mark.parametrize("rows", [3, 100])
def test_what_is_beyond_any_float_and_what_is_nothing(rows: int) -> None:
    huge = array("d", [value for row in range(rows) for value in (1.6e308 if row % 2 else 1.5e308, row)])
    one, two = columns.moments_of(columns.columns_of(huge.tobytes(), rows))
    assert one.mean == pytest.approx(1.55e308, rel=0.02)
    assert one.squares == math.inf
    assert two.mean == (rows - 1) / 2
    assert list(columns.columns_of(b"", 0)) == []
    assert columns.moments_of([]) == []


def test_tables_are_told_alike_alone_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [
        columns.columns_of(*packed(DRAW.normal(size=(rows, width))))
        for rows, width in ((70, 2), (70, 3), (70, 1), (90, 2), (3, 2), (3, 1), (70, 2))
    ]
    tables.insert(2, [])
    asked: list[int] = []

    def told_of(table: columns.Columns) -> list[columns.Moments]:
        asked.append(len(table))
        return columns.moments_of(table)

    alone = [columns.moments_of(table) for table in tables]
    assert list(columns.each(told_of, tables)) == alone
    assert asked == [5, 0, 1, 2, 2, 1, 2]  # the first two together
    monkeypatch.setattr(columns, "AT_ONCE", 0)
    assert list(columns.each(told_of, tables)) == alone
    assert list(columns.each(told_of, [])) == []

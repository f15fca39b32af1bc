"""Columns of packed tables: numpy and Python give the same bits, and both are what arithmetic by hand gives."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
import pytest

from harness.board import columns

DRAW = np.random.default_rng(3)
TABLE = DRAW.normal(1e3, 1e-3, (200, 5))
COUNTS = DRAW.integers(0, 2**31 - 1, (200, 4), dtype=np.int32)


def told() -> dict[str, Any]:
    rows, counts = [row.tobytes() for row in TABLE], [row.tobytes() for row in COUNTS]
    one, two, *_ = columns.table_of(rows)
    return {
        "columns": [list(column) for column in columns.table_of(rows)],
        "squares": columns.squares_about(one, 1000.0),
        "totals": columns.totals_of(counts),
        "shares": list(columns.shares_of(columns.table_of(counts, "i")[0], 7)),
        "minus": list(columns.minus(one, two)),
    }


def test_both_ways_give_the_same_bits_and_those_of_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = told()
    monkeypatch.setattr(columns, "_numpy", lambda _: None)
    assert told() == fast
    assert fast["columns"] == TABLE.T.tolist()
    assert fast["squares"] == math.fsum((value - 1000.0) * (value - 1000.0) for value in TABLE[:, 0].tolist())
    assert fast["totals"] == [sum(column) for column in COUNTS.T.tolist()]  # beyond what 32 bits hold
    assert fast["shares"] == [100.0 * value / 7 for value in COUNTS[:, 0].tolist()]
    assert fast["minus"] == [one - two for one, two, *_ in TABLE.tolist()]


@pytest.mark.parametrize("has_numpy", [True, False])
def test_what_is_beyond_any_float_and_what_is_nothing(
    has_numpy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_numpy:
        monkeypatch.setattr(columns, "_numpy", lambda _: None)
    assert columns.squares_about(array("d", [1e200] * 100), -1e200) == math.inf
    assert all(map(math.isnan, columns.shares_of([1, 2], 0)))
    assert columns.table_of([]) == []

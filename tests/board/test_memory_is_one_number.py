"""Memory as speed: the row, the ratio beside it and the front come from the same rounds and the same mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from harness.board import wording
from harness.board.leaderboard import build
from harness.board.verdict import Rules, compare

MIB = 2**20


def board_rows(inputs: Callable[..., Any], sizes: dict[str, list[float]]) -> dict[str, Any]:
    made = inputs({"plain": 0.0, "a": -1.0}, rounds=len(sizes["plain"]))
    for timing in made.timings:
        timing["peak_memory_bytes"] = {"tree": sizes[timing["arm"]][timing["round"]] * MIB}
    return {row["arm"]: row for row in build(made.plan, made.records, made.timings)["rows"]}


def test_the_quotient_of_two_sizes_is_the_ratio_beside_them(inputs: Callable[..., Any]) -> None:
    sizes = {"plain": [500.0, 600.0, 900.0], "a": [700.0, 400.0, 500.0]}
    rows = board_rows(inputs, sizes)
    # Geometric means: cube roots of 500 * 600 * 900 and 700 * 400 * 500.
    assert rows["plain"]["peak_memory_bytes"] == pytest.approx(math.cbrt(2.7e8) * MIB)
    assert rows["a"]["peak_memory_bytes"] == pytest.approx(math.cbrt(1.4e8) * MIB)
    ratio = rows["a"]["memory_verdict"]["ratio"]["mean"]
    assert ratio == pytest.approx(rows["a"]["peak_memory_bytes"] / rows["plain"]["peak_memory_bytes"])


def test_what_is_equal_in_every_round_is_shown_to_the_byte(inputs: Callable[..., Any]) -> None:
    rows = board_rows(inputs, {"plain": [630.0] * 3, "a": [584.0] * 3})
    assert rows["a"]["peak_memory_bytes"] == 584 * MIB


def test_memory_that_the_rounds_do_not_tell_apart_is_equal_on_the_front(inputs: Callable[..., Any]) -> None:
    shaken = board_rows(inputs, {"plain": [600.0, 650.0, 640.0], "a": [400.0, 900.0, 500.0]})
    # Its mean is 10 % less, by three rounds of which one says 40 % more.
    assert shaken["a"]["peak_memory_bytes"] < 0.95 * shaken["plain"]["peak_memory_bytes"]
    assert shaken["a"]["pareto"]["memory"] is False and shaken["plain"]["pareto"]["memory"] is True
    steady = board_rows(inputs, {"plain": [630.0] * 3, "a": [580.0, 584.0, 588.0]})
    assert steady["a"]["pareto"]["memory"] is True


@pytest.mark.parametrize(
    ("value", "digits", "told"),
    [
        (-7.1e-16, 2, "0.00"),
        (0.004, 2, "0.00"),
        (-0.04, 1, "0.0"),
        (0.0, 2, "0.00"),
        (-0.005001, 2, "−0.01"),
        (0.01, 2, "+0.01"),
        (-10.0, 2, "−10.00"),
        (float("-inf"), 2, "−inf"),
    ],
)
def test_what_is_shown_as_zero_has_no_sign(value: float, digits: int, told: str) -> None:
    assert wording.signed(value, digits) == told


def test_no_reason_shows_a_zero_with_a_sign() -> None:
    rules = Rules(alpha=0.05, family=1, margin=0.1, equal_margin=1e-12, needed=6, seed=0)
    found = compare({"dust": [-1e-9] * 10}, {}, rules)
    assert "yet 0.00 points is less than the margin" in found["dust"].reason

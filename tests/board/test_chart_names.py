"""The chart of accuracy and speed: no arm's name leaves it, and no two names lie over each other."""

import re
from typing import Any

import pytest

from harness.board.axes import WIDE
from harness.board.chart_scatter import scatter
from harness.board.leaderboard import build

LETTERS = {"i": 3.5, "l": 3.5, "-": 4.5, "…": 12.0}
"""Pixels of a letter at 12.5 px, roughly as Arial has them; the widest of the others take 7."""


def names_in(svg: str) -> list[tuple[str, float, float, float]]:
    """Return (name, left, right, y) of the dots' names."""
    found = []
    for attributes, name in re.findall(
        r"<g>(?:<title>[^<]*</title>)?(?:<line [^>]*></line>)?<text ([^>]*)>([^<]*)</text>", svg
    ):
        x, y = (float(re.search(rf'\b{key}="([\d.]+)"', attributes)[1]) for key in ("x", "y"))  # type: ignore[index]
        width = sum(LETTERS.get(letter, 7.0) for letter in name)
        left = x - width if 'class="end' in attributes else x
        found.append((name, left, left + width, y))
    return found


@pytest.mark.parametrize(
    "effects",
    [
        {"plain": 0.0, "a-very-long-name-of-an-arm-indeed": 0.5, "sam": 0.2},
        {f"a-long-name-of-arm-{number:02}-in-full": 0.02 * number for number in range(12)},
        {"x" * 40: 0.0, "sam": -9.0},
    ],
    ids=["one", "twelve", "baseline"],
)
def test_names_stay_inside_and_apart(inputs: Any, effects: dict[str, float]) -> None:
    given = inputs(effects)
    names = names_in(scatter(build(given.plan, given.records, given.timings)))
    assert len(names) == len(effects)
    for name, left, right, _ in names:
        assert left >= 0 and right <= WIDE, name
    for index, (_, left, right, y) in enumerate(names):
        for _, other_left, other_right, other_y in names[:index]:
            assert other_right <= left or right <= other_left or abs(y - other_y) >= 12.9


def test_a_short_name_stands_at_the_right_of_its_dot(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "sam": 0.5})
    assert "end" not in "".join(
        re.findall(r"<g>\s*<text [^>]*>", scatter(build(given.plan, given.records, given.timings)))
    )

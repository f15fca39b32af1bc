"""What a board says under its table: how the verdicts came about, and what its symbols mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.sign_flip import EXACT_UP_TO
from harness.board.wording import ABOUT, DAGGER, counted

_COSTS = " FLOPs: an arm's own + those of all arms that it needs, in multiples of the baseline's."

_FOR_ALL = "; those of Δ hold for all arms at once"
_NOISY = (
    f" {ABOUT} Not judged: all rounds of it were noisy, the steps of a side varying by more than 5 %; the "
    "clock's noise may be all of it."
)
_BY_ROUND = (
    f" {DAGGER} By rounds that count for arm and baseline both; the two speeds shown are each over its own, so their "
    "quotient is another number."
)


def method(board: Mapping[str, Any]) -> str:
    """Return how the verdicts came about, in one line; of a board without any, what its intervals are."""
    settings, rows = board["settings"], board["rows"]
    level = f"± and brackets: {100 * (1 - settings['alpha']):g} % Student t"
    lines = [f"{level}{_FOR_ALL if any(row['difference'] for row in rows) else ''}."]
    if board["verdicts"]:
        lines = [
            f"Verdicts: {_signs(rows)} on paired replicates, Holm over {counted(settings['family'], 'arm')} at "
            f"α = {settings['alpha']:g}, margin {settings['margin_points']:.2g} points{_whose_example(board)}. "
            f"{lines[0]} The test and the interval are two procedures, and at the edge one may say what the other does "
            "not."
        ]
    lines += [_COSTS] if any(row.get("parents") for row in rows) else []
    ratios = [row["images_per_second_ratio"] or () for row in rows]
    lines += [_NOISY] if any("noisy" in ratio for ratio in ratios) else []
    lines += [_BY_ROUND] if any("quotient" in ratio for ratio in ratios) else []
    return "".join(lines)


def _whose_example(board: Mapping[str, Any]) -> str:
    """Return whose test example the margin is where there are several data sets: the smallest's, for all of them."""
    tests = [count for entry in board["data"] if isinstance(count := entry["test"], int) and count > 0]
    margin = board["settings"]["margin_points"]
    is_one = len(tests) > 1 and math.isclose(margin, 100 / min(tests), rel_tol=1e-6)
    return f" (one example of the smallest test set, {min(tests):,} images, for all)" if is_one else ""


def _signs(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return which sign-flip test it was: with many pairs that differ, not all signs are tried."""
    pairs = [row["difference"]["nonzero"] for row in rows if row["difference"]]
    if max(pairs, default=0) <= EXACT_UP_TO:
        return "exact sign-flip"
    drawn = f"with more than {EXACT_UP_TO} pairs that differ by drawn signs"
    return f"sign-flip ({drawn}, else exact)" if min(pairs) <= EXACT_UP_TO else "sign-flip by drawn signs"

"""What a board says under its table: how the verdicts came about, and what its symbols mean."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness.board.sign_flip import EXACT_UP_TO
from harness.board.wording import ABOUT, DAGGER, counted

_COSTS = " FLOPs: an arm's own + those of all arms that it needs, in multiples of the baseline's."

_FOR_ALL = "; those of Δ hold for all arms at once"
_NOISY = (
    f" {ABOUT} Not judged: in every round that arm and baseline share one or both were noisy, the steps varying by "
    "more than 5 %; the clock's noise may be all of it."
)
_BY_ROUND = (
    f" {DAGGER} By round, over the same rounds of arm and baseline; the two speeds shown are not both over those, so "
    "their quotient is another number."
)
_PACES = ("speed_verdict", "memory_verdict")


def method(board: Mapping[str, Any], left_out: Collection[str] = ()) -> str:
    """Return how the verdicts came about, in one line; of a board without any, what its intervals are.

    Args:
        board: The board.
        left_out: Of the columns `images/s` and `FLOPs` those that are not shown, of which nothing is explained.
    """
    settings, rows = board["settings"], board["rows"]
    level = f"± and brackets: {100 * (1 - settings['alpha']):g} % Student t"
    lines = [f"{level}{_FOR_ALL if any(row['difference'] for row in rows) else ''}."]
    if board["verdicts"]:
        lines = [
            f"Verdicts: {_signs(rows)} on paired replicates, Holm over {counted(settings['family'], 'arm')} at "
            f"α = {settings['alpha']:g}, margin {settings['margin_points']:.2g} points{_whose_example(board)}"
            f"{_of_equality(settings)}. {lines[0]} The test and the interval are two procedures, and at the edge one "
            "may say what the other does not.",
            _of_paces(board),
        ]
    lines += [_COSTS] if "FLOPs" not in left_out and any(row.get("parents") for row in rows) else []
    ratios = [() if "images/s" in left_out else row["images_per_second_ratio"] or () for row in rows]
    lines += [_NOISY] if any("noisy" in ratio for ratio in ratios) else []
    lines += [_BY_ROUND] if any("quotient" in ratio for ratio in ratios) else []
    return "".join(lines)


def has_other_equal_margin(settings: Mapping[str, Any]) -> bool:
    """Return whether equality was tested against another margin than the one that a difference has to exceed."""
    return equal_margin(settings) != float(settings["margin_points"])


def equal_margin(settings: Mapping[str, Any]) -> float:
    """Return the margin that equality was tested against, in points; a board of an earlier version knows but one."""
    own: float | None = settings.get("equal_margin_points")
    return float(settings["margin_points"] if own is None else own)


def _of_equality(settings: Mapping[str, Any]) -> str:
    return f"; equal: within {equal_margin(settings):.2g} points" if has_other_equal_margin(settings) else ""


def _of_paces(board: Mapping[str, Any]) -> str:
    """Return what verdicts on speed and memory rest on; empty where there are none."""
    settings = board["settings"]
    if not any((row.get(key) or {}).get("verdict") for row in board["rows"] for key in _PACES):
        return ""
    lost = f"{settings['non_inferiority_points']:.2g} points"
    speed, memory = (f"{100 * settings[key]:g} %" for key in ("speed_margin", "memory_margin"))
    return f" Speed and memory: of arms shown to lose less than {lost}, with margins of {speed} and {memory}."


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

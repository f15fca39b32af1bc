"""The key of the charts of curves: which arms stand out at first, and in which the script lets a reader pick others."""

from __future__ import annotations

from collections.abc import Collection

from markupsafe import Markup

from harness.board import wording
from harness.board.charts import Json, kind_of, series, swatch
from harness.board.markup import EMPTY, tag
from harness.board.wording import counted


def numbers_of(board: Json) -> dict[str, int]:
    """Return by arm the number under which its curves and its entry of the key find each other: `data-arm`."""
    return {row["arm"]: number for number, row in enumerate(board["rows"])}


def style_of(arm: str, colours: dict[str, int]) -> str:
    """Return the class of an arm's line: `s3`, or `other` for the grey ones."""
    return f"s{colours[arm]}" if arm in colours else "other"


def key(board: Json, drawn: Collection[str]) -> Markup:
    """Return the key to some arms' lines: those with a colour, then the grey ones, folded.

    Args:
        board: The board.
        drawn: The arms that have a line.
    """
    colours, rows = series(board), [row for row in board["rows"] if row["arm"] in drawn]
    coloured = sorted((row for row in rows if row["arm"] in colours), key=lambda row: colours[row["arm"]])
    others = [row for row in rows if row["arm"] not in colours]
    parts = [tag("ul", *(_entry(board, row) for row in coloured), class_="legend")]
    if others:
        entries = tag("ul", *(_entry(board, row) for row in others), class_="legend")
        summary = tag("summary", swatch("line other"), tag("span", counted(len(others), "other arm")))
        parts.append(tag("details", summary, entries, class_="others"))
    return tag("div", *parts, class_="key")


def _entry(board: Json, row: Json) -> Markup:
    arm, verdict = row["arm"], row["verdict"]
    mark = tag("span", wording.MARKS[verdict], title=verdict, class_=kind_of(row)) if verdict else EMPTY
    line = swatch(f"line {style_of(arm, series(board))}")
    return tag("li", line, tag("span", arm), mark, data_arm=numbers_of(board)[arm])

"""The key of the charts of curves: which arms stand out at first, and in which the script lets a reader pick others."""

from __future__ import annotations

from collections.abc import Collection

from markupsafe import Markup

from harness.board import wording
from harness.board.chart_cells import colours_of
from harness.board.charts import Json, kind_of, swatch
from harness.board.markup import EMPTY, tag
from harness.board.wording import counted


def numbers_of(board: Json) -> dict[str, int]:
    """Return by arm the number under which its curves and its entry of the key find each other: `data-arm`."""
    return {row["arm"]: number for number, row in enumerate(board["rows"])}


def style_of(arm: str, colours: dict[str, int]) -> str:
    """Return the class of an arm's line: `s3`, or `other` for the grey ones."""
    return f"s{colours[arm]}" if arm in colours else "other"


def drawn_arms(board: Json, among: Collection[str] | None = None) -> list[str]:
    """Return the arms whose curves are drawn: all but those that nobody compares and that saw other data.

    Args:
        board: The board.
        among: The arms of one chart; all by default.
    """
    other = _with_other_data(board)
    shown = [row["arm"] for row in board["rows"] if row.get("compared", True) or row["arm"] not in other]
    return [arm for arm in shown if among is None or arm in among]


def curves_note(board: Json, among: Collection[str] | None = None) -> str:
    """Return what has to be known of whose curves stand in one chart, that of some arms; empty where nothing has."""
    drawn = set(drawn_arms(board, among))
    arms = [row["arm"] for row in board["rows"] if among is None or row["arm"] in among]
    absent = ", ".join(arm for arm in arms if arm not in drawn)
    told = [f"Not drawn, for it is not compared and saw other data: {absent}."] if absent else []
    if drawn & _with_other_data(board):
        told.append("Arms with other data share these axes: compare those of one cell.")
    return " ".join(told)


def _with_other_data(board: Json) -> set[str]:
    """Return the arms whose data is not that of the baseline of their cell: one chart is of one cell's data."""
    data = {row["arm"]: (row.get("recipe") or {}).get("dataset") for row in board["rows"]}
    bases = {row["arm"]: row.get("against") or board["baseline"] for row in board["rows"]}
    return {arm for arm, own in data.items() if own != data.get(bases[arm], own)}


def key(board: Json, drawn: Collection[str]) -> Markup:
    """Return the key to some arms' lines: those with a colour, then the grey ones, folded.

    Args:
        board: The board.
        drawn: The arms that have a line.
    """
    colours, numbers = colours_of(board), numbers_of(board)
    rows = [row for row in board["rows"] if row["arm"] in drawn]
    coloured = sorted((row for row in rows if row["arm"] in colours), key=lambda row: colours[row["arm"]])
    others = [row for row in rows if row["arm"] not in colours]
    parts = [tag("ul", *(_entry(row, colours, numbers) for row in coloured), class_="legend")]
    if others:
        entries = tag("ul", *(_entry(row, colours, numbers) for row in others), class_="legend")
        summary = tag("summary", swatch("line other"), tag("span", counted(len(others), "other arm")))
        parts.append(tag("details", summary, entries, class_="others"))
    return tag("div", *parts, class_="key")


def _entry(row: Json, colours: dict[str, int], numbers: dict[str, int]) -> Markup:
    arm, verdict = row["arm"], row["verdict"]
    mark = tag("span", wording.MARKS[verdict], title=verdict, class_=kind_of(row)) if verdict else EMPTY
    line = swatch(f"line {style_of(arm, colours)}")
    return tag("li", line, tag("span", arm), mark, data_arm=numbers[arm])

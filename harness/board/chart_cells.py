"""One drawing a data set: a grid over data has cells whose curves say nothing beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.board import wording
from harness.board.charts import COLOURS, Json, by_verdict, series
from harness.board.markup import EMPTY, tag
from harness.board.wording import counted

MOST_BYTES = 800_000
"""All cells' drawings of one kind in one page."""
_DATA = "dataset"
"""The first part of the grid's keys that make the data of cells differ."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Arms that one chart may show.

    Attributes:
        words: The cell's values, as a heading; empty where the board needs no more than one chart.
        arms: Names, in the order of the rows.
    """

    words: str
    arms: tuple[str, ...]


def cells_of_data(board: Json) -> list[Cell]:
    """Return the cells of a grid over data sets, in the plan's order; of any other board all arms in one."""
    found: dict[str, list[Json]] = {}
    for row in board["rows"]:
        found.setdefault(_base(board, row), []).append(row)
    keys = {key for row in board["rows"] for key in row.get("cell") or {}}
    if len(found) < 2 or not any(key.split(".")[0] == _DATA for key in keys):
        return [Cell("", tuple(row["arm"] for row in board["rows"]))]
    return [Cell(_words(rows[0], base), tuple(row["arm"] for row in rows)) for base, rows in found.items()]


def colours_of(board: Json) -> dict[str, int]:
    """Return which arms have a colour: as `series`, and in a grid over data sets an arm has its own in every cell."""
    if len(cells_of_data(board)) < 2:
        return series(board)
    named = named_colours(board)
    names = {row["arm"]: _name(board, row) for row in board["rows"] if row["arm"] in board["curves"]}
    return {arm: named[name] for arm, name in names.items() if name in named}


def named_colours(board: Json) -> dict[str, int]:
    """Return colours by the names that arms have without their cell's number: the baseline's is 0, black.

    The others are those that differ most in any cell, then the best by rank; colours go by the order of rows.
    """
    others = [row for row in board["rows"] if not row["baseline"] and row["rank"] is not None]
    chosen = dict.fromkeys(_name(board, row) for row in sorted(others, key=by_verdict))
    kept = set(list(chosen)[: COLOURS - 1])
    named = dict.fromkeys(name for row in others if (name := _name(board, row)) in kept)
    return {name: index for index, name in enumerate([board["baseline"], *named])}


def cell_by_cell(board: Json, draw: Callable[[Sequence[str]], Markup]) -> Markup:
    """Return what `draw` makes of a cell's arms, one after the other under their names; the script shows one at a time.

    Args:
        board: The board.
        draw: Makes a drawing of some arms; empty where they have nothing to draw.
    """
    cells = cells_of_data(board)
    if len(cells) < 2:
        return draw(cells[0].arms)
    parts: list[Markup] = []
    size = 0
    for number, cell in enumerate(cells):
        if not (content := draw(cell.arms)):
            continue
        size += len(content)
        if size > MOST_BYTES and parts:
            told = f"{counted(len(cells) - number, 'cell')} more: they stand in leaderboard.json."
            return tag(
                "div", tag("div", *parts, class_="picks", data_label="Data"), tag("p", told, class_="note")
            )
        parts.append(tag("article", tag("h3", cell.words), content, class_="pick", data_pick=cell.words))
    return tag("div", *parts, class_="picks", data_label="Data") if parts else EMPTY


def _base(board: Json, row: Json) -> str:
    return str(row.get("against") or board["baseline"])


def _name(board: Json, row: Json) -> str:
    """Return `mixup` for `mixup.2`, and `plain-aa` for `plain.2-aa`."""
    root, base, arm = str(board["baseline"]), _base(board, row), str(row["arm"])
    suffix = base.removeprefix(root)
    if not suffix or not base.startswith(root):
        return arm
    return root + arm.removeprefix(base) if arm.startswith(base) else arm.removesuffix(suffix)


def _words(row: Json, base: str) -> str:
    """Return the cell without its key where it has but one."""
    cell = row.get("cell") or {}
    return (wording.plain(next(iter(cell.values()))) if len(cell) == 1 else wording.cell(row)) or base

"""`[grid]`: every arm in every combination of settings, a baseline in each cell; counted before it is built.

A key path and a list of values: `batch_size = [64, 128]`, `"optimizer.lr" = [0.1, 0.03]`. A value goes over an arm's
own settings as an arm's go over what it extends, and is equal for all arms of a cell. Cells come in the order of the
file, the last key turning fastest; all arms of a cell stand together. The first cell's arms keep their names, so that
a grid that is added re-uses what ran; in cell n, from 0, arm `a` is `a.<n>`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import Problem
from harness.registry.digests import digest_json
from harness.registry.messages import found, join, quote, unknown_key
from harness.registry.registry import Registry
from harness.suite.grid_errors import meaningless
from harness.suite.grid_keys import Parts, parts_of, placed
from harness.suite.merge import Layer, Node, shaped, wrap
from harness.suite.settings import RECIPE_KEYS, SHAPES, identifier_problem

PLACE = "grid"
MOST_ARMS = 10_000
"""What a plan may hold: above, nobody would read the board, and building it would take minutes."""
RECORD_BYTES = 20_000
"""Of a trial: its record (3 to 10 KB, with curves and the correctness of 10,000 examples) and its part of the board."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One key of the grid.

    Attributes:
        key: The key path as the file writes it.
        parts: Its parts; a number is a place in a list.
        place: Where in the file it stands.
        values: As the file gives them.
        nodes: The same, with their places.
    """

    key: str
    parts: Parts
    place: str
    values: tuple[Any, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination.

    Attributes:
        number: From 0, in the order of the file.
        choices: By axis, which of its values.
        is_alone: Whether the suite has no grid.
    """

    number: int
    choices: tuple[tuple[Axis, int], ...]
    is_alone: bool

    def name(self, arm: str) -> str:
        """Return what an arm of the file is called in this cell."""
        return cell_name(arm, self.number)

    def values(self) -> dict[str, Any]:
        """Return the values of this cell by key path."""
        return {axis.key: axis.values[index] for axis, index in self.choices}

    def over(self, layer: Layer) -> Layer:
        """Return an arm's layer with the values of this cell over it."""
        for axis, index in self.choices:
            layer = placed(layer, axis.parts, axis.nodes[index])
        return layer


@dataclass(frozen=True, slots=True)
class Grid:
    """What `[grid]` asks for.

    Attributes:
        axes: In the order of the file; none where the suite has no grid.
        is_whole: Whether nothing is wrong with it; else only its first cell is looked at.
    """

    axes: tuple[Axis, ...]
    is_whole: bool

    @property
    def cell_count(self) -> int:
        """How many combinations there are; 1 without a grid."""
        return math.prod(len(axis.values) for axis in self.axes)

    def cells(self) -> Iterator[Cell]:
        """Yield the cells in their order."""
        ranges = [range(len(axis.values)) for axis in self.axes]
        for number, indices in enumerate(itertools.product(*ranges)):
            yield Cell(number, tuple(zip(self.axes, indices, strict=True)), not self.axes)
            if not self.is_whole:
                return


def cell_name(arm: str, number: int) -> str:
    """Return what an arm of the file is called in a cell."""
    return f"{arm}.{number}" if number else arm


def read_grid(
    table: Mapping[str, Any], layers: Mapping[str, Layer], replicates: object, registry: Registry
) -> tuple[Grid, list[Problem]]:
    """Return the grid of a suite, counted and not built, and what is wrong with it.

    Args:
        table: `[grid]`; empty where there is none.
        layers: The arms of the file with what they inherit.
        replicates: The suite's, for the count of trials.
        registry: Knows the components and their parameters.
    """
    axes: list[Axis] = []
    problems: list[Problem] = []
    for key, place, values in _flat(table, "", PLACE):
        axis, bad = _axis(key, place, values)
        if axis is not None:
            bad += [*_overlaps(axis, axes), *meaningless(axis.place, axis.parts, layers, registry)]
            axes += [] if bad else [axis]
        problems += bad
    grid = Grid(tuple(axes), is_whole=True)
    problems += _names(layers, grid.cell_count) if axes else []
    count = grid.cell_count * len(layers)
    if count > MOST_ARMS:
        trials = f", {_size(count * replicates)}" if isinstance(replicates, int) else ""
        message = (
            f"{grid.cell_count:,} combinations of {len(layers)} arms are {count:,} arms{trials}; at most "
            f"{MOST_ARMS:,} arms are built: take values out, or make several suites of it"
        )
        problems.append(Problem(PLACE, message))
    return (Grid(grid.axes, is_whole=False) if problems else grid), problems


def _size(trials: int) -> str:
    """Return what so many trials amount to; how long one takes is not known of a grid that is not built."""
    return (
        f"{trials:,} trials (at a second a trial, one at a time, {trials / 3600:,.0f} h; about "
        f"{trials * RECORD_BYTES / 1e9:,.1f} GB of records)"
    )


def _flat(table: Mapping[str, Any], key: str, place: str) -> Iterator[tuple[str, str, Any]]:
    """Yield key path, place and values; `[grid.optimizer]` with `lr` in it says the same as `"optimizer.lr"`."""
    for name, value in table.items():
        path = f"{key}.{name}" if key else name
        if isinstance(value, Mapping) and value:
            yield from _flat(value, path, join(place, name))
        else:
            yield path, join(place, name), value


def _axis(key: str, place: str, values: Any) -> tuple[Axis | None, list[Problem]]:
    parts = parts_of(key)
    top = parts[0] if parts else key
    if top not in (*RECIPE_KEYS, "budget"):
        return None, [Problem(place, unknown_key(str(top), (*RECIPE_KEYS, "budget")))]
    if not isinstance(values, list) or not values:
        message = f"must be a list of values, each of them for one cell, not {found(values)}"
        return None, [Problem(place, message if values != [] else "must list at least one value")]
    problems = []
    nodes = []
    seen: dict[object, int] = {}
    for index, value in enumerate(values):
        at = join(place, index)
        first = seen.setdefault(_identity(value), index)
        if first != index:
            told = quote(str(value))
            problems.append(Problem(at, f"{told} is listed twice, here and at {join(place, first)}"))
        node, bad = wrap(value, at), list[Problem]()
        if len(parts) == 1 and top in SHAPES:
            node, bad = shaped(str(top), node, inherits=True)
        problems += bad
        nodes.append(node)
    return Axis(key, parts, place, tuple(values), tuple(nodes)), problems


def _identity(value: Any) -> object:
    """Return what equal values have in common: 1 and 1.0 are one learning rate, 1 and true are not one setting."""
    return repr(value) if isinstance(value, list | dict) else (isinstance(value, bool), value)


def _overlaps(new: Axis, axes: Sequence[Axis]) -> list[Problem]:
    """Return whether an axis sets what one before it sets: which of the two holds would depend on their order."""
    for axis in axes:
        length = min(len(axis.parts), len(new.parts))
        if axis.parts[:length] == new.parts[:length] or (axis.parts[0] == new.parts[0] == "budget"):
            message = f"sets what {quote(axis.key)} sets as well; write the combinations as values of one key"
            return [Problem(new.place, message)]
    return []


def _names(layers: Mapping[str, Layer], cells: int) -> list[Problem]:
    problems = []
    for name in layers:
        longest = cell_name(name, cells - 1)
        if cells <= MOST_ARMS and not identifier_problem(name) and identifier_problem(longest):
            message = (
                f"is too long for the grid: in its last cell it is {quote(longest)}, and a name has 64 characters "
                "at most"
            )
            problems.append(Problem(join("arms", name), message))
        base, _, number = name.rpartition(".")
        if base in layers and number.isdecimal() and str(int(number)) == number and int(number) < cells:
            message = f"is what the grid calls arm {quote(base)} in cell {number}; give this arm another name"
            problems.append(Problem(join("arms", name), message))
    return problems


def own_parents(
    recipe: Mapping[str, Any],
    arm: str,
    cell: Cell,
    plain: Collection[str],
    arms: Collection[str],
    places: Mapping[tuple[str, str], str],
) -> list[Problem]:
    """Make the arms that a recipe needs those of its own cell, and return which it may not name.

    Args:
        recipe: In normal form; its parents are renamed.
        arm: The arm's name in the file.
        cell: The recipe's.
        plain: The arms of the file.
        arms: All arms of all cells.
        places: By arm and role, where the parent is written.
    """
    problems = []
    for role, parent in recipe.get("parents", {}).items():
        name = parent.get("arm")
        if name in arms and name not in plain:
            message = f"must be an arm of the file, not {quote(name)}; each cell takes its own"
            problems.append(Problem(join(places[cell.name(arm), role], "arm"), message))
        elif name is not None and cell.name(name) in arms:
            parent["arm"] = cell.name(name)
    return problems


class CellProblems:
    """What is wrong with arms of cells: told once, with the arms where it is not all of them."""

    def __init__(self) -> None:
        self._arms: dict[Problem, list[str]] = {}

    def add(self, arm: str, problems: Sequence[Problem]) -> None:
        """Take in what is wrong with an arm of the file in one cell."""
        for one in problems:
            arms = self._arms.setdefault(one, [])
            if arm not in arms:
                arms.append(arm)

    def told(self, arms: int) -> list[Problem]:
        """Return them, `arms` being how many the file has."""
        return [
            one
            if len(names) == arms or not one.path.startswith(f"{PLACE}.")
            else replace(one, message=f"{one.message} (arm {', '.join(map(quote, names[:5]))})")
            for one, names in self._arms.items()
        ]


def equal_cells(recipes: Mapping[str, Sequence[tuple[Cell, Mapping[str, Any]]]]) -> list[Problem]:
    """Return which cells are one and the same for an arm, each told once.

    Args:
        recipes: By arm of the file, its recipes in normal form, in the order of the cells.
    """
    told: dict[int, Problem] = {}
    for arm, cells in recipes.items():
        first: dict[str, Cell] = {}
        for cell, recipe in cells:
            other = first.setdefault(digest_json(recipe), cell)
            if other is not cell and cell.number not in told:
                message = (
                    f"cells {other.number} and {cell.number} are the same for arm {quote(arm)}, with all defaults "
                    f"filled in: {_shown(other)} and {_shown(cell)}"
                )
                told[cell.number] = Problem(PLACE, message)
    return list(told.values())


def _shown(cell: Cell) -> str:
    return ", ".join(f"{key} = {quote(str(value))}" for key, value in cell.values().items())

"""Which arm of one result is which arm of another: by name, and in two grids by the cell as well.

A grid numbers its cells by their place in the lists of the suite file: `plain.1` is a learning rate of 0.2 in one
suite, and of 0.02 in another whose list was reordered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from harness.board.cells import cells_in_words
from harness.board.wording import cell

Arms = Sequence[Mapping[str, Any]]
Key = tuple[str, bytes]
"""The name of an arm in its suite file, and its cell."""

_NUMBER = re.compile(r"\.\d+$")
"""What a grid adds to the names of a cell's arms; to those of the first cell nothing."""


def labels_of(base: Arms, candidate: Arms) -> tuple[dict[str, str], dict[str, str]]:
    """Return by arm, of either side, what it is called in a comparison; two that are one arm have one label.

    That is the base's name. Where both sides are grids, arms without a counterpart name their cell as well.

    Args:
        base: The arms of a plan.
        candidate: Those of the other.
    """
    keys, others = _keys(base), _keys(candidate)
    if not (keys and others):
        return _by_name(base), _by_name(candidate)
    common = set(others.values())
    names = {key: name for name, key in keys.items() if key in common}
    return _by_cell(base, keys, names), _by_cell(candidate, others, names)


def _by_name(arms: Arms) -> dict[str, str]:
    return {str(arm["name"]): str(arm["name"]) for arm in arms}


def _by_cell(arms: Arms, keys: Mapping[str, Key], names: Mapping[Key, str]) -> dict[str, str]:
    """Return what the arms of a grid are called; those without a counterpart with their cell."""
    return {
        name: names.get(keys[name]) or f"{name} ({cell_words(arm.get('cell'))})"
        for arm in arms
        for name in (str(arm["name"]),)
    }


def cell_of(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cell of an arm of two grids, and the candidate's name of the arm where that is another one.

    Args:
        base: The arm in the plan of one side.
        candidate: In that of the other.
    """
    if not (base.get("cell") and candidate.get("cell")):
        return {}
    other = {"candidate_arm": candidate["name"]} if candidate["name"] != base["name"] else {}
    return {"cell": base["cell"], **other}


def cell_words(values: Mapping[str, Any] | None) -> str:
    """Return the values of a cell in words: `optimizer.lr = 0.2`."""
    return cell({"cell": cells_in_words([values or {}])[0]})


def _keys(arms: Arms) -> dict[str, Key]:
    """Return by arm its name in the suite file, and its cell; nothing where the arms are no grid."""
    if not any(arm.get("cell") for arm in arms):
        return {}
    cells: dict[bytes, list[str]] = {}
    for arm in arms:
        identity = orjson.dumps(arm.get("cell") or {}, option=orjson.OPT_SORT_KEYS)
        cells.setdefault(identity, []).append(str(arm["name"]))
    keys: dict[str, Key] = {}
    for identity, names in cells.items():
        # All arms of a cell have its number; an arm of the first cell may be called `v1.5` by itself.
        numbers = {found[0] if (found := _NUMBER.search(name)) else "" for name in names}
        number = numbers.pop() if len(numbers) == 1 else ""
        keys |= {name: (name.removesuffix(number), identity) for name in names}
    return keys

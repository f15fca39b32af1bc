"""What a component was last measured to do: the newest board on which arms differ from their baselines by it alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.board.cells import cells_in_words
from harness.board.data import dataset_in_words
from harness.suite.settings import KIND_OF

Json = dict[str, Any]

BOARD = "leaderboard.json"
_TEACHER = {"teacher"}


def newest_effects(results: Path, kind: str, name: str) -> list[Json]:
    """Return the differences that a component made on the newest board that has any; none where no board does.

    Args:
        results: Every `leaderboard.json` in it and below is read.
        kind: Kind of the component.
        name: As a suite names it; of a family alone, `timm:`, any model of it is meant.

    Returns:
        In the order of the board's rows `{suite, arm, baseline, dataset, cell, component, in_place_of, difference,
        verdict, reason, date, board}`: `dataset` and `cell` in words, `cell` without the data set, `difference` in
        points as the board has it, `date` that of the arm's last trial, UTC, null where no record tells it.
    """
    found = [_told_by(path, board, kind, name) for path in _boards(results) for board in _read(path)]
    # Of boards of one day the later one by path; anything, but always the same.
    return max(
        (effects for effects in found if effects),
        key=lambda effects: (max(one["date"] or "" for one in effects), effects[0]["board"]),
        default=[],
    )


def added(arm: Mapping[str, Any], baseline: Mapping[str, Any], kind: str) -> tuple[Json, Json | None] | None:
    """Return the component of a kind by which a recipe differs from another, and what it stands in place of.

    What wraps another component stands around what the baseline has alone.

    Returns:
        None where the recipes differ by anything else, or not at all; for a kind that no recipe holds (trackers), too.
    """
    key = next((key for key, its_kind in KIND_OF.items() if its_kind == kind), None)
    if key is None:
        return None
    rest = {name for name in (*arm, *baseline) if name != key and arm.get(name) != baseline.get(name)}
    if kind == "trick" and "parents" not in baseline and set(arm.get("parents", ())) == _TEACHER:
        rest -= {"parents"}  # a trick's own need
    new, old = arm.get(key), baseline.get(key)
    if rest or new == old or new is None or old is None:
        return None
    if key in ("augmentations", "tricks", "metrics"):
        return _added_to_list(new, old)
    if isinstance(new, list):  # optimizers
        if len(new) != 1 or len(old) != 1:
            return None
        new, old = new[0], old[0]
    if new["name"] == old["name"] or _inner(new) not in (None, old):
        return None
    return new, old


def _added_to_list(new: list[Json], old: list[Json]) -> tuple[Json, Json | None] | None:
    for place, one in enumerate(new):
        inner = _inner(one)
        others = [*new[:place], *([] if inner is None else [inner]), *new[place + 1 :]]
        if others == old:
            return one, None
    return None


def _inner(normal: Mapping[str, Any]) -> Json | None:
    """Return the component that one wraps."""
    wrapped = (value for value in (normal.get("params") or {}).values() if isinstance(value, dict))
    return next((value for value in wrapped if "name" in value and "params" in value), None)


def _told_by(path: Path, board: Json, kind: str, name: str) -> list[Json]:
    """Return the effects that a board tells of; none where it is not as boards are: that is not what was asked."""
    try:
        return [effect for effect in _effects(path, board, kind, name) if _is_told_whole(effect)]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def _is_told_whole(effect: Mapping[str, Any]) -> bool:
    numbers = [value for value in effect["difference"].values() if value is not None]
    return all(isinstance(effect[key], str) for key in ("suite", "arm", "baseline")) and all(
        isinstance(value, (int, float)) for value in numbers
    )


def _effects(path: Path, board: Json, kind: str, name: str) -> Iterator[Json]:
    rows = board["rows"]
    recipes = {row["arm"]: row["recipe"] for row in rows}
    cells = cells_in_words([row.get("cell") or {} for row in rows])
    for row, cell in zip(rows, cells, strict=True):
        # In a grid every cell has a baseline of its own, whose recipe is not that of the others.
        recipe, baseline = row["recipe"], recipes.get(row.get("against"))
        if row["difference"] is None or not recipe or not baseline:
            continue
        # Of an A/A copy the recipe is that of the arm that it copies: nothing is added.
        change = added(recipe, baseline, kind)
        if change is None or not _is_named(change[0]["name"], name):
            continue
        component, replaced = change
        yield {
            "suite": board["suite"],
            "arm": row["arm"],
            "baseline": row["against"],
            "dataset": cell.pop("dataset", None) or dataset_in_words(recipe["dataset"]),
            "cell": cell,
            "component": {"name": component["name"], "params": component.get("params") or {}},
            "in_place_of": None if replaced is None else replaced["name"],
            "difference": {key: row["difference"][key] for key in ("mean", "low", "high")},
            "verdict": row["verdict"],
            "reason": row["reason"],
            "date": _date(path.parent, board["plan"], row["arm"]),
            "board": path.as_posix(),
        }


def _is_named(found: str, name: str) -> bool:
    return found.startswith(name) if name.endswith(":") else found == name


def _date(folder: Path, plan: str, arm: str) -> str | None:
    """Return when the last of an arm's trials ended, as `2026-01-31`."""
    ends = []
    for told in _read(folder / "plans" / f"{plan}.json"):
        for trial in told.get("trials", ()):
            if trial["arm"] == arm:
                paths = sorted((folder / "trials" / trial["id"]).glob("*.json"))
                ends += [str(record.get("finished_at") or "") for path in paths for record in _read(path)]
    return max(ends)[:10] or None if ends else None


def _boards(results: Path) -> Iterator[Path]:
    """Yield the boards in a folder and below, in the order of their paths; what a board's suite wrote is left out."""
    for folder, inner, files in os.walk(results):
        if BOARD in files:
            inner.clear()  # trials by the thousand
            yield Path(folder) / BOARD
        inner.sort()


def _read(path: Path) -> Iterator[Json]:
    """Yield the JSON object in a file; nothing where it is absent or damaged: that is not what was asked."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return
    if isinstance(value, dict):
        yield value

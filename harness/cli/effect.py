"""What a component was last measured to do: the newest board on which an arm differs from its baseline by it alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.suite.settings import KIND_OF

Json = dict[str, Any]

BOARD = "leaderboard.json"
_TEACHER = {"teacher"}


def newest_effect(results: Path, kind: str, name: str) -> Json | None:
    """Return the newest difference that a component made; None where no board under `results` tells of one.

    Args:
        results: Every `leaderboard.json` in it and below is read.
        kind: Kind of the component.
        name: As a suite names it; of a family, what stands before the model.

    Returns:
        `{suite, arm, baseline, component, in_place_of, difference, verdict, reason, date, board}`: `difference` in
        points as the board has it, `date` that of the arm's last trial, UTC, null where no record tells it.
    """
    found = [
        effect
        for path in _boards(results)
        for board in _read(path)
        for effect in _effects(path, board, kind, name)
    ]
    # Of effects of one day the one of the later board by path; anything, but always the same.
    return max(found, key=lambda effect: (effect["date"] or "", effect["board"], effect["arm"]), default=None)


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


def _effects(path: Path, board: Json, kind: str, name: str) -> Iterator[Json]:
    rows = board["rows"]
    baseline = next((row for row in rows if row["baseline"]), None)
    if baseline is None or not baseline["recipe"]:
        return
    for row in rows:
        if row["baseline"] or not row["recipe"] or row["difference"] is None:
            continue
        change = added(row["recipe"], baseline["recipe"], kind)
        if change is None or not _is_named(change[0]["name"], name):
            continue
        component, replaced = change
        yield {
            "suite": board["suite"],
            "arm": row["arm"],
            "baseline": baseline["arm"],
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

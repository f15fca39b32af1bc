"""`trackers = […]` of a suite: where its curves are shown besides the board; no part of its plan."""

from __future__ import annotations

from typing import Any

from harness.errors import Problem
from harness.registry import Registry
from harness.registry.messages import found, join, quote


def read_trackers(written: object, registry: Registry) -> tuple[tuple[dict[str, Any], ...], list[Problem]]:
    """Return the trackers that a suite names, in normal form, and what is wrong with them."""
    if not isinstance(written, list):
        return (), [Problem("trackers", f"must be a list of trackers, not {found(written)}")]
    normals: dict[str, dict[str, Any]] = {}
    problems = []
    for index, table in enumerate(written):
        place = join("trackers", index)
        normal, bad = registry.validate("tracker", table, place)
        problems += bad
        if normal and normal["name"] in normals:
            problems.append(Problem(place, f"{quote(normal['name'])} is listed twice"))
        elif normal:
            normals[normal["name"]] = normal
    return tuple(normals.values()), problems

"""`trackers = […]` of a suite: where its curves are shown besides the board; no part of its plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from harness.errors import Problem
from harness.registry.messages import found, join, quote
from harness.registry.registry import Registry


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


def missing_libraries(trackers: Iterable[Mapping[str, Any]], registry: Registry) -> Iterator[str]:
    """Yield a line that names trackers, in normal form, whose libraries are not installed, and how to get them.

    There is a line for each way to get them. Nothing is imported.
    """
    lacking: dict[str, list[str]] = {}
    for normal in trackers:
        cls = registry.load(registry.find("tracker", normal["name"]))
        if missing := [name for name in getattr(cls, "libraries", ()) if find_spec(name) is None]:
            told = lacking.setdefault(getattr(cls, "install", ""), [])
            told.append(f"{normal['name']} (needs {', '.join(missing)})")
    for install, names in lacking.items():
        what = "tracker" if len(names) == 1 else "trackers"
        get = f"; get what is missing: {install}" if install else ""
        yield f"a run would go on without the {what} {' and '.join(names)}{get}"

"""Where the records of a trial are, by its id or the beginning of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import StoreError
from harness.record.store import Store

_MOST_LISTED = 5


def find_trial(prefix: str, results: Path) -> tuple[str, list[Store]]:
    """Return a trial's whole id and the folders that hold records of it, in the order of their paths.

    Args:
        prefix: The id, or as much of it as no other id begins with.
        results: A suite's folder, or one that holds such at any depth.

    Raises:
        StoreError: Where no trial begins so, or several do; the message lists them.
    """
    found: dict[str, list[Store]] = {}
    folders = 0
    for folder in _suite_folders(results):
        folders += 1
        for name in _names(folder / "trials"):
            if prefix and name.startswith(prefix):
                found.setdefault(name, []).append(Store(folder))
    if not folders:
        raise StoreError(f"{results}: holds no suite's results; name the folder with --results")
    if not found:
        suites = f"{folders} suite{'s' * (folders > 1)}"
        raise StoreError(
            f"{results}: no trial's id begins with \"{prefix}\" in {suites}; ids stand in a board's JSON"
        )
    if prefix in found:
        return prefix, found[prefix]
    if len(found) > 1:
        listed = ", ".join(sorted(found)[:_MOST_LISTED]) + (", …" if len(found) > _MOST_LISTED else "")
        raise StoreError(
            f'{results}: {len(found)} trials begin with "{prefix}": {listed}; give more of the id'
        )
    return next(iter(found.items()))


def _suite_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of suites; their trials, of which there may be a hundred thousand, are not walked through."""
    for folder, names, _ in os.walk(root):
        names.sort()
        if "plans" in names and "trials" in names:
            names.clear()
            yield Path(folder)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []

"""The plugin files that a suite names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import Problem
from harness.registry.messages import quote
from harness.registry.registry import Registry


def find_plugin_files(written: object, folder: Path) -> tuple[dict[str, Path], list[Problem]]:
    """Return the files of `plugins = […]`, as the suite writes them and where they are, and what is wrong with them."""
    files: dict[str, Path] = {}
    problems = []
    for index, name in enumerate(written if isinstance(written, list) else []):
        if not isinstance(name, str):
            continue  # told by the check of the settings
        file, place = folder / name, f"plugins[{index}]"
        if name in files:
            problems.append(Problem(place, f"{quote(name)} is listed twice"))
        elif "\0" in name or not file.is_file():
            problems.append(Problem(place, f"there is no file {quote(str(file), 300)}"))
        elif file.suffix != ".py":
            problems.append(Problem(place, f"{quote(name)} is not a Python file"))
        else:
            files[name] = file.resolve()
    return files, problems


def broken_plugin_files(
    registry: Registry, files: Mapping[str, Path], written: Sequence[str]
) -> list[Problem]:
    """Return which of the files cannot be loaded."""
    return [
        Problem(
            f"plugins[{written.index(name)}]",
            f"{quote(name)} cannot be loaded: {entry.summary}",
        )
        for name, file in files.items()
        for entry in registry.entries("plugin")
        if entry.source == str(file)
    ]

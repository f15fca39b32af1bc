"""What the distribution says that it needs, and what of it is installed."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator

DISTRIBUTION = "harness-bench"

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:>=\s*([0-9.]+))?")


def requirements_of(extra: str) -> Iterator[tuple[str, str]]:
    """Yield name and lowest version of what the distribution needs; of an extra, what that adds."""
    try:
        written = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in written:
        requirement, _, marker = line.partition(";")
        wanted = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if (wanted[1] if wanted else "") == extra and (match := _REQUIREMENT.match(requirement)):
            yield match[1], match[2] or "0"


def problem_of(requirement: tuple[str, str]) -> str:
    """Return what is wrong with a requirement here; empty where nothing is."""
    name, lowest = requirement
    version = version_of(name)
    if version is None:
        return f"{name} is not installed"
    return f"{name} {version} is older than {lowest}" if _numbers(version) < _numbers(lowest) else ""


def differing(pins: str) -> Iterator[str]:
    """Yield what is installed in another version than a constraints file pins: `torch 2.14.0 (2.15.0)`."""
    for line in pins.splitlines():
        name, equals, pinned = line.partition("==")
        version = version_of(name.strip()) if equals else None
        if version is not None and version.partition("+")[0] != pinned.strip():
            yield f"{name.strip()} {version} ({pinned.strip()})"


def version_of(name: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release's numbers, which is as much as a lowest version asks for; zeros at the end are nothing."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[^0-9.]", version)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

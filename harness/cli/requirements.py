"""What the distribution says that it needs, and what of it is installed."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import harness

DISTRIBUTION = "harness-bench"
PINS = Path(harness.__file__).resolve().parents[1] / "constraints.txt"
"""Where the harness runs from a checkout, the versions that were tried together."""

EXTRAS: Mapping[str, str] = {
    "data": "the dataset hub, and shards of an object store",
    "dev": "the tests",
    "track": 'trackers = ["tensorboard", "mlflow"] in a suite',
    "tune": 'tuning.method = "tpe" in a suite',
}
"""What the extras are for."""

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


def install_command(extra: str = "") -> str:
    """Return the command that installs the harness with an extra, as it is installed here: a checkout stays one."""
    wanted = f"[{extra}]" if extra else ""
    if PINS.is_file():
        return f"cd {shlex.quote(str(PINS.parent))} && pip install -c constraints.txt -e '.{wanted}'"
    return f"pip install -U '{DISTRIBUTION}{wanted}'"


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release's numbers, which is as much as a lowest version asks for; zeros at the end are nothing."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[^0-9.]", version)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

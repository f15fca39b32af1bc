"""What a shell is offered for a word that is not a path: arms of the suite, components, kinds, devices.

A completion must neither fail nor print: where nothing can be read, nothing is offered.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import typer

from harness.errors import HarnessError

_PLAIN = re.compile(r"[A-Za-z0-9][\w.@/:+-]*", re.ASCII)
"""Names that no shell reads as anything but a word; others are not offered."""

Suggestion = tuple[str, str]
"""A word and what it means."""


def suggest_kinds(incomplete: str) -> list[Suggestion]:
    """Return the kinds of components that begin so."""
    from harness.contract import KINDS

    return [
        (kind, f"components of kind {kind}") for kind in (*KINDS, "plugin") if kind.startswith(incomplete)
    ]


def suggest_components(incomplete: str) -> list[Suggestion]:
    """Return the installed components whose names begin so, with their summaries."""
    from harness.cli.listing import installed

    try:
        entries = installed().entries()
    except HarnessError:
        return []
    found = {entry.full_name: f"{entry.kind}: {entry.summary}" for entry in entries if entry.status == "ok"}
    return [(name, text) for name, text in sorted(found.items()) if _is_offered(name, incomplete)]


def suggest_arms(ctx: typer.Context, incomplete: str) -> list[Suggestion]:
    """Return the arms of the suite on the command line, to follow those that are written: `a,b,` and one more."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [
        (f"{before}{comma}{name}", "") for name in _arms(ctx) if name not in taken and _is_offered(name, last)
    ]


def suggest_devices(incomplete: str) -> list[Suggestion]:
    """Return the devices that can be named; cards are not counted, which would take torch."""
    devices = {"auto": "a GPU where there is one", "cpu": "the CPU", "cuda": "the GPUs"}
    return [(name, text) for name, text in devices.items() if name.startswith(incomplete)]


def _arms(ctx: typer.Context) -> Iterator[str]:
    # A command line that ends in an option without its value is not parsed: its words are still among the arguments.
    for value in (*ctx.params.values(), *ctx.args):
        if str(value).endswith(".toml"):
            try:
                tables = tomllib.loads(Path(str(value)).read_text(encoding="utf-8")).get("arms")
            except (OSError, ValueError):
                continue
            yield from tables if isinstance(tables, dict) else ()


def _is_offered(name: str, incomplete: str) -> bool:
    return name.startswith(incomplete) and _PLAIN.fullmatch(name) is not None

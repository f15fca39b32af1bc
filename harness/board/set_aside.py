"""What a reader of a board has to know of the files that could not be used: how many, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.record.place import STRANGER

MOST_REASONS = 3


def stamps_of(set_aside: Sequence[Any], shared: Mapping[str, Any]) -> list[str]:
    """Say how many trials are no plan's, and whether all could be read that tells what may be compared.

    What records refer to stands under its own hash. So a recipe or manifest that is gone, but whose hash is that of the
    plan's, is known to be the plan's; a record that names another one counts for nothing (`comparability`), and a host
    that is gone is a machine of its own. Verdicts therefore stand, and the board says what they lean on.

    Args:
        set_aside: What the store could not read, each `{path, reason}`.
        shared: By hash, what records refer to; None where it could not be read.
    """
    stamps = []
    if strangers := sum(_reason(one) == STRANGER for one in set_aside):
        folders = "1 trial folder belongs" if strangers == 1 else f"{strangers} trial folders belong"
        stamps.append(f"{folders} to no plan of this folder, left out")
    if unread := sum(value is None for value in shared.values()):
        files = "1 shared file is" if unread == 1 else f"{unread} shared files are"
        stamps.append(f"comparability checked by hashes alone: {files} missing or damaged")
    return stamps


def set_aside_words(set_aside: Sequence[Any]) -> str:
    """Return how many were set aside, and the most frequent reasons with their counts; empty where none was."""
    if not set_aside:
        return ""
    kinds = Counter(_kind(_reason(one)) for one in set_aside)
    ranked = sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))
    told = [f"{kind} ({count})" for kind, count in ranked[:MOST_REASONS]]
    if others := sum(count for _, count in ranked[MOST_REASONS:]):
        told.append(f"other reasons ({others})")
    return f"set aside, {len(set_aside)} in all: {', '.join(told)}"


def _reason(entry: object) -> str:
    return str(entry.get("reason") or "no reason given") if isinstance(entry, Mapping) else str(entry)


def _kind(reason: str) -> str:
    """Return what reasons of one kind have in common: what follows a colon, or is expected, is of one file."""
    return reason.partition(": ")[0].partition(", expected")[0]

"""The commands that lead to a board again: commit, environment, data, and how the run was started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.board.environment import shared_of
from harness.board.select import Record, value_at

Shared = Mapping[str, Any]

ENVIRONMENT = "make .venv/.installed  # the environment"
DATA = "export HARNESS_DATA=DIR  # the folder with the data sets"


def reproduce_of(
    plan: Mapping[str, Any], counted: Sequence[Record], timings: Sequence[Record], shared: Shared
) -> list[str]:
    """Return the lines, to be pasted into a shell in a checkout of the harness.

    Where trials and timings were made at several commits, no checkout of one leads here: the lines name all of them.

    Args:
        plan: The plan as JSON.
        counted: The trials' records that count, or what of them stands under `rest`.
        timings: The timings that count.
        shared: By hash, what they refer to.
    """
    roles: dict[str, list[str]] = {}
    for role, records in (("trials", counted), ("timings", timings)):
        for commit in sorted(_told(records, "code", shared, "commit")):
            roles.setdefault(commit, []).append(role)
    if len(roles) == 1:
        lines = [f"git checkout {commit}" for commit in roles]
    else:
        lines = [f"# {' and '.join(names)} made at commit {commit}" for commit, names in roles.items()]
    both = [*counted, *timings]
    if _told(both, "code", shared, "dirty"):
        lines.append("# with changes that no commit holds")
    if roles:
        lines.append(ENVIRONMENT)
    if _told(both, "session", shared, "environment", "HARNESS_DATA"):
        lines.append(DATA)
    return [
        *lines,
        *(sorted(_told(both, "session", shared, "command")) or [f"harness run {plan.get('suite')}.toml"]),
    ]


def _told(records: Iterable[Record], name: str, shared: Shared, *keys: str) -> set[str]:
    """Return the distinct values under `keys` of what records refer to as `name`; nothing, false and empty are none."""
    values = (value_at(entry, *keys) for entry in shared_of(records, name, shared).values())
    return {str(value) for value in values if value}

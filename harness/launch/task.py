"""What a child is handed: all of it JSON, for components never cross a process boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.launch import worker
from harness.launch.places import Place


@dataclass(frozen=True, slots=True)
class Member:
    """One record that a child is to write.

    Attributes:
        job: A `suite.plan.Job`.
        heading: The record's heading.
        refs: The record's hashes of shared values.
        lock: File that is locked while the child works.
    """

    job: Mapping[str, Any]
    heading: Mapping[str, Any]
    refs: Mapping[str, str | None]
    lock: Path

    def to_json(self) -> dict[str, Any]:
        """Return the member as the worker reads it."""
        return {"job": self.job, "heading": self.heading, "refs": self.refs, "lock": str(self.lock)}


@dataclass(frozen=True, slots=True)
class Task:
    """What a child is to do; all of it JSON.

    Attributes:
        kind: "trial", "timing", or "together" for replicates at once.
        function: "module:name" of what is called with the job, or with the jobs of replicates at once.
        members: The records that it is to write: one, but for replicates at once.
        store: The results folder of the suite.
        stem: Path without suffix of what the child leaves beside its record: log and stacks.
        place: Where it runs.
        mode: How replicates are trained, where a suite asks for several at once and it is known; else None.
        is_shared: Whether other trials may be on its device.
        started_at: When it was made; for the record of a child that leaves none.
    """

    kind: str
    function: str
    members: tuple[Member, ...]
    store: Path
    stem: Path
    place: Place
    mode: Mapping[str, Any] | None = None
    is_shared: bool = False
    started_at: str = field(default_factory=worker.now)

    @property
    def heading(self) -> Mapping[str, Any]:
        """The heading of its record, of the first where there are several."""
        return self.members[0].heading

    @property
    def log(self) -> Path:
        """What the child prints, capped."""
        return self.stem.with_name(self.stem.name + ".log")

    @property
    def stacks(self) -> Path:
        """Where the child's stacks are dumped on a timeout or a crash."""
        return self.stem.with_name(self.stem.name + ".stacks")

    def to_json(self) -> dict[str, Any]:
        """Return the task as the worker reads it."""
        return {
            "kind": self.kind,
            "function": self.function,
            "members": [member.to_json() for member in self.members],
            "store": str(self.store),
            "stacks": str(self.stacks),
            "mode": self.mode,
            "is_shared": self.is_shared,
        }

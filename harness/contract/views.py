"""Read-only views that hooks are given, so that floor 0 is typed by itself."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class RegistryView(Protocol):
    """Where a plugin says what it offers."""

    def add(
        self, kind: str, name: str, target: str | type, *, summary: str, preload: Sequence[str] = ()
    ) -> None:
        """Offer a component.

        Args:
            kind: "dataset", "sampler", "augmentation", "backbone", "optimizer", "schedule", "trick", "metric",
                "tracker".
            name: Lower case words joined by hyphens. A name that ends in ":" is a family ("timm:"): what the
                suite writes after it becomes the class's field `model`.
            target: "package.module:Class", imported only when the component is used; or, in a file that
                a suite names, the class itself.
            summary: One line for `harness list`.
            preload: Libraries that take long to import, which the process server may import once for all
                trials; no modules of the plugin's own.
        """
        ...


class TrialView(Protocol):
    """A trial: one arm's one replicate."""

    @property
    def id(self) -> str:
        """Hash of everything that decides the result."""
        ...

    @property
    def arm(self) -> str:
        """Name of the arm."""
        ...

    @property
    def replicate(self) -> int:
        """Number of the replicate, from 0."""
        ...


SuiteView = Mapping[str, Any]
"""The plan as JSON: `plans/<hash>.json`."""

TrialsView = Sequence[TrialView]

RecordView = Mapping[str, Any]
"""A record as JSON: `trials/<id>/<attempt>.json`."""

BoardView = Mapping[str, Any]
"""A board as JSON: `leaderboard.json`."""

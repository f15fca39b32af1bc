"""Trackers: where a run's curves and results are shown besides the board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class TrackedTrial:
    """A trial as a tracker is told of it.

    Attributes:
        suite: Name of the suite.
        plan: Hash of the plan.
        id: The trial's id.
        arm: Name of the arm.
        replicate: From 0.
        folder: The tracker's own folder in the suite's results, for what it keeps on the disk.
    """

    suite: str
    plan: str
    id: str
    arm: str
    replicate: int
    folder: Path


class TrialTracking:
    """Base of what follows one trial. All of it is called by one thread, one call after another."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take numbers at a step of training.

        While the trial trains there is `progress`, the share of its steps that is done. When it has ended its curves
        follow, an epoch a call: `train_loss`, `validation_loss`, `validation_top1`, `learning_rate`.
        """

    def end(self, record: Mapping[str, Any]) -> None:
        """Take the trial's record (docs/dataflow.md), whatever its status. Called once, last."""


class Tracker:
    """Base of every tracker plugin: a frozen dataclass whose fields are its parameters.

    A tracker is called in the launcher's process, by a thread of its own, from what the launcher has anyway: never in a
    step, and nothing waits for it. One that raises, or falls behind, is told of once and left out of the rest of
    the run. What a secret in the environment looks like is masked before it comes here.

    Attributes:
        libraries: Top-level modules that `begin` imports and the harness does not bring: `harness check` and
            `harness plan` say which of them are missing, before a run is left without its curves.
        install: The command that gets them.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""

    def begin(self, trial: TrackedTrial, recipe: Mapping[str, Any]) -> TrialTracking:
        """Start to follow a trial. Libraries are imported here and not before.

        Args:
            trial: Which one.
            recipe: Its recipe in normal form.
        """
        raise NotImplementedError

    def close(self) -> None:
        """The run is over: write out what is held back."""

"""Replicates of one arm in one process: composed each by itself, stepped side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.contract import StepResult
from harness.engine.culprit import Owners
from harness.engine.joined import Ineligible
from harness.engine.loop import steps
from harness.engine.outcome import empty_outcome, ended_by
from harness.engine.precision import apply_numerics
from harness.engine.stack import Gather, Gathered, Stack
from harness.engine.tally import Tally
from harness.engine.trial import open_run

if TYPE_CHECKING:
    from harness.engine.run import Run
    from harness.suite.plan import Job


@dataclass(slots=True)
class Replicate:
    """One replicate of the stack, with all that its record will hold.

    Attributes:
        has_ended: True once its outcome is final, by whatever ended it.
    """

    job: Job
    run: Run
    tally: Tally
    owners: Owners
    outcome: dict[str, Any] = field(default_factory=dict)
    has_ended: bool = False

    def end(self, error: BaseException) -> None:
        """Enter what ended it; the others go on."""
        self.outcome |= ended_by(error, self.owners, self.tally.step, self.job)
        self.has_ended = True


def compose(jobs: Sequence[Job]) -> list[Replicate]:
    """Compose the runs of an arm's replicates; they read the same data."""
    apply_numerics(jobs[0].recipe["numerics"], torch.device(jobs[0].device))
    tallies = [Tally() for _ in jobs]  # they read the flags: before any plugin is loaded
    tallies[0].peaks.begin("build", torch.device(jobs[0].device))
    made: list[Replicate] = []
    for job, tally in zip(jobs, tallies, strict=True):
        begun = monotonic()
        owners = Owners()
        tally.peaks = tallies[0].peaks  # one process: its peaks are everyone's
        run = open_run(job, owners, made[0].run.data if made else None)
        tally.seconds["build"] += monotonic() - begun
        made.append(Replicate(job, run, tally, owners, empty_outcome(job.manifest)))
    return made


def step_at_once(replicates: Sequence[Replicate], first: int, last: int) -> Iterator[list[StepResult | None]]:
    """Yield the results of the steps from `first` up to but not `last`; what a replicate's own code raises ends it.

    Args:
        replicates: Those that have not ended.
        first: The step after the first one of a phase.
        last: At most the first step of the next phase.

    Yields:
        A result for each replicate, None for one that has ended.

    Raises:
        Ineligible: Where the stack cannot go on; the replicates are to be trained one by one.
    """
    stack = Stack([replicate.run for replicate in replicates])
    loops: list[Iterator[tuple[int, Any]]] = []
    taken = [replicate.run.step for replicate in replicates]
    for replicate in replicates:
        # The loop is the one of every trial; a step of it hands on the batch.
        replicate.run.step = Gather(replicate.run.step)  # type: ignore[assignment]
        loops.append(steps(replicate.run, first, last))
    try:
        for step in range(first, last):
            gathered = [_next(replicate, loop) for replicate, loop in zip(replicates, loops, strict=True)]
            if all(one is None for one in gathered):
                return
            yield _take(stack, replicates, gathered, step)
    finally:
        for replicate, step_of_run in zip(replicates, taken, strict=True):
            replicate.run.step = step_of_run
    stack.dissolve()


def _next(replicate: Replicate, loop: Iterator[tuple[int, Any]]) -> Gathered | None:
    if replicate.has_ended:
        return None
    try:
        gathered: Gathered = next(loop)[1]
    except (Exception, SystemExit) as error:
        replicate.end(error)
        return None
    return gathered


def _take(
    stack: Stack, replicates: Sequence[Replicate], gathered: Sequence[Gathered | None], step: int
) -> list[StepResult | None]:
    try:
        outcomes = stack.take(gathered)
    except Ineligible as error:
        raise Ineligible(f"at step {step}: {error}") from error
    except Exception as error:
        # Whose code it was that cannot be shared, its own trial will tell.
        line = (str(error).splitlines() or [""])[0][:300]
        raise Ineligible(f"at step {step}: {type(error).__name__}: {line}") from error
    results: list[StepResult | None] = []
    for replicate, outcome in zip(replicates, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            replicate.end(outcome)
            outcome = None
        results.append(outcome)
    return results

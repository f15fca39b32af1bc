"""A budget in seconds: a trial measures its own step, and is then composed anew with as many steps as go into it.

Everything in a trial is compiled for a number of steps (rates, phases, what is frozen), and a schedule's length
follows the budget (PROTOCOL.md). So there is no clock in the training: the trial is composed for a training of a
stand-in length, its step is timed, all of that is thrown away, and

    steps = max(1, floor(seconds / step seconds))

From there on it is, bit for bit, the trial with that budget in steps. Its number of steps depends on the machine and
on what else ran there meanwhile: it is neither reproducible nor resumable, and its record and the board say so.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from time import perf_counter  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.first import first_step
from harness.engine.loop import steps
from harness.engine.warm_up import warm_up
from harness.registry.digests import digest_json

if TYPE_CHECKING:
    from harness.engine.run import Run
    from harness.suite.plan import Job

SHARE = 0.1
FLOOR_SECONDS = 1.0
"""Measuring takes this share of the budget at the most, a second where that is less; and a few steps in any case."""

WINDOW = 10
WARM_UP_STEPS = (20, 100)
AGREEMENT = 0.02
LEAST_STEPS, LEAST_SECONDS = 40, 5.0
"""Warm-up and steady windows are those that PROTOCOL.md asks of a timing, as far as `SHARE` allows: windows of ten
steps, thrown away until two agree; then 40 steps and 5 s, and the mean of those, for it is the sum that is spent."""

EPOCH_DIGITS = 16
"""Of an epoch's order, in a record's digest."""

Tell = Callable[[], None]


def is_in_seconds(recipe: Mapping[str, Any]) -> bool:
    """Return whether a recipe's budget is in seconds."""
    return bool(recipe["budget"]["unit"] == "seconds")


def in_steps(job: Job, compose: Callable[[Job], Run], tell: Tell) -> Job:
    """Return the job with what was measured of its step, where its budget is in seconds and nobody has done so.

    Args:
        job: What is to run.
        compose: Composes a job; its run is stepped, and thrown away.
        tell: Called now and then, so that a watchdog sees progress.
    """
    if not is_in_seconds(job.recipe) or job.measured:
        return job
    tell()
    begun = perf_counter()
    # What it allocates is gone before the trial is composed: its peak of memory is its own.
    seconds_a_step, taken = _measured(job, compose, tell)
    _free(job)
    asked = float(job.recipe["budget"]["amount"])
    measured = {
        "asked": asked,
        "step_seconds": seconds_a_step,
        "total_steps": max(1, math.floor(asked / seconds_a_step)),
        "measured_steps": taken,
        "measuring_seconds": perf_counter() - begun,
    }
    return replace(job, measured=measured)


def _measured(job: Job, compose: Callable[[Job], Run], tell: Tell) -> tuple[float, int]:
    run = compose(job)
    try:
        return step_seconds(run, float(job.recipe["budget"]["amount"]), tell)
    finally:
        run.loader.close()


def step_seconds(run: Run, seconds: float, tell: Tell) -> tuple[float, int]:
    """Return what a step takes on the average over a training, and how many steps were timed.

    A phase changes what a step costs (layers that are trained again, larger images): each is timed where it begins,
    and counts by its share of the steps.

    Args:
        run: Composed for `foundation.STAND_IN_STEPS`; afterwards it is of no use.
        seconds: The budget, which bounds the time that measuring may take.
        tell: Called after each window.
    """
    warm_up(run)
    begins = sorted({0, *(step for step in run.phases if step < run.total_steps)})
    limit = max(SHARE * seconds, FLOOR_SECONDS) / len(begins)
    mean, taken = 0.0, 0
    for first, last in pairwise([*begins, run.total_steps]):
        phase, counted = _Phase(run, first, last, limit, tell).measure()
        mean += phase * (last - first) / run.total_steps
        taken += counted
    return mean, taken


class _Phase:
    """The steps of one phase, timed in windows."""

    def __init__(self, run: Run, first: int, last: int, limit: float, tell: Tell) -> None:
        self._run, self._limit, self._tell = run, limit, tell
        self._left = last - first
        self._spent = 0.0
        self._stream = self._steps(first, last)

    def _steps(self, first: int, last: int) -> Iterator[object]:
        """Take the steps as a trial does: the first of a phase checked."""
        yield first_step(self._run, first)
        yield from steps(self._run, first + 1, last)

    def measure(self) -> tuple[float, int]:
        """Return the seconds of a step, and of how many that is the mean."""
        single = self._window(1)
        if not self._left:
            return single, 1
        single = self._window(1)
        if not self._left:
            return single, 1
        length = min(WINDOW, max(1, int(self._limit / single / 4)))
        # What the very first steps import and choose is paid once, and may take longer than the rest.
        self._spent = 0.0
        self._warm_up(length)
        seconds, count = 0.0, 0
        while self._left and not (count and self._is_enough(seconds, count)):
            size = min(length, self._left)
            seconds += self._window(size)
            count += size
        return seconds / count, count

    def _is_enough(self, seconds: float, count: int) -> bool:
        return self._spent >= self._limit or (count >= LEAST_STEPS and seconds >= LEAST_SECONDS)

    def _warm_up(self, length: int) -> None:
        """Take windows until two agree, and leave at least one."""
        least, most = WARM_UP_STEPS
        before, taken = math.inf, 0
        while self._left > length and taken < most and self._spent < self._limit / 2:
            now = self._window(length)
            taken += length
            if taken >= least and abs(now / before - 1) <= AGREEMENT:
                return
            before = now

    def _window(self, count: int) -> float:
        """Take steps and return their seconds; the device is waited for at both ends, and nowhere between."""
        self._synchronize()
        begun = perf_counter()
        for _ in range(count):
            next(self._stream)
        self._synchronize()
        took = perf_counter() - begun
        self._left -= count
        self._spent += took
        self._tell()
        return took

    def _synchronize(self) -> None:
        if self._run.device.type == "cuda":
            torch.cuda.synchronize(self._run.device)


def _free(job: Job) -> None:
    """Let go of what a run that nobody holds any more has left: cycles, compiled code, the allocator's blocks."""
    gc.collect()
    if job.recipe["numerics"]["compile"]:
        torch.compiler.reset()
    if torch.device(job.device).type == "cuda":
        torch.cuda.empty_cache()


def order_digest(run: Run) -> str:
    """Return the digest of the order in which a trial saw its samples.

    Arms of one budget in seconds take unlike numbers of steps: there it is the epochs' own digests one after the
    other, so that the order of a shorter training is seen to be the beginning of a longer one's.
    """
    epochs = [run.order_digests[epoch] for epoch in sorted(run.order_digests)]
    if is_in_seconds(run.job.recipe):
        return " ".join(digest[:EPOCH_DIGITS] for digest in epochs)
    return digest_json(epochs)

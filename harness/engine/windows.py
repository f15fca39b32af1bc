"""Windows of steps, timed: what the timing pass is made of.

On a GPU a window is timed by events on the stream, and the device is synchronised at its edges only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from time import perf_counter  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING

import torch

from harness.engine.energy import energy_counter
from harness.engine.loop import steps
from harness.engine.memory import Peaks, device_bytes
from harness.engine.trial import REPORT_SECONDS, Report

if TYPE_CHECKING:
    from harness.contract import Batch, StepResult
    from harness.engine.run import Run

    Stream = Iterator[tuple[int, StepResult]]

WINDOW = 10
WARMUP_STEPS = (20, 100)
WARMUP_AGREEMENT = 0.02
STEADY_STEPS = 40
STEADY_WINDOWS = 3
WINDOW_SECONDS = 0.1
"""A steady window lasts at least this long: one of ten steps of a millisecond would show where epochs begin, and
what the machine does besides, rather than the arm."""
WINDOW_SHARE = 0.2
"""And at least this share of the steady seconds: a second of five. What is published is the median over the
windows, so jitter that is shorter than a window averages out inside it and is no noise of that figure. What lasts
longer (a neighbour, a clock that drops) still stands between windows, and makes the round noisy: PROTOCOL.md asks
for a coefficient of variation of 5 % at the most, and leaves a window's length open."""


@dataclass(frozen=True, slots=True)
class Steady:
    """What was measured over windows of equally many steps.

    Attributes:
        windows: Seconds of each.
        length: Steps of each.
        waited: Seconds waited for data in them.
        elapsed: Seconds from the first's begin to the last's end.
        joules: What the device used meanwhile; None where it does not say.
        peak_memory_bytes: Of the process, the device's allocator, the process tree and the device.
    """

    windows: list[float]
    length: int
    waited: float
    elapsed: float
    joules: float | None
    peak_memory_bytes: dict[str, int | None]

    @property
    def steps(self) -> int:
        """Steps in all."""
        return len(self.windows) * self.length

    def step_seconds(self) -> list[float]:
        """Return the seconds of a step, by window."""
        return [seconds / self.length for seconds in self.windows]


def warm_up_windows(run: Run, stream: Stream) -> list[float]:
    """Take windows until two in a row agree; return the seconds of each."""
    windows: list[float] = []
    least, most = (steps // WINDOW for steps in WARMUP_STEPS)
    while len(windows) < most:
        windows.append(window(run, stream, WINDOW))
        if len(windows) >= least and abs(windows[-1] / windows[-2] - 1) <= WARMUP_AGREEMENT:
            break
    return windows


def steady(run: Run, stream: Stream, step_seconds: float, least_seconds: float, report: Report) -> Steady:
    """Time windows for `least_seconds` or longer: three or more, of 40 steps or more in all.

    Args:
        run: Whose steps.
        stream: Takes a step each time that it is asked.
        step_seconds: What a step takes, roughly: it decides the length of a window.
        least_seconds: To go on for; a window takes a fifth of it, or a little more.
        report: Gets a message now and then.
    """
    length = window_steps(step_seconds, least_seconds)
    peaks = Peaks()
    peaks.begin("steady", run.device)
    counter = energy_counter(run.device)
    windows: list[float] = []
    before, waited = counter and counter(), run.loader.waited_seconds
    begun = reported = perf_counter()
    while (
        len(windows) < STEADY_WINDOWS or len(windows) * length < STEADY_STEPS or sum(windows) < least_seconds
    ):
        windows.append(window(run, stream, length))
        peaks.sample()
        # Seldom: whoever reads it wants a core of the machine that is being measured.
        if perf_counter() - reported >= REPORT_SECONDS:
            report({"kind": "step", "step": len(windows) * length, "total": STEADY_STEPS})
            reported = perf_counter()
    return Steady(
        windows=windows,
        length=length,
        waited=run.loader.waited_seconds - waited,
        elapsed=perf_counter() - begun,
        joules=None if counter is None or before is None else counter() - before,
        peak_memory_bytes={**peaks.of("steady"), "device": device_bytes(run.device)},
    )


def window_steps(step_seconds: float, least_seconds: float) -> int:
    """Return the steps of a steady window: the fewest tens that last as long as one should.

    Args:
        step_seconds: What a step takes, roughly.
        least_seconds: What all windows take together, at the least.
    """
    seconds = max(WINDOW_SECONDS, WINDOW_SHARE * least_seconds)
    return WINDOW * max(1, math.ceil(seconds / (step_seconds * WINDOW)))


def endless(run: Run) -> Generator[tuple[int, StepResult]]:
    """Take the steps of the budget over and over: a small suite's may be fewer than have to be measured."""
    run.loader.cycles = True
    while True:
        yield from steps(run, 0, run.total_steps)


def on_one_batch(run: Run, batch: Batch) -> Stream:
    """Take steps of one epoch over and over, each on the same batch.

    The trial stands still where it is, so that what depends on its progress (phases, rates, a size that grows) is
    as in the steps before; draws and seeds go on.
    """
    micro, count = run.step.micro_batches, min(run.steps_per_epoch, run.total_steps)
    seeds = run.keys.torch_seeds("step", run.moment.epoch, count * micro)
    for index in itertools.cycle(range(count)):
        run.moment.index = index
        yield index, run.step(batch, seeds[index * micro : (index + 1) * micro])


def window(run: Run, stream: Stream, count: int) -> float:
    """Take `count` steps and return their seconds."""
    if run.device.type != "cuda":
        begun = perf_counter()
        for _ in range(count):
            next(stream)
        return perf_counter() - begun
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(count):
        next(stream)
    last.record()
    torch.cuda.synchronize(run.device)
    return float(first.elapsed_time(last)) / 1000

"""The timing pass: one arm's own step on its own data, with the machine to itself (PROTOCOL.md, speed).

A fresh process runs one arm once a round. Warm-up ends when two successive windows agree; then come the
windows that count. On a GPU the device is synchronised at window edges only.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.culprit import Owners, is_out_of_memory
from harness.engine.evaluate import predict
from harness.engine.flags import read_flags, restore_flags
from harness.engine.loop import steps
from harness.engine.memory import peak_memory, reset_peaks
from harness.engine.precision import apply_numerics
from harness.engine.trial import REPORT_SECONDS, Report, open_run
from harness.errors import PluginError

if TYPE_CHECKING:
    from harness.contract import StepResult
    from harness.engine.run import Run
    from harness.suite.plan import Job

WINDOW = 10
WARMUP_STEPS = (20, 100)
WARMUP_AGREEMENT = 0.02
STEADY_STEPS = 40
STEADY_WINDOWS = 3
WINDOW_SECONDS = 0.1
"""A steady window lasts at least this long: one of ten steps of a millisecond would show where epochs begin, and
what the machine does besides, rather than the arm."""
NOISY = 0.05
EVALUATION_SECONDS = 0.2
EVALUATION_SAMPLES = 2048


def time_arm(job: Job, *, report: Report) -> dict[str, Any]:
    """Measure one arm's speed and memory once.

    Returns:
        What docs/dataflow.md names; `status` is "completed", "oom" or "failed": also where a plugin changed
        global state (threads, TF32, a clock), for then it is not this arm's recipe that was measured.
    """
    owners = Owners()
    begun = perf_counter()
    apply_numerics(job.recipe["numerics"], torch.device(job.device))
    flags = read_flags()
    report({"kind": "phase", "name": "build"})
    try:
        run = open_run(job, owners)
        measured = _measure(run, job, report, perf_counter() - begun)
        changed = restore_flags(flags)
        if changed:
            raise PluginError(f"a plugin changed {', '.join(changed)}")
        return {**measured, "status": "completed", "culprit": None}
    except (Exception, SystemExit) as error:
        status = "oom" if is_out_of_memory(error) else "failed"
        return {**empty_timing(), "status": status, "culprit": owners.culprit(error, None)}


def empty_timing() -> dict[str, Any]:
    """Return a timing in which nothing was measured."""
    return {
        "status": "failed",
        "culprit": None,
        "images_per_second": None,
        "evaluation_images_per_second": None,
        "step_seconds": None,
        "window_seconds": [],
        "warmup_steps": None,
        "steady_steps": None,
        "noisy": None,
        "peak_memory_bytes": dict.fromkeys(("resident", "allocated", "reserved")),
        "seconds": dict.fromkeys(("build", "warmup", "steady", "evaluate")),
    }


def _measure(run: Run, job: Job, report: Report, build_seconds: float) -> dict[str, Any]:
    stream = _endless(run)
    report({"kind": "phase", "name": "warmup"})
    warmup: list[float] = []
    least, most = (steps // WINDOW for steps in WARMUP_STEPS)
    while len(warmup) < most:
        warmup.append(_window(run, stream, WINDOW))
        if len(warmup) >= least and abs(warmup[-1] / warmup[-2] - 1) <= WARMUP_AGREEMENT:
            break
    reset_peaks(run.device)
    window = WINDOW * max(1, math.ceil(WINDOW_SECONDS / warmup[-1]))
    report({"kind": "phase", "name": "steady"})
    windows: list[float] = []
    reported = perf_counter()
    while (
        len(windows) < STEADY_WINDOWS
        or len(windows) * window < STEADY_STEPS
        or sum(windows) < job.timing_seconds
    ):
        windows.append(_window(run, stream, window))
        # Seldom: whoever reads it wants a core of the machine that is being measured.
        if perf_counter() - reported >= REPORT_SECONDS:
            report({"kind": "step", "step": len(windows) * window, "total": STEADY_STEPS})
            reported = perf_counter()
    peaks = peak_memory(run.device)
    report({"kind": "phase", "name": "evaluate"})
    begun = perf_counter()
    evaluation = _evaluation_speed(run)
    spread = spread_of([seconds / window for seconds in windows])
    return {
        "images_per_second": run.batch_size / spread["median"],
        "evaluation_images_per_second": evaluation,
        "step_seconds": spread,
        "window_seconds": windows,
        "warmup_steps": len(warmup) * WINDOW,
        "steady_steps": len(windows) * window,
        "noisy": spread["cv"] > NOISY,
        "peak_memory_bytes": {
            "resident": peaks["peak_resident_bytes"],
            "allocated": peaks["peak_allocated_bytes"],
            "reserved": peaks["peak_reserved_bytes"],
        },
        "seconds": {
            "build": build_seconds,
            "warmup": sum(warmup),
            "steady": sum(windows),
            "evaluate": perf_counter() - begun,
        },
    }


def spread_of(values: list[float]) -> dict[str, float]:
    """Return median, interquartile range, median absolute deviation and coefficient of variation."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": median,
        "iqr": high - low,
        "mad": statistics.median(abs(value - median) for value in values),
        "cv": statistics.stdev(values) / statistics.fmean(values),
    }


def _endless(run: Run) -> Iterator[tuple[int, StepResult]]:
    # The budget of a small suite may be shorter than what has to be measured: then it starts over.
    while True:
        yield from steps(run, 0, run.total_steps)


def _window(run: Run, stream: Iterator[tuple[int, StepResult]], count: int) -> float:
    """Take `count` steps and return their seconds."""
    begun = perf_counter()
    for _ in range(count):
        next(stream)
    _synchronize(run.device)
    return perf_counter() - begun


def _evaluation_speed(run: Run) -> float:
    """Return images a second in evaluation, on training images: the test split is not for this."""
    train = run.data.train
    part = replace(
        train,
        labels=train.labels[:EVALUATION_SAMPLES],
        ids=train.ids[:EVALUATION_SAMPLES],
    )
    judged = run.judged()
    predict(run, judged, part)
    _synchronize(run.device)
    passes, begun = 0, perf_counter()
    while perf_counter() - begun < EVALUATION_SECONDS:
        predict(run, judged, part)
        _synchronize(run.device)
        passes += 1
    return passes * len(part) / (perf_counter() - begun)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

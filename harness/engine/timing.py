"""The timing pass: one arm's own step on its own data, with the machine to itself (PROTOCOL.md, speed).

A fresh process runs one arm once a round. Warm-up ends when two successive windows agree; then come the
windows that count: first end to end, with the loader that the trials use, then compute alone: the same step, its
batch functions included, over and over on one batch that stays on the device; and each augmentation by itself.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from time import perf_counter  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.augmentation_cost import augmentation_costs
from harness.engine.culprit import Owners, is_out_of_memory
from harness.engine.energy import energy_of
from harness.engine.evaluate import predict
from harness.engine.flags import read_flags, restore_flags
from harness.engine.latency import latency
from harness.engine.outcome import loader_json
from harness.engine.precision import apply_numerics
from harness.engine.trial import Report, open_run
from harness.engine.warm_up import warm_up
from harness.engine.windows import WINDOW, Steady, endless, on_one_batch, steady, warm_up_windows, window
from harness.errors import PluginError

if TYPE_CHECKING:
    from harness.engine.run import Run
    from harness.suite.plan import Job

NOISY = 0.05
TRIES = 5
"""Times that the steady windows are taken at the most: while they come out noisy, they are taken again. Where a
neighbour makes half of them noisy, nearly every round has a quiet one."""
INPUT_BOUND = 0.1
COMPUTE_SHARE = 0.5
"""Compute alone is measured for this share of the steady seconds: no epochs begin in it."""
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
    run: Run | None = None
    try:
        seconds: dict[str, float] = {}
        run = open_run(job, owners, seconds=seconds)
        seconds["build"] = perf_counter() - begun
        measured = _measure(run, job, report, seconds)
        changed = restore_flags(flags)
        if changed:
            raise PluginError(f"a plugin changed {', '.join(changed)}")
        return {**measured, "status": "completed", "culprit": None}
    except (Exception, SystemExit) as error:
        status = "oom" if is_out_of_memory(error) else "failed"
        return {**empty_timing(), "status": status, "culprit": owners.culprit(error, None)}
    finally:
        if run is not None:
            run.loader.close()


def empty_timing() -> dict[str, Any]:
    """Return a timing in which nothing was measured."""
    return {
        "status": "failed",
        "culprit": None,
        "images_per_second": None,
        "compute_images_per_second": None,
        "evaluation_images_per_second": None,
        "step_seconds": None,
        "tries": [],
        "window_seconds": [],
        "warmup_steps": None,
        "steady_steps": None,
        "noisy": None,
        "loader": None,
        "data_wait_share": None,
        "input_bound": None,
        "augmentations": None,
        "latency_seconds": None,
        "energy": None,
        "peak_memory_bytes": dict.fromkeys(("resident", "allocated", "reserved", "tree", "device")),
        "seconds": dict.fromkeys(
            (
                "build",
                "data",
                "compile",
                "warmup",
                "steady",
                "compute",
                "augmentations",
                "evaluate",
                "latency",
            )
        ),
    }


def _measure(run: Run, job: Job, report: Report, seconds: dict[str, float]) -> dict[str, Any]:
    report({"kind": "phase", "name": "warmup"})
    ahead = warm_up(run)
    stream = endless(run)
    warmup = warm_up_windows(run, stream)
    seconds["warmup"] = sum(warmup)
    if job.recipe["numerics"]["compile"]:
        seconds["compile"] = ahead
    else:
        seconds["warmup"] += ahead

    report({"kind": "phase", "name": "steady"})
    tries: list[Steady] = []
    while not tries or (len(tries) < TRIES and is_noisy(tries[-1])):
        tries.append(steady(run, stream, warmup[-1] / WINDOW, job.timing_seconds, report))
    # By the spread alone, never by the speed, so no arm gains by it; all of them are told.
    whole = min(tries, key=lambda one: spread_of(one.step_seconds())["cv"])
    seconds["steady"] = sum(whole.windows)

    report({"kind": "phase", "name": "compute"})
    stream.close()
    run.loader.close()
    batch = next(run.training_batches(1))
    resident = on_one_batch(run, batch)
    first = window(run, resident, WINDOW)
    compute = steady(run, resident, first / WINDOW, COMPUTE_SHARE * job.timing_seconds, report)
    seconds["compute"] = sum(compute.windows)

    spread, alone = spread_of(whole.step_seconds()), statistics.median(compute.step_seconds())
    waited = whole.waited / seconds["steady"]
    if run.device.type == "cuda":
        # The host runs ahead, and waits while the device works: no more was lost than the step is longer by.
        waited = min(waited, max(0.0, 1 - alone / spread["median"]))
    begun = perf_counter()
    costs = augmentation_costs(run, batch, spread["median"], waited)
    if costs:
        seconds["augmentations"] = perf_counter() - begun

    report({"kind": "phase", "name": "evaluate"})
    begun = perf_counter()
    evaluation = _evaluation_speed(run)
    seconds["evaluate"] = perf_counter() - begun
    delay = None
    if job.measure.get("latency", True):
        begun = perf_counter()
        delay = latency(run, batch.image[:1].clone())
        seconds["latency"] = perf_counter() - begun
    return {
        "images_per_second": run.batch_size / spread["median"],
        "compute_images_per_second": run.batch_size / alone,
        "evaluation_images_per_second": evaluation,
        "step_seconds": spread,
        "tries": [spread_of(one.step_seconds()) for one in tries],
        "window_seconds": whole.windows,
        "warmup_steps": len(warmup) * WINDOW,
        "steady_steps": whole.steps,
        "noisy": is_noisy(whole),
        "loader": loader_json(run),
        "data_wait_share": waited,
        "input_bound": waited > INPUT_BOUND,
        "augmentations": costs,
        "latency_seconds": delay,
        "energy": energy_of(whole.joules, whole.steps * run.batch_size, whole.elapsed),
        "peak_memory_bytes": whole.peak_memory_bytes,
        "seconds": {**empty_timing()["seconds"], **seconds},
    }


def is_noisy(measured: Steady) -> bool:
    """Return whether a step took longer in some windows than in others by more than a speed may be judged by."""
    return spread_of(measured.step_seconds())["cv"] > NOISY


def spread_of(values: list[float]) -> dict[str, float]:
    """Return median, interquartile range, median absolute deviation and coefficient of variation."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {
        "median": median,
        "iqr": high - low,
        "mad": statistics.median(abs(value - median) for value in values),
        "cv": statistics.stdev(values) / statistics.fmean(values),
    }


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

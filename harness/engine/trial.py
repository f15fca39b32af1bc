"""One trial, from a job to its outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.checkpoint import drop_checkpoint, load_checkpoint, save_checkpoint
from harness.engine.compile import Run, compile_run, plugin_files
from harness.engine.contract_check import Owners
from harness.engine.data import open_data
from harness.engine.evaluate import outputs_digest, predict, result, score
from harness.engine.first import first_step
from harness.engine.flags import read_flags, restore_flags
from harness.engine.loop import steps
from harness.engine.memory import peak_memory, reset_peaks
from harness.engine.parameters import weights_digest
from harness.engine.precision import apply_numerics
from harness.registry import discover
from harness.registry.digests import digest_json

if TYPE_CHECKING:
    from torch import Tensor

    from harness.suite.plan import Job

Report = Callable[[dict[str, Any]], None]

WINDOW = 50
"""Steps between two looks at the losses: a loss that is no number is noticed within these."""

REPORT_SECONDS = 0.2
CURVES = ("epoch", "train_loss", "validation_loss", "validation_top1", "learning_rate")


class Diverged(Exception):
    """The loss became NaN or infinite."""


class Preempted(Exception):
    """The trial was asked to stop and has left a checkpoint."""


@dataclass(slots=True)
class Tally:
    """What a trial adds up while it trains. All but `losses` is JSON and travels in the checkpoint."""

    step: int = 0
    flops_per_step: int | None = None
    losses: list[Tensor] = field(default_factory=list)
    curves: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in CURVES})
    seconds: dict[str, float] = field(default_factory=lambda: {"build": 0.0, "train": 0.0, "evaluate": 0.0})
    resumed_from_step: int | None = None


def run_trial(job: Job, *, report: Report, stop: Callable[[], bool]) -> dict[str, Any]:
    """Train and judge one arm's one replicate; a failure of the arm's is an outcome, not an exception.

    Args:
        job: What to run.
        report: Gets the messages of docs/dataflow.md.
        stop: Asked at window edges; when true, the trial leaves a checkpoint and ends as `preempted`.
    """
    started = time.monotonic()
    apply_numerics(job.recipe["numerics"], torch.device(job.device))
    before = read_flags()  # with the numerics in force, and before any plugin is loaded
    tally = Tally()
    owners = Owners({}, {})
    run: Run | None = None
    outcome = empty_outcome(job.manifest)
    try:
        run = _build(job, owners, tally, report)
        outcome |= {
            "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
            "pipeline": run.pipeline,
            "initial_parameters": run.initial_parameters,
        }
        outcome["digests"]["initial_weights"] = digest_json(list(run.initial_parameters.items()))
        train(run, tally, report, stop)
        outcome |= _judge(run, tally, report)
        outcome["status"] = "completed"
        drop_checkpoint(Path(job.folder))
    except Preempted:
        outcome["status"] = "preempted"
    except Diverged as error:
        outcome |= {"status": "diverged", "culprit": _nobody(tally.step, str(error))}
    except (Exception, SystemExit) as error:
        status = "oom" if is_out_of_memory(error) else "failed"
        outcome |= {"status": status, "culprit": _culprit(owners, error, tally.step, job)}
    outcome |= _measured(run, tally, time.monotonic() - started)
    outcome["changes"] = restore_flags(before)
    return outcome


def empty_outcome(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return an outcome in which nothing has been measured yet."""
    return {
        "status": "failed",
        "culprit": None,
        "digests": dict.fromkeys(("order", "initial_weights", "final_weights", "evaluation_outputs")),
        "initial_parameters": {},
        "results": {"test": None, "validation": None},
        "curves": {name: [] for name in CURVES},
        "budget": dict.fromkeys(("epochs", "steps", "samples", "flops_per_step", "training_flops")),
        "seconds": dict.fromkeys(("build", "train", "evaluate", "total")),
        "memory": dict.fromkeys(("peak_resident_bytes", "peak_allocated_bytes", "peak_reserved_bytes")),
        "parameters": None,
        "pipeline": "",
        "observables": {},
        "changes": [],
        "resumed_from_step": None,
        "chance_top1": 100.0 / len(manifest["classes"]),
    }


def _build(job: Job, owners: Owners, tally: Tally, report: Report) -> Run:
    report({"kind": "phase", "name": "build"})
    begun = time.monotonic()
    run = open_run(job, owners)
    tally.seconds["build"] += time.monotonic() - begun
    return run


def open_run(job: Job, owners: Owners) -> Run:
    """Open the data of a job and compose its run; `owners` learns whose code is whose."""
    registry = discover([Path(file) for file in job.plugins], allow=os.environ.get("HARNESS_PLUGINS"))
    owners.files.update(plugin_files(registry, job.recipe))
    device = torch.device(job.device)
    apply_numerics(job.recipe["numerics"], device)
    data = open_data(
        Path(job.data),
        job.manifest,
        job.recipe["dataset"]["validation"],
        job.seed,
        device,
        channels_last=job.recipe["numerics"]["channels_last"],
    )
    reset_peaks(device)
    return compile_run(job, registry, data, owners)


def train(run: Run, tally: Tally, report: Report, stop: Callable[[], bool]) -> None:
    """Take the steps of the budget."""
    folder = Path(run.job.folder)
    kept = load_checkpoint(run, folder)
    if kept is not None:
        tally.step = tally.resumed_from_step = kept["step"]
        tally.flops_per_step, tally.curves, tally.seconds = (
            kept["flops_per_step"],
            kept["curves"],
            kept["seconds"],
        )
        tally.losses = [torch.tensor(loss, device=run.device) for loss in kept["losses"]]
        run.order_digests.update({int(epoch): digest for epoch, digest in kept["orders"].items()})
    report({"kind": "phase", "name": "train"})
    report({"kind": "first_step", "seconds": time.monotonic()})

    since = saved = reported = time.monotonic()

    def leave_checkpoint() -> None:
        nonlocal saved
        tally.seconds["train"] += time.monotonic() - since
        save_checkpoint(run, folder, _progress(run, tally))
        saved = time.monotonic()

    if tally.step < run.total_steps and tally.flops_per_step is None:
        outcome, tally.flops_per_step = first_step(run, tally.step)
        tally.losses.append(outcome.loss)
        tally.step += 1
        tally.seconds["train"] += time.monotonic() - since
        _end_of_epoch(run, tally)
        since = time.monotonic()
    unseen = len(tally.losses)
    for step, outcome in steps(run, tally.step, run.total_steps):
        tally.losses.append(outcome.loss)
        tally.step = step + 1
        unseen += 1
        at_edge = unseen >= WINDOW
        at_end = tally.step % run.steps_per_epoch == 0 or tally.step == run.total_steps
        if not (at_edge or at_end):
            continue
        _look(tally.losses[-unseen:], step)
        unseen = 0
        now = time.monotonic()
        tally.seconds["train"] += now - since
        if at_end:
            _end_of_epoch(run, tally)
        since = time.monotonic()
        if since - reported >= REPORT_SECONDS:
            report({"kind": "step", "step": tally.step, "total": run.total_steps})
            reported = since
        if stop() and tally.step < run.total_steps:
            leave_checkpoint()
            raise Preempted
        if at_end and tally.step < run.total_steps and since - saved >= run.job.checkpoint_seconds:
            leave_checkpoint()
            since = time.monotonic()


def _look(losses: list[Tensor], step: int) -> None:
    if not bool(torch.isfinite(torch.stack(losses)).all()):
        raise Diverged(f"the loss became NaN or infinite within the {WINDOW} steps before step {step + 1}")


def _end_of_epoch(run: Run, tally: Tally) -> None:
    """Close an epoch's entry in the curves, where one has ended; the validation split is read here."""
    ended = tally.step % run.steps_per_epoch == 0 or tally.step == run.total_steps
    if not ended or not tally.losses:
        return
    begun = time.monotonic()
    curves = tally.curves
    curves["epoch"].append(tally.step / run.steps_per_epoch)
    curves["train_loss"].append(torch.stack(tally.losses).double().mean().item())
    curves["learning_rate"].append(run.groups[0][0]["lr"])
    if run.data.validation is not None:
        measured = score(predict(run, run.judged(), run.data.validation), run.data.validation.labels)
        curves["validation_loss"].append(measured["nll"])
        curves["validation_top1"].append(measured["top1"])
    tally.losses = []
    tally.seconds["evaluate"] += time.monotonic() - begun


def _progress(run: Run, tally: Tally) -> dict[str, Any]:
    return {
        "step": tally.step,
        "flops_per_step": tally.flops_per_step,
        "curves": tally.curves,
        "seconds": tally.seconds,
        "losses": [loss.item() for loss in tally.losses],
        "orders": {str(epoch): digest for epoch, digest in run.order_digests.items()},
    }


def _judge(run: Run, tally: Tally, report: Report) -> dict[str, Any]:
    """Read the test split, once."""
    report({"kind": "phase", "name": "evaluate"})
    begun = time.monotonic()
    judged, test = run.judged(), run.data.test()
    logits = predict(run, judged, test)
    if not bool(torch.isfinite(logits).all()):
        raise Diverged("the judged model's logits hold NaN or infinite values")
    results = {"test": result(run, logits, test.labels), "validation": None}
    validation = run.data.validation
    if validation is not None:
        results["validation"] = result(run, predict(run, judged, validation), validation.labels)
    tally.seconds["evaluate"] += time.monotonic() - begun
    return {
        "results": results,
        "digests": {
            "order": digest_json([run.order_digests[epoch] for epoch in sorted(run.order_digests)]),
            "initial_weights": digest_json(list(run.initial_parameters.items())),
            "final_weights": weights_digest(run.model),
            "evaluation_outputs": outputs_digest(logits),
        },
        "observables": {
            label: {"name": name, "value": float(observe())}
            for label, (name, observe) in run.observers.items()
        },
    }


def _measured(run: Run | None, tally: Tally, total: float) -> dict[str, Any]:
    measured: dict[str, Any] = {
        "curves": tally.curves,
        "seconds": {**tally.seconds, "total": total},
        "resumed_from_step": tally.resumed_from_step,
    }
    if run is not None:
        flops = tally.flops_per_step
        measured["memory"] = peak_memory(run.device)
        measured["budget"] = {
            "epochs": tally.step / run.steps_per_epoch,
            "steps": tally.step,
            "samples": tally.step * run.batch_size,
            "flops_per_step": flops,
            "training_flops": None if flops is None else flops * tally.step,
        }
    return measured


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the host's or the device's memory ran out."""
    text = str(error)
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in text or "CUDA out of memory" in text)
    )


def _nobody(step: int, text: str) -> dict[str, Any]:
    return {"plugin": None, "slot": None, "step": step, "error": text, "traceback": ""}


def _culprit(owners: Owners, error: BaseException, step: int, job: Job) -> dict[str, Any]:
    if is_out_of_memory(error):
        text = f"out of memory at batch size {job.recipe['batch_size']}: {error}"
        return _nobody(step, text[:2000])
    return owners.culprit(error, step)

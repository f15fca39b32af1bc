"""One trial, from a job to its outcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.checkpoint import drop_checkpoint, load_checkpoint, save_checkpoint
from harness.engine.compile import compile_run
from harness.engine.culprit import Owners, is_out_of_memory
from harness.engine.data import open_data
from harness.engine.evaluate import outputs_digest, predict, result, score
from harness.engine.first import first_step
from harness.engine.flags import restore_flags
from harness.engine.loop import steps
from harness.engine.memory import peak_memory, reset_peaks
from harness.engine.parameters import weights_digest
from harness.engine.precision import apply_numerics
from harness.engine.run import Run
from harness.engine.tally import CURVES, Tally
from harness.registry import discover
from harness.registry.digests import digest_json

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract import StepResult
    from harness.suite.plan import Job

Report = Callable[[dict[str, Any]], None]

WINDOW = 50
"""Steps between two looks at the losses: a loss that is no number is noticed within these."""

REPORT_SECONDS = 0.2


class Diverged(Exception):
    """The loss became NaN or infinite."""


class Preempted(Exception):
    """The trial was asked to stop and has left a checkpoint."""


def run_trial(job: Job, *, report: Report, stop: Callable[[], bool]) -> dict[str, Any]:
    """Train and judge one arm's one replicate; a failure of the arm's is an outcome, not an exception.

    Args:
        job: What to run.
        report: Gets the messages of docs/dataflow.md.
        stop: Asked at window edges; when true, the trial leaves a checkpoint and ends as `preempted`.
    """
    apply_numerics(job.recipe["numerics"], torch.device(job.device))
    tally = Tally()  # it reads the flags: with the numerics in force, and before any plugin is loaded
    owners = Owners()
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
    outcome |= _measured(run, tally)
    noted = run.changes if run is not None else []
    outcome["changes"] = list(dict.fromkeys([*noted, *restore_flags(tally.flags)]))
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
    begun = monotonic()
    run = open_run(job, owners)
    tally.seconds["build"] += monotonic() - begun
    return run


def open_run(job: Job, owners: Owners) -> Run:
    """Open the data of a job and compose its run; `owners` learns whose code is whose."""
    registry = discover([Path(file) for file in job.plugins], allow=os.environ.get("HARNESS_PLUGINS"))
    owners.learn(registry, job.recipe)
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
        tally.restore(kept, run)
        run.replay_phases(tally.step)
    report({"kind": "phase", "name": "train"})
    report({"kind": "first_step", "seconds": monotonic()})

    since = saved = reported = monotonic()

    def leave_checkpoint() -> None:
        nonlocal saved
        tally.seconds["train"] += monotonic() - since
        save_checkpoint(run, folder, tally.kept(run))
        saved = monotonic()

    unseen = 0
    for step, outcome in _all_steps(run, tally):
        tally.losses.append(outcome.loss)
        tally.step = step + 1
        unseen += 1
        at_end = tally.step % run.steps_per_epoch == 0 or tally.step == run.total_steps
        if unseen < WINDOW and not at_end:
            continue
        _look(tally.losses[-unseen:], step)
        unseen = 0
        now = monotonic()
        tally.seconds["train"] += now - since
        if at_end:
            _end_of_epoch(run, tally)
        since = monotonic()
        if since - reported >= REPORT_SECONDS:
            report({"kind": "step", "step": tally.step, "total": run.total_steps})
            reported = since
        if stop() and tally.step < run.total_steps:
            leave_checkpoint()
            raise Preempted
        if tally.step < run.total_steps and since - saved >= run.job.checkpoint_seconds:
            leave_checkpoint()
            since = monotonic()


def _all_steps(run: Run, tally: Tally) -> Iterator[tuple[int, StepResult]]:
    """Yield (step, result) to the end of the budget; `tally.step` is moved on by whoever takes them.

    The first step, and the first of each phase, is checked and counted: a phase may change what a step costs.
    """
    while tally.step < run.total_steps:
        if not tally.flops or (tally.step in run.phases and tally.flops[-1][0] < tally.step):
            first = tally.step
            outcome, flops = first_step(run, first)
            tally.flops.append((first, flops))
            yield first, outcome
        end = min((step for step in run.phases if step > tally.step), default=run.total_steps)
        yield from steps(run, tally.step, end)


def _look(losses: list[Tensor], step: int) -> None:
    if not bool(torch.isfinite(torch.stack(losses)).all()):
        raise Diverged(f"the loss became NaN or infinite within the {WINDOW} steps before step {step + 1}")


def _end_of_epoch(run: Run, tally: Tally) -> None:
    """Close an epoch's entry in the curves; the validation split is read here."""
    begun = monotonic()
    curves = tally.curves
    curves["epoch"].append(tally.step / run.steps_per_epoch)
    curves["train_loss"].append(torch.stack(tally.losses).double().mean().item())
    curves["learning_rate"].append(run.groups[0][0]["lr"])
    if run.data.validation is not None:
        measured = score(predict(run, run.judged(), run.data.validation), run.data.validation.labels)
        curves["validation_loss"].append(measured["nll"])
        curves["validation_top1"].append(measured["top1"])
    tally.losses = []
    tally.seconds["evaluate"] += monotonic() - begun


def _judge(run: Run, tally: Tally, report: Report) -> dict[str, Any]:
    """Read the test split, once."""
    report({"kind": "phase", "name": "evaluate"})
    begun = monotonic()
    judged, test = run.judged(), run.data.test()
    logits = predict(run, judged, test)
    if not bool(torch.isfinite(logits).all()):
        raise Diverged("the judged model's logits hold NaN or infinite values")
    results = {"test": result(run, logits, test.labels), "validation": None}
    validation = run.data.validation
    if validation is not None:
        results["validation"] = result(run, predict(run, judged, validation), validation.labels)
    tally.seconds["evaluate"] += monotonic() - begun
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


def _measured(run: Run | None, tally: Tally) -> dict[str, Any]:
    measured: dict[str, Any] = {
        "curves": tally.curves,
        "seconds": {**tally.seconds, "total": tally.total_seconds()},
        "resumed_from_step": tally.resumed_from_step,
    }
    if run is not None:
        measured["memory"] = peak_memory(run.device)
        measured["budget"] = {
            "epochs": tally.step / run.steps_per_epoch,
            "steps": tally.step,
            "samples": tally.step * run.batch_size,
            "flops_per_step": tally.flops[0][1] if tally.flops else None,
            "training_flops": tally.training_flops(),
        }
    return measured


def _nobody(step: int, text: str) -> dict[str, Any]:
    return {"plugin": None, "slot": None, "step": step, "error": text, "traceback": ""}


def _culprit(owners: Owners, error: BaseException, step: int, job: Job) -> dict[str, Any]:
    if is_out_of_memory(error):
        text = f"out of memory at batch size {job.recipe['batch_size']}: {error}"
        return _nobody(step, text[:2000])
    return owners.culprit(error, step)

"""One trial, from a job to its outcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.checkpoint import drop_checkpoint, load_checkpoint, save_checkpoint
from harness.engine.compile import compile_run
from harness.engine.culprit import Owners
from harness.engine.data import TrialData, open_data
from harness.engine.evaluate import outputs_digest, predict, result, score
from harness.engine.first import first_step
from harness.engine.flags import restore_flags
from harness.engine.loader_choice import choose
from harness.engine.loop import steps
from harness.engine.outcome import Diverged, Preempted, described, empty_outcome, ended_by, measured
from harness.engine.parameters import weights_digest
from harness.engine.parents import write_weights
from harness.engine.precision import apply_numerics
from harness.engine.run import Run
from harness.engine.seconds import in_steps, order_digest
from harness.engine.tally import Tally
from harness.errors import StoreError
from harness.registry.digests import digest_json
from harness.registry.discovery import discover

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract import StepResult
    from harness.suite.plan import Job

Report = Callable[[dict[str, Any]], None]

WINDOW = 50
"""Steps between two looks at the losses: a loss that is no number is noticed within these."""

REPORT_SECONDS = 0.2


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
        outcome |= described(run)
        train(run, tally, report, stop)
        outcome |= judge(run, tally, report)
        outcome["status"] = "completed"
        drop_checkpoint(Path(job.folder))
    except StoreError:
        raise  # the disk's doing, not the arm's
    except (Exception, SystemExit) as error:
        outcome |= ended_by(error, owners, tally.step, job)
    outcome |= measured(run, tally)
    if run is not None:
        run.loader.close()
    noted = run.changes if run is not None else []
    outcome["changes"] = list(dict.fromkeys([*noted, *restore_flags(tally.flags)]))
    return outcome


def _build(job: Job, owners: Owners, tally: Tally, report: Report) -> Run:
    job = in_steps(
        job, lambda one: open_run(one, owners), lambda: report({"kind": "phase", "name": "measure"})
    )
    report({"kind": "phase", "name": "build"})
    begun = monotonic()
    tally.peaks.begin("build", torch.device(job.device))
    run = open_run(job, owners)
    tally.seconds["build"] += monotonic() - begun
    return run


def open_run(
    job: Job, owners: Owners, data: TrialData | None = None, *, seconds: dict[str, float] | None = None
) -> Run:
    """Open the data of a job and compose its run; `owners` learns whose code is whose.

    Args:
        job: What to run.
        owners: Learns whose functions are in it.
        data: The data of another replicate of the arm, which is shared; None opens it.
        seconds: Where the seconds of opening the data are put, as `data`.
    """
    registry = discover([Path(file) for file in job.plugins], allow=os.environ.get("HARNESS_PLUGINS"))
    owners.learn(registry, job.recipe)
    device = torch.device(job.device)
    apply_numerics(job.recipe["numerics"], device)
    begun = monotonic()
    data = data or open_data(job, registry, choose(job, registry))
    if seconds is not None:
        seconds["data"] = monotonic() - begun
    return compile_run(job, registry, data, owners)


def train(run: Run, tally: Tally, report: Report, stop: Callable[[], bool]) -> None:
    """Take the steps of the budget."""
    folder = Path(run.job.folder)
    kept = load_checkpoint(run, folder)
    if kept is not None:
        tally.restore(kept, run)
        run.follow(tally.curves["validation_loss"])
        run.replay_phases(tally.step)
    report({"kind": "phase", "name": "warm_up"})
    tally.warm_up(run)
    report({"kind": "phase", "name": "train"})
    report({"kind": "first_step", "seconds": monotonic()})
    tally.peaks.begin("train")

    since = saved = reported = monotonic()

    def leave_checkpoint() -> None:
        nonlocal saved
        tally.seconds["train"] += monotonic() - since
        if run.exact_resume:  # else nothing would go on from it
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
        look(tally.losses[-unseen:], step)
        unseen = 0
        now = monotonic()
        tally.seconds["train"] += now - since
        tally.peaks.sample()
        if at_end:
            end_of_epoch(run, tally)
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


def look(losses: list[Tensor], step: int) -> None:
    """Look at the losses of a window.

    Raises:
        Diverged: Where one is no number.
    """
    if not bool(torch.isfinite(torch.stack(losses)).all()):
        raise Diverged(f"the loss became NaN or infinite within the {WINDOW} steps before step {step + 1}")


def end_of_epoch(run: Run, tally: Tally) -> None:
    """Close an epoch's entry in the curves; the validation split is read here."""
    begun = monotonic()
    tally.peaks.begin("evaluate")
    curves = tally.curves
    curves["epoch"].append(tally.step / run.steps_per_epoch)
    curves["train_loss"].append(torch.stack(tally.losses).double().mean().item())
    curves["learning_rate"].append(run.learning_rate)
    if run.data.validation is not None:
        measured = score(predict(run, run.judged(), run.data.validation), run.data.validation.labels)
        curves["validation_loss"].append(measured["nll"])
        curves["validation_top1"].append(measured["top1"])
        run.follow(curves["validation_loss"])
        tally.look_at_target(run, measured["top1"])
    tally.losses = []
    tally.look_at_memory(run)
    tally.peaks.begin("train")
    tally.seconds["evaluate"] += monotonic() - begun


def judge(run: Run, tally: Tally, report: Report) -> dict[str, Any]:
    """Read the test split, once."""
    report({"kind": "phase", "name": "evaluate"})
    begun = monotonic()
    tally.peaks.begin("evaluate")
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
        # Only where another trial needs them: they are on the disk before the record is.
        **({} if run.job.weights is None else {"weights": write_weights(run, judged)}),
        "results": results,
        "digests": {
            "order": order_digest(run),
            "initial_weights": digest_json(list(run.initial_parameters.items())),
            "final_weights": weights_digest(run.model),
            "evaluation_outputs": outputs_digest(logits),
        },
        "observables": {
            label: {"name": name, "value": float(observe())}
            for label, (name, observe) in run.observers.items()
        },
    }

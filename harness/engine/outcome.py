"""What a trial's outcome holds (docs/dataflow.md), and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.engine.culprit import Owners, is_out_of_memory
from harness.engine.leak import leak_of
from harness.engine.memory import Peaks
from harness.engine.tally import CURVES, SECONDS, Tally
from harness.registry.digests import digest_json

if TYPE_CHECKING:
    from harness.engine.run import Run
    from harness.suite.plan import Job


class Diverged(Exception):
    """The loss became NaN or infinite."""


class Preempted(Exception):
    """The trial was asked to stop and has left a checkpoint."""


def empty_outcome(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return an outcome in which nothing has been measured yet."""
    return {
        "status": "failed",
        "mode": None,
        "culprit": None,
        "digests": dict.fromkeys(("order", "initial_weights", "final_weights", "evaluation_outputs")),
        "initial_parameters": {},
        "results": {"test": None, "validation": None},
        "curves": {**{name: [] for name in CURVES}, "gradient_norms": None},
        "budget": dict.fromkeys(
            ("epochs", "steps", "samples", "seconds", "flops_per_step", "training_flops")
        ),
        "seconds": dict.fromkeys((*SECONDS, "total")),
        "loader": None,
        "data_wait_share": None,
        "time_to_target": None,
        "memory": {**Peaks().to_json(), "growth": {}},
        "leak": None,
        "parameters": None,
        "pipeline": "",
        "observables": {},
        "changes": [],
        "resumed_from_step": None,
        "chance_top1": 100.0 / len(manifest["classes"]),
    }


def described(run: Run) -> dict[str, Any]:
    """Return what an outcome says of a run before its first step."""
    digests = dict.fromkeys(("order", "initial_weights", "final_weights", "evaluation_outputs"))
    return {
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "pipeline": run.pipeline,
        "initial_parameters": run.initial_parameters,
        "digests": {**digests, "initial_weights": digest_json(list(run.initial_parameters.items()))},
    }


def ended_by(error: BaseException, owners: Owners, step: int, job: Job) -> dict[str, Any]:
    """Return status and culprit of a trial that an error ended."""
    if isinstance(error, Preempted):
        return {"status": "preempted"}
    if isinstance(error, Diverged):
        return {"status": "diverged", "culprit": _nobody(step, str(error))}
    status = "oom" if is_out_of_memory(error) else "failed"
    return {"status": status, "culprit": _culprit(owners, error, step, job)}


def measured(run: Run | None, tally: Tally) -> dict[str, Any]:
    """Return what an outcome says of the training, however it ended."""
    memory = tally.memory_json()
    if run is not None:
        tally.count_wait(run)
    measured: dict[str, Any] = {
        "curves": {**tally.curves, "gradient_norms": None},
        "seconds": tally.seconds_json(),
        "data_wait_share": tally.data_wait_share(),
        "time_to_target": tally.time_to_target,
        "memory": memory,
        "leak": leak_of(memory["growth"]),
        "resumed_from_step": tally.resumed_from_step,
    }
    if run is not None:
        measured["curves"]["gradient_norms"] = _gradient_norms(run)
        measured["loader"] = loader_json(run)
        measured["budget"] = {
            "epochs": tally.step / run.steps_per_epoch,
            "steps": tally.step,
            "samples": tally.step * run.batch_size,
            "seconds": dict(run.job.measured) or None,
            "flops_per_step": tally.flops[0][1] if tally.flops else None,
            "training_flops": tally.training_flops(),
        }
    return measured


def _gradient_norms(run: Run) -> dict[str, list[float | None]] | None:
    try:
        return run.gradient_norms() or None
    except RuntimeError:
        return None  # a device that has failed gives nothing back; what ended the trial says why


def loader_json(run: Run) -> dict[str, Any]:
    """Return how samples reached the device."""
    return {"mode": run.loader.mode, "workers": run.loader.workers, "reason": run.loader.reason}


def _nobody(step: int, text: str) -> dict[str, Any]:
    return {"plugin": None, "slot": None, "step": step, "error": text, "traceback": ""}


def _culprit(owners: Owners, error: BaseException, step: int, job: Job) -> dict[str, Any]:
    if is_out_of_memory(error):
        text = f"out of memory at batch size {job.recipe['batch_size']}: {error}"
        return _nobody(step, text[:2000])
    return owners.culprit(error, step)

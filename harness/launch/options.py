"""How a run is to go, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.launch.places import Places
from harness.record.fingerprint import host
from harness.record.limits import free_host_bytes, usable_cores
from harness.suite.plan import Plan


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to.

    Attributes:
        done: Trials that ended for good in this run.
        reused: Trials that had a record already.
        failed: Trials of the plan, of this run or an earlier one, that did not complete.
        interrupted: Whether it was asked to stop.
    """

    done: int
    reused: int
    failed: int
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """What the command exits with: 0, 5 where trials failed, 130 where it was interrupted."""
        if self.interrupted:
            return 130
        return 5 if self.failed else 0


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is to go.

    Attributes:
        jobs: Trials at a time; 0 takes the cores over the threads of a trial, or the number of GPUs, as far as
            the host's memory holds them.
        jobs_per_device: Trials at a time on one GPU; 0 finds it by the memory that the first one needs, None takes
            one, or as many as `jobs` comes to.
        device: "auto", "cpu", "cuda" or "cuda:1".
        timeout_seconds: A trial without progress for so long is ended; 0 waits for ever.
        checkpoint_seconds: Least time between two checkpoints of a trial.
        data_root: The data root, for data that is decoded while training.
        plugins: The suite's plugin files, where they are.
        weights: The weights files that the suite names, by name, where they are.
        measured: By trial, what its record says of a budget in seconds: it takes as many steps again.
        warm: Modules that the process server imports before the first trial.
        preload: Libraries that components let it import besides.
        trial_function: What runs a trial, "module:name".
        together_function: What runs replicates at once.
        timing_function: What times an arm, "module:name".
    """

    jobs: int = 0
    jobs_per_device: int | None = None
    device: str = "auto"
    timeout_seconds: float = 600.0
    checkpoint_seconds: float = 30.0
    data_root: Path | None = None
    plugins: tuple[Path, ...] = ()
    weights: Mapping[str, Path] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warm: tuple[str, ...] = (
        "harness.launch.tie",
        "torch",
        "harness.launch.worker",
        "harness.launch.warm",
        "harness.engine.warm",
    )
    preload: tuple[str, ...] = ()
    trial_function: str = "harness.engine.trial:run_trial"
    together_function: str = "harness.engine.together:run_together"
    timing_function: str = "harness.engine.timing:time_arm"


def cores_over_threads(plan: Plan) -> int:
    """Return how many trials the usable cores hold: at least one."""
    threads = max((int(arm.recipe["numerics"]["threads"]) for arm in plan.arms if not arm.failure), default=1)
    return max(1, usable_cores() // max(1, threads))


def make_places(plan: Plan, options: Options, device: str) -> Places:
    """Return where the trials of a plan run, on "cpu", "cuda" or "cuda:1"."""
    return Places(
        devices(device),
        jobs=options.jobs,
        per_device=options.jobs_per_device,
        cores=cores_over_threads(plan),
        free_host_bytes=free_host_bytes(),
    )


def resolve_device(device: str) -> str:
    """Return "cuda" or "cpu" for "auto", and anything else as it is."""
    if device != "auto":
        return device
    return "cuda" if host()["speed"]["gpus"] else "cpu"


def devices(device: str) -> list[str]:
    """Return the devices that trials are dealt to, in torch's names."""
    if device != "cuda":
        return [device]
    return [f"cuda:{number}" for number in range(max(1, len(host()["speed"]["gpus"])))]

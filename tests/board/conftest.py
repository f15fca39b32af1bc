"""Plans, records and timings that look real, from keyed random numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

Json = dict[str, Any]
HOST = {
    "accuracy": {
        "system": "Linux",
        "cpu": "A CPU",
        "gpu": [],
        "libraries": {"torch": "2.9.0", "numpy": "2.4.6"},
    },
    "speed": {"cores": 2},
    "shown": {"host": "0123456789ab"},
}


@dataclass
class Inputs:
    """What `build` is given."""

    plan: Json
    records: list[Json]
    timings: list[Json] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)

    def of(self, arm: str) -> list[Json]:
        return [record for record in self.records if record["arm"] == arm]


def make_inputs(
    effects: dict[str, float],
    replicates: int = 10,
    *,
    noise: float = 0.25,
    rounds: int = 3,
    seed: int = 0,
    epochs: int = 24,
) -> Inputs:
    """Return a suite's plan and records: `effects` is each arm's gain in points; the first arm is the baseline."""
    arms = list(effects)
    plan: Json = {
        "schema": 1,
        "protocol": 1,
        "hash": "f00dfeedf00dfeed",
        "suite": "digits-tricks",
        "seed": seed,
        "replicates": replicates,
        "baseline": arms[0],
        "alpha": 0.05,
        "margin_points": 0.25,
        "verdicts": True,
        "verdicts_reason": "",
        "timing": {"rounds": rounds},
        "arms": [
            {
                "name": arm,
                "recipe": {"batch_size": 32, "tricks": [{"name": arm, "params": {}}]},
                "components": [],
                "varies": [],
                "data": "m",
                "failure": None,
            }
            for arm in arms
        ],
        "manifests": {
            "m": {
                "hash": "m",
                "dataset": "digits",
                "classes": 10,
                "licence": "CC BY 4.0",
                "splits": {"train": {"count": 450, "digest": "a"}, "test": {"count": 899, "digest": "b"}},
            }
        },
        "trials": [
            {"id": f"{arm}/{r}", "arm": arm, "replicate": r} for arm in arms for r in range(replicates)
        ],
        "plugins": [],
    }
    records = [
        trial_record(arm, index, r, 94.4 + effects[arm], noise, seed, epochs)
        for index, arm in enumerate(arms)
        for r in range(replicates)
    ]
    timings = [timing_record(arm, index, r, seed) for index, arm in enumerate(arms) for r in range(rounds)]
    shared: dict[str, Any] = {
        "host": HOST,
        "code": {"version": "0.1.0", "engine": "e", "commit": "7df0c0d1", "dirty": False},
        "session": {"command": "harness run benchmarks/suites/digits-tricks.toml", "environment": {}},
        **{
            f"pipeline-{arm}": f"batch: shuffle(32)\n  → {arm}\nloss: cross-entropy\nupdate: sgd(lr=0.1)"
            for arm in arms
        },
    }
    return Inputs(plan, records, timings, shared)


def trial_record(
    arm: str, index: int, replicate: int, level: float, noise: float, seed: int, epochs: int
) -> Json:
    draw = random.Random(f"{seed}/{arm}/{replicate}")
    luck = random.Random(f"{seed}/{replicate}").gauss(0, 0.5)  # what a replicate's arms share
    wanted = level + luck + draw.gauss(0, noise) * (index > 0)
    top1 = 100.0 * min(899, round(wanted * 8.99)) / 899
    curve = [1 - 0.9 * 2.718 ** (-5 * (e + 1) / epochs) for e in range(epochs)]
    return {
        "schema": 1,
        "protocol": 1,
        "suite": "digits-tricks",
        "plan": "f00dfeedf00dfeed",
        "trial": f"{arm}/{replicate}",
        "arm": arm,
        "replicate": replicate,
        "attempt": 0,
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:09Z",
        "status": "completed",
        "culprit": None,
        "digests": {
            "order": f"order{replicate}",
            "initial_weights": f"w{replicate}",
            "final_weights": f"{arm}{replicate}",
            "evaluation_outputs": f"{arm}o{replicate}",
        },
        "results": {
            "test": {
                "count": 899,
                "top1": top1,
                "nll": 0.21 - 0.02 * (level - 94.4) + draw.gauss(0, 0.004),
                "correct_bits": "",
                "metrics": {"top5": 99.0 + draw.random()},
            },
            "validation": {"count": 45, "top1": top1 - 0.3, "nll": 0.25},
        },
        "curves": {
            "epoch": list(range(1, epochs + 1)),
            "train_loss": [2.3 - 2.15 * c + 0.05 * draw.random() + 0.03 * index for c in curve],
            "validation_loss": [2.3 - 2.1 * c for c in curve],
            "validation_top1": [10 + (top1 - 10) * c + draw.gauss(0, 0.6) for c in curve],
            "learning_rate": [0.1 * (1 - e / epochs) for e in range(epochs)],
        },
        "budget": {
            "epochs": epochs,
            "steps": 288,
            "samples": 9216,
            "flops_per_step": 1e8,
            "training_flops": 3.4e10 * (2 if arm == "sam" else 1),
        },
        "seconds": {
            "build": 0.02,
            "data": 0.1,
            "train": (2.1 if arm == "sam" else 1.2) + 0.02 * draw.random(),
            "evaluate": 0.1,
            "total": 1.5,
            "first_step": 0.1,
        },
        "memory": {"peak_resident_bytes": 4e8},
        "parameters": 20_042,
        "chance_top1": 10.0,
        "observables": {arm: {"name": "fired, share of steps", "value": 1.0}} if index else {},
        "changes": [],
        "resumed_from_step": None,
        "refs": {
            "recipe": "r",
            "components": "c",
            "manifest": "m",
            "host": "host",
            "code": "code",
            "session": "session",
            "pipeline": f"pipeline-{arm}",
        },
        "content_hash": f"{arm}{replicate}",
    }


def timing_record(arm: str, index: int, number: int, seed: int) -> Json:
    drift = 1 + 0.03 * number
    rate = 4200.0 * drift * (0.53 if arm == "sam" else 1 - 0.015 * index)
    rate *= 1 + random.Random(f"{seed}/{arm}/{number}/t").gauss(0, 0.005)
    return {
        "protocol": 1,
        "plan": "f00dfeedf00dfeed",
        "arm": arm,
        "round": number,
        "status": "completed",
        "culprit": None,
        "images_per_second": rate,
        "evaluation_images_per_second": rate * 3.1,
        "step_seconds": {"median": 32 / rate, "iqr": 0.02 * 32 / rate, "mad": 0.0001, "cv": 0.02},
        "noisy": False,
        "peak_memory_bytes": {"resident": 412 * 2**20 + index * 2**20, "allocated": None, "reserved": None},
        "refs": {"host": "host"},
        "content_hash": f"{arm}{number}t",
    }


def fail(record: Json, status: str, error: str = "loss became NaN") -> None:
    """Turn a record into that of a trial that did not complete."""
    record["status"] = status
    record["results"] = {"test": None, "validation": None}
    record["digests"] = dict.fromkeys(record["digests"])
    record["culprit"] = {
        "plugin": "harness_plugins.tricks.sam",
        "slot": "update",
        "step": 50,
        "error": error,
        "traceback": "Traceback:\n  line 1",
    }


@pytest.fixture
def inputs() -> Callable[..., Inputs]:
    return make_inputs


@pytest.fixture
def failing() -> Callable[..., None]:
    return fail

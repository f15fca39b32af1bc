"""Replicates trained at once against the same replicates one by one: wall time of one thread, equal losses.

Both sides are interleaved inside one function, in blocks of steps: a batch of its own for each replicate, forward,
backward, update, all of the loop. Wanted for 16 replicates of a model that overhead dominates: at least 2 times
the serial speed. What the probe decides is shown beside it; below 1.0 it has to say "one by one".
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.first import first_step
from harness.engine.loop import steps
from harness.engine.probe import probe
from harness.engine.replicates import compose, step_at_once
from harness.engine.together import run_together
from harness.engine.trial import run_trial
from harness.record.record import together_mode
from harness.registry.discovery import discover
from harness.suite.plan import Job
from harness.suite.prepare import prepare
from harness.testing import toys

REPLICATES, BLOCK, ROUNDS = 16, 20, 5
TOYS = Path(toys.__file__)


def component(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": params}


MODELS: dict[str, dict[str, Any]] = {
    "toy-mlp": component("toy-net", width=16, batch_norm=False, dropout=0.0),
    "simple-cnn-8": component("simple-cnn", width=8, depth=2),
    "tiny-resnet": component("resnet-cifar", depth=8, width=8, stem_stride=1),
}


def make_jobs(folder: Path, model: str, epochs: int) -> list[Job]:
    registry = discover([TOYS])
    normal = {**component("digits"), "validation": 0.1}
    prepared = prepare(normal, registry, None, folder / "cache")
    numerics = {"precision": "fp32", "channels_last": False, "compile": False, "threads": 1}
    sgd = component("sgd", lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=False)
    recipe = {
        "dataset": normal,
        "sampler": component("shuffle"),
        "backbone": MODELS[model],
        "augmentations": [],
        "optimizer": [{**sgd, "parameters": "all"}],
        "schedule": {**component("cosine"), "warmup": 0.05},
        "tricks": [],
        "metrics": [],
        "batch_size": 32,
        "budget": {"unit": "epochs", "amount": epochs},
        "numerics": {**numerics, "deterministic": False},
        "evaluation": {"batch_size": 500},
    }
    return [
        Job(
            trial=f"{number:032x}",
            arm=model,
            replicate=number,
            attempt=0,
            seed=0,
            salt="",
            recipe=recipe,
            manifest=prepared.manifest,
            data=str(prepared.folder),
            plugins=(str(TOYS),),
            device="cpu",
            folder=str(folder / str(number)),
            checkpoint_seconds=1e9,
        )
        for number in range(REPLICATES)
    ]


def loop_ratio(jobs: list[Job]) -> dict[str, float]:
    """Return the ratio of serial seconds to seconds at once, over blocks of steps in turn."""
    serial, stacked = compose(jobs), compose(jobs)
    last = 1 + BLOCK * (ROUNDS + 1)
    for replicate in (*serial, *stacked):
        first_step(replicate.run, 0)
    loops = [steps(replicate.run, 1, last) for replicate in serial]
    at_once = step_at_once(stacked, 1, last)
    pairs, worst = [], 0.0
    for round_ in range(ROUNDS + 1):
        begun = time.perf_counter()
        one_by_one = [[next(loop)[1].loss for _ in range(BLOCK)] for loop in loops]
        middle = time.perf_counter()
        together = [next(at_once) for _ in range(BLOCK)]
        end = time.perf_counter()
        if round_:  # the first round pays for lazy imports
            pairs.append((middle - begun, end - middle))
        ours = torch.stack([torch.stack([one.loss for one in row if one is not None]) for row in together])
        theirs = torch.stack([torch.stack(losses) for losses in one_by_one], 1)
        if not round_:  # rounding grows with the steps, on both sides
            worst = max(worst, float(((ours - theirs).abs() / theirs.abs().clamp_min(1e-3)).max()))
    return {
        "loop_ratio": statistics.median(one / other for one, other in pairs),
        "serial_microseconds_a_step": 1e6 / BLOCK / REPLICATES * statistics.median(p[0] for p in pairs),
        "at_once_microseconds_a_step": 1e6 / BLOCK / REPLICATES * statistics.median(p[1] for p in pairs),
        "loss_difference": worst,
    }


def trial_ratio(jobs: list[Job]) -> float:
    """Return the ratio for whole trials, built, trained, evaluated and judged; the probe's time counts as well."""
    ratios = []
    for _ in range(2):
        begun = time.perf_counter()
        for job in jobs:
            run_trial(job, report=_ignore, stop=_never)
        middle = time.perf_counter()
        mode = run_together(jobs, mode=None, report=_ignore, stop=_never, finished=lambda *_: None)
        if mode["together"] > 1:
            ratios.append((middle - begun) / (time.perf_counter() - middle))
    return statistics.median(ratios) if ratios else 0.0


def _ignore(message: Any) -> None:
    pass


def _never() -> bool:
    return False


@pytest.mark.parametrize(("model", "wanted"), [("toy-mlp", 2.0), ("simple-cnn-8", 0.0), ("tiny-resnet", 0.0)])
def test_replicates_at_once_against_serial(model: str, wanted: float, benchmark: Any, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    jobs = make_jobs(tmp_path, model, epochs=20)
    found: dict[str, Any] = {"model": model, "replicates": REPLICATES}

    def measure() -> None:
        found.update(loop_ratio(jobs))
        found["probe"] = probe(jobs, lambda: None)
        if model == "toy-mlp":
            found["whole_trial_ratio"] = trial_ratio(jobs)

    benchmark.pedantic(measure, rounds=1)
    benchmark.extra_info.update(found)
    print(found)
    assert found["loss_difference"] < 1e-4
    assert found["loop_ratio"] >= wanted
    if found["loop_ratio"] < 0.9:
        assert found["probe"] == together_mode(1, found["probe"]["reason"], **_seen(found["probe"]))


def _seen(mode: dict[str, Any]) -> dict[str, Any]:
    return {"ratio": mode["probe_ratio"], "difference": mode["probe_loss_difference"]}

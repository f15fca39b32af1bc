"""Extra CPU time a step over a hand-written PyTorch loop, on a model that does next to nothing.

Both sides are interleaved inside one function, over epochs of 200 steps, ours with everything recorded that a
normal trial records (the first step's contract check and FLOP count included). Wanted: at most 50 us and at
most 1.10 times.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import harness.testing.toys as toys
from harness.engine.culprit import Owners
from harness.engine.tally import Tally
from harness.engine.trial import open_run, train
from harness.suite.plan import Job

BATCH, PER_EPOCH, EPOCHS, ROUNDS = 32, 200, 10, 9
STEPS = PER_EPOCH * EPOCHS


def recipe() -> dict[str, Any]:
    def component(name: str, **params: Any) -> dict[str, Any]:
        return {"name": name, "params": params}

    return {
        "dataset": {"name": "toy-dataset", "params": {}, "validation": 0.0},
        "sampler": component("toy-shuffle"),
        "backbone": component("toy-net", width=16, batch_norm=False, dropout=0.0),
        "augmentations": [],
        "optimizer": [{**component("toy-sgd", lr=0.01, momentum=0.9), "parameters": "all"}],
        "schedule": {**component("toy-constant"), "warmup": 0.0},
        "tricks": [],
        "metrics": [],
        "batch_size": BATCH,
        "budget": {"unit": "epochs", "amount": EPOCHS},
        "numerics": {
            "precision": "fp32",
            "channels_last": False,
            "compile": False,
            "threads": 1,
            "deterministic": False,
        },
        "evaluation": {"batch_size": 500},
    }


def make_job(folder: Path) -> Job:
    samples = BATCH * PER_EPOCH
    generator = np.random.default_rng(0)
    labels = np.arange(samples, dtype=np.int64) % 10
    images = generator.integers(0, 256, (samples, 1, 8, 8), dtype=np.uint8)
    for split in ("train", "test"):
        np.save(folder / f"{split}.image.npy", images)
        np.save(folder / f"{split}.labels.npy", labels)
    manifest = {
        "hash": "bench",
        "classes": [str(label) for label in range(10)],
        "modalities": {"image": {"shape": [1, 8, 8], "dtype": "uint8", "mean": [0.5], "std": [0.29]}},
        "changes_label": [],
    }
    plugins = (str(Path(toys.__file__)),)
    return Job(
        "b" * 32, "plain", 0, 1, 0, "", recipe(), manifest, str(folder), plugins, "cpu", str(folder), 1e9, 1.0
    )


def hand_written(job: Job) -> float:
    """Train as a notebook would, and return CPU seconds a step."""
    images = torch.from_numpy(np.load(f"{job.data}/train.image.npy")).float().sub_(127.5).div_(74.0)
    labels = torch.from_numpy(np.load(f"{job.data}/train.labels.npy"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    begun = time.process_time()
    for _ in range(EPOCHS):
        order = torch.randperm(len(labels))
        for index in range(PER_EPOCH):
            ids = order[index * BATCH : (index + 1) * BATCH]
            loss = F.cross_entropy(model(images[ids]), labels[ids])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return (time.process_time() - begun) / STEPS


def ours(job: Job) -> float:
    """Train as a trial does, and return CPU seconds a step."""
    run = open_run(job, Owners())
    begun = time.process_time()
    train(run, Tally(), lambda _: None, lambda: False)
    return (time.process_time() - begun) / STEPS


def interleaved(job: Job) -> dict[str, float]:
    torch.set_num_threads(1)
    pairs = []
    for round_ in range(ROUNDS + 1):
        sides = (hand_written, ours) if round_ % 2 else (ours, hand_written)
        measured = {side: side(job) for side in sides}
        if round_:  # the first round pays for lazy imports
            pairs.append((measured[hand_written], measured[ours]))
    return {
        "ratio": statistics.median(mine / bare for bare, mine in pairs),
        "extra_microseconds": 1e6 * statistics.median(mine - bare for bare, mine in pairs),
        "bare_microseconds": 1e6 * statistics.median(bare for bare, _ in pairs),
    }


def test_step_overhead_over_a_hand_written_loop(benchmark: Any, tmp_path: Path) -> None:
    figures = benchmark.pedantic(interleaved, args=(make_job(tmp_path),), rounds=1)
    benchmark.extra_info.update(figures)
    print(figures)
    assert figures["ratio"] <= 1.10 and figures["extra_microseconds"] <= 50

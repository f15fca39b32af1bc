"""Jobs on toy data, made by hand: the engine without suite, launcher or store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.suite.plan import Job
from harness.testing import toys

TOYS = str(Path(toys.__file__).resolve())
"""The toys as a plugin file."""


def component(name: str, **params: Any) -> dict[str, Any]:
    """Return a component's normal form."""
    return {"name": name, "params": params}


def toy_recipe(**changes: Any) -> dict[str, Any]:
    """Return a recipe of toys, in normal form: 87 training images, ten steps of 8 an epoch, five epochs."""
    numerics = {"precision": "fp32", "channels_last": False, "compile": False, "threads": 1}
    return {
        "dataset": {**component("toy-dataset"), "validation": 0.1},
        "sampler": component("toy-shuffle"),
        "backbone": component("toy-net", width=8, batch_norm=False, dropout=0.0),
        "augmentations": [],
        "optimizer": [{**component("toy-sgd", lr=0.05, momentum=0.9), "parameters": "all"}],
        "schedule": {**component("toy-constant"), "warmup": 0.0},
        "tricks": [],
        "metrics": [],
        "batch_size": 8,
        "budget": {"unit": "epochs", "amount": 5},
        "numerics": {**numerics, "deterministic": False},
        "evaluation": {"batch_size": 7},
        **changes,
    }


def write_toy_data(folder: Path, data: toys.ToyDataset | None = None) -> dict[str, Any]:
    """Write the toy dataset as `suite.prepare` would, and return what the engine reads of its manifest."""
    prepared = (data or toys.ToyDataset()).prepare(None)
    splits = {}
    for name, split in (("train", prepared.train), ("test", prepared.test)):
        np.save(folder / f"{name}.image.npy", split.inputs["image"])
        np.save(folder / f"{name}.labels.npy", split.labels)
        counts = np.bincount(split.labels, minlength=len(prepared.classes)).tolist()
        splits[name] = {"count": len(split.labels), "class_counts": counts}
    pixels = np.asarray(prepared.train.inputs["image"], np.float64) / 255
    channels = [pixels[:, channel] for channel in range(pixels.shape[1])]
    image = {
        "shape": list(pixels.shape[1:]),
        "dtype": "uint8",
        "mean": [float(one.mean()) for one in channels],
    }
    return {
        "hash": "toy",
        "dataset": "toy-dataset",
        "classes": list(prepared.classes),
        "modalities": {"image": {**image, "std": [float(one.std()) for one in channels]}},
        "splits": splits,
        "changes_label": ["toy-noise"],
    }


def toy_job(
    data: Path,
    manifest: dict[str, Any],
    folder: Path,
    *,
    seed: int = 0,
    replicate: int = 0,
    plugins: Sequence[str] = (TOYS,),
    **changes: Any,
) -> Job:
    """Return a job on data that `write_toy_data` wrote.

    Args:
        data: Where the data is.
        manifest: What `write_toy_data` returned.
        folder: Where checkpoints go.
        seed: The suite's seed.
        replicate: Number of the replicate.
        plugins: Plugin files.
        changes: Keys of the recipe that differ.
    """
    return Job(
        trial="a" * 32,
        arm="plain",
        replicate=replicate,
        attempt=0,
        seed=seed,
        salt="",
        recipe=toy_recipe(**changes),
        manifest=manifest,
        data=str(data),
        plugins=tuple(plugins),
        device="cpu",
        folder=str(folder),
        checkpoint_seconds=1e9,
        timing_seconds=0.0,
    )

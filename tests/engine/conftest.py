"""A job on toy data, made by hand: the engine is tested without suite, launcher or store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import harness.testing.toys as toys
from harness.suite.plan import Job

torch.set_num_threads(1)
TOYS = str(Path(toys.__file__).resolve())


def component(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": params}


def recipe(**changes: Any) -> dict[str, Any]:
    return {
        "dataset": {"name": "toy-dataset", "params": {}, "validation": 0.1},
        "sampler": component("toy-shuffle"),
        "backbone": component("toy-net", width=8, batch_norm=False, dropout=0.0),
        "augmentations": [],
        "optimizer": [{**component("toy-sgd", lr=0.05, momentum=0.9), "parameters": "all"}],
        "schedule": {**component("toy-constant"), "warmup": 0.0},
        "tricks": [],
        "metrics": [],
        "batch_size": 8,
        "budget": {"unit": "epochs", "amount": 5},
        "numerics": {
            "precision": "fp32",
            "channels_last": False,
            "compile": False,
            "threads": 1,
            "deterministic": False,
        },
        "evaluation": {"batch_size": 7},
        **changes,
    }


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("prepared")
    data = toys.ToyDataset().prepare(None)
    for name, split in (("train", data.train), ("test", data.test)):
        np.save(folder / f"{name}.image.npy", split.inputs["image"])
        np.save(folder / f"{name}.labels.npy", split.labels)
    pixels = data.train.inputs["image"].astype(np.float64) / 255
    manifest = {
        "hash": "toy",
        "dataset": "toy-dataset",
        "classes": list(data.classes),
        "modalities": {
            "image": {
                "shape": [1, 8, 8],
                "dtype": "uint8",
                "mean": [float(pixels.mean())],
                "std": [float(pixels.std())],
            }
        },
        "changes_label": ["toy-noise"],
    }
    return folder, manifest


@pytest.fixture
def make_job(prepared: tuple[Path, dict[str, Any]], tmp_path: Path) -> Callable[..., Job]:
    folder, manifest = prepared

    def make(*, seed: int = 0, replicate: int = 0, plugins: tuple[str, ...] = (TOYS,), **changes: Any) -> Job:
        place = tmp_path / "trial"
        place.mkdir(exist_ok=True)
        return Job(
            trial="a" * 32,
            arm="plain",
            replicate=replicate,
            attempt=1,
            seed=seed,
            salt="",
            recipe=recipe(**changes),
            manifest=manifest,
            data=str(folder),
            plugins=list(plugins),
            device="cpu",
            folder=str(place),
            checkpoint_seconds=1e9,
            timing_seconds=0.0,
        )

    return make

"""Which way samples reach the device: by the data's size, where augmentations run, and what the suite asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.culprit import labels_for
from harness.errors import DataError
from harness.record.limits import free_host_bytes
from harness.suite.prepare import encoded_modalities

if TYPE_CHECKING:
    from harness.registry.registry import Registry
    from harness.suite.plan import Job

ROOM_SHARE = 0.5
"""The share of what is free that the data may take on the device: model, activations and a neighbour want room."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How samples reach the device.

    Attributes:
        mode: "resident", "memory" or "stream".
        workers: Processes that read and augment; 0 does it in the trial's own.
        reason: Why this mode, for the record.
    """

    mode: str
    workers: int
    reason: str


def choose(job: Job, registry: Registry) -> Choice:
    """Return how the samples of a job reach its device.

    Raises:
        DataError: Where the suite asks for a resident set that does not fit the device.
    """
    wanted, workers = job.loader["mode"], job.loader["workers"]
    folder = Path(job.data)
    is_encoded = "image" in encoded_modalities(folder)
    if wanted == "stream" and is_encoded:
        return Choice("stream", workers, "the suite asks for it")
    if not (folder / "train.image.npy").is_file():
        return Choice("stream", workers, "the data was left as published: decoded it would be large")
    unmet = f"the suite asks for {wanted}, but " if wanted in ("resident", "stream") else ""
    if wanted == "stream":
        return Choice("memory", workers, f"{unmet}the dataset gives decoded arrays")
    if wanted == "memory":
        return Choice("memory", workers, "the suite asks for it")
    placed = in_loader(job.recipe, registry)
    if placed:
        return Choice("memory", workers, f"{unmet}{', '.join(placed)} runs in the loader, on a CPU")
    return _resident(job, workers)


def in_loader(recipe: Mapping[str, Any], registry: Registry) -> list[str]:
    """Return the labels of the augmentations that run in the loader."""
    augmentations = recipe["augmentations"]
    return [
        label
        for label, normal in zip(labels_for("augmentation", augmentations), augmentations, strict=True)
        if registry.role("augmentation", normal).placement == "loader"
    ]


def _resident(job: Job, workers: int) -> Choice:
    device = torch.device(job.device)
    shape = math.prod(job.manifest["modalities"]["image"]["shape"])
    needed = shape * sum(_count(Path(job.data) / f"{split}.labels.npy") for split in ("train", "test"))
    room = int(ROOM_SHARE * free_bytes(device))
    if needed <= room:
        asked = job.loader["mode"] == "resident"
        return Choice("resident", 0, "the suite asks for it" if asked else "the data fits the device")
    text = f"the data takes {needed:,} bytes, {device} has room for {room:,} (half of what is free)"
    if job.loader["mode"] == "resident":
        raise DataError(f'[loader] mode = "resident": {text}; use "auto" or "memory"')
    return Choice("memory", workers, text)


def _count(labels: Path) -> int:
    return labels.stat().st_size // 8  # int64; the header of a hundred bytes is no matter


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device, in bytes."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return free_host_bytes()

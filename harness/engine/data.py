"""The prepared data as tensors on the device, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.contract import Batch
from harness.engine.keys import Keys

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray[Any, Any]

EAGER_BYTES = 64 * 2**20
"""Up to this size as float32 a split is normalised at once and laid out anew each epoch, so that a step takes
plain views; a larger one stays uint8 and is gathered and normalised by the batch. The bits are the same."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some samples of a split.

    Attributes:
        images: (N, C, H, W), or (N, H, W, C) for channels last; uint8 as prepared, or float32 normalised.
        labels: int64 (n,), of the samples that `ids` names.
        ids: int64 (n,), rows of `images`.
        mean, std: float32, in units of the pixel values, shaped to the layout; unused where `images` is
            normalised.
        channels_last: Whether batches are laid out channels last.
    """

    images: Tensor
    labels: Tensor
    ids: Tensor
    mean: Tensor
    std: Tensor
    channels_last: bool

    def __len__(self) -> int:
        return self.ids.shape[0]

    def take(self, ids: Tensor) -> Tensor:
        """Return the normalised images of some rows, float32 (B, C, H, W)."""
        rows = self.images.index_select(0, ids)
        if rows.dtype is torch.uint8:
            rows = rows.float().sub_(self.mean).div_(self.std)
        return rows.permute(0, 3, 1, 2) if self.channels_last else rows

    def batches(self, order: Tensor, labels: Tensor, size: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, every one full.

        Args:
            order: int64 (n,), rows of `images` in the order of the epoch.
            labels: int64 (n,), their labels.
            size: Samples a batch; what remains at the end is left out.
        """
        full = order.shape[0] // size * size
        ids_of, targets = order[:full].split(size), labels[:full].split(size)
        if self.images.dtype is torch.uint8:
            images_of = map(self.take, ids_of)
        else:
            images_of = iter(self.take(order[:full]).split(size))
        for images, target, ids in zip(images_of, targets, ids_of, strict=True):
            yield Batch({"image": images}, target, ids)


@dataclass(frozen=True, slots=True)
class TrialData:
    """What one trial trains on, selects on and is judged on; the test split is opened when it is asked for."""

    train: Part
    validation: Part | None
    samples: int
    num_classes: int
    shapes: Mapping[str, tuple[int, ...]]
    folder: Path
    manifest: Mapping[str, Any]
    device: torch.device

    def test(self) -> Part:
        """Open the test split. Called once a trial, at its end."""
        images, labels = _arrays(self.folder, "test")
        return _part(
            images, labels, np.arange(len(labels)), self.manifest, self.device, self.train.channels_last
        )


def carve(labels: Array, share: float, generator: np.random.Generator) -> tuple[Array, Array]:
    """Split sample ids into training and validation, by class.

    Every class gives `round(share * its samples)`, so the split keeps the classes' shares.

    Returns:
        (training ids, validation ids), each ascending, int64.
    """
    held: list[Array] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held.append(generator.permutation(members)[: round(share * len(members))])
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def open_data(
    folder: Path,
    manifest: Mapping[str, Any],
    share: float,
    seed: int,
    device: torch.device,
    *,
    channels_last: bool,
) -> TrialData:
    """Open a prepared folder by memory map.

    Args:
        folder: What `suite.prepare` made.
        manifest: Its manifest.
        share: The part of the training split that is held out for validation; 0 for none.
        seed: The suite's seed: the validation split is the same in every replicate.
        device: Where the tensors go.
        channels_last: Whether batches are laid out channels last.
    """
    images, labels = _arrays(folder, "train")
    return trial_data(images, labels, folder, manifest, share, seed, device, channels_last=channels_last)


def trial_data(
    images: Array,
    labels: Array,
    folder: Path,
    manifest: Mapping[str, Any],
    share: float,
    seed: int,
    device: torch.device,
    *,
    channels_last: bool,
) -> TrialData:
    """As `open_data`, from arrays: images uint8 (N, C, H, W), labels int64 (N,)."""
    train_ids, validation_ids = carve(labels, share, Keys(seed, 0).generator("validation split"))
    train = _part(images, labels, train_ids, manifest, device, channels_last)
    validation = None
    if len(validation_ids):
        kept = torch.from_numpy(validation_ids).to(device)
        validation = Part(
            train.images, _labels(labels, device)[kept], kept, train.mean, train.std, channels_last
        )
    shapes = {name: tuple(modality["shape"]) for name, modality in manifest["modalities"].items()}
    classes = len(manifest["classes"])
    return TrialData(train, validation, len(labels), classes, shapes, folder, manifest, device)


def _arrays(folder: Path, split: str) -> tuple[Array, Array]:
    # Copy on write: torch warns of arrays that it could not write to, and nobody writes.
    images = np.load(folder / f"{split}.image.npy", mmap_mode="c", allow_pickle=False)
    labels = np.load(folder / f"{split}.labels.npy", allow_pickle=False)
    return images, labels


def _labels(labels: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64)).to(device)


def _part(
    images: Array,
    labels: Array,
    ids: Array,
    manifest: Mapping[str, Any],
    device: torch.device,
    channels_last: bool,
) -> Part:
    modality = manifest["modalities"]["image"]
    shape = (-1,) if channels_last else (-1, 1, 1)
    mean = torch.tensor(modality["mean"], dtype=torch.float32, device=device).mul(255).view(shape)
    # A channel that never changes carries nothing: it is centred and left alone.
    std = (
        torch.tensor(modality["std"], dtype=torch.float32, device=device).mul(255).clamp_min(1e-3).view(shape)
    )
    rows = torch.from_numpy(images).to(device)
    if channels_last:
        rows = rows.permute(0, 2, 3, 1)
    if images.size * 4 <= EAGER_BYTES:
        rows = rows.float().sub_(mean).div_(std)
    kept = torch.from_numpy(np.ascontiguousarray(ids)).to(device)
    return Part(rows.contiguous(), _labels(labels, device)[kept], kept, mean, std, channels_last)

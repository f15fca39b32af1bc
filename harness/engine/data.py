"""A trial's samples: on the device as tensors, or on the host to be read; and how rows become batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from harness.contract import Batch
from harness.engine.keys import Keys
from harness.errors import DataError
from harness.suite.decoded import sample_digest

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.loader_choice import Choice
    from harness.registry import Registry
    from harness.suite.plan import Job

    Array = np.ndarray[Any, Any]

EAGER_BYTES = 64 * 2**20
"""Up to this size as float32 a split is normalised at once and laid out anew each epoch, so that a step takes
plain views; a larger one stays uint8 and is gathered and normalised by the batch. The bits are the same."""


CACHED_BYTES = 2**19
"""What of a batch is normalised at a time on a CPU, in bytes as float32."""

SAMPLES_COMPARED = 16
"""Encoded images that are compared with what they were when they were prepared, as a split is opened: against files
that were replaced, and decoders that give other pixels."""


class Rows(Protocol):
    """Images on the host: `MappedImages`, or a dataset's own `Images`."""

    def read(self, rows: Array) -> Array:
        """Return rows, int64 (n,), as uint8 (n, C, H, W)."""
        ...


@dataclass(frozen=True, slots=True)
class MappedImages:
    """Decoded images in a memory-mapped file, uint8 (N, C, H, W)."""

    array: Array

    def read(self, rows: Array) -> Array:
        """Return some rows, copied. They have been checked to lie within."""
        return self.array.take(rows, axis=0, mode="clip")


@dataclass(frozen=True, slots=True)
class Part:
    """Some samples of a split.

    Attributes:
        images: On the device (N, C, H, W), or (N, H, W, C) for channels last, uint8 as prepared or float32
            normalised; or on the host, to be read.
        labels: int64 (n,), of the samples that `ids` names, on the device.
        ids: int64 (n,), rows of `images`, on the device.
        mean, std: float32, in units of the pixel values, shaped to the layout; unused where `images` is
            normalised.
        channels_last: Whether batches are laid out channels last.
    """

    images: Tensor | Rows
    labels: Tensor
    ids: Tensor
    mean: Tensor
    std: Tensor
    channels_last: bool

    def __len__(self) -> int:
        return self.ids.shape[0]

    def take(self, ids: Tensor) -> Tensor:
        """Return the normalised images of some rows, float32 (B, C, H, W), on the device."""
        if not isinstance(self.images, torch.Tensor):
            read = torch.from_numpy(self.images.read(ids.cpu().numpy()))
            return self.normalised(read.to(self.labels.device))
        rows = self.images.index_select(0, ids)
        if rows.dtype is torch.uint8:
            rows = scaled(rows, self.mean, self.std)
        return rows.permute(0, 3, 1, 2) if self.channels_last else rows

    def normalised(self, images: Tensor) -> Tensor:
        """Return uint8 (B, C, H, W) on the device as `take` gives it."""
        rows = images.permute(0, 2, 3, 1) if self.channels_last else images
        rows = scaled(rows, self.mean, self.std)
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
        if isinstance(self.images, torch.Tensor) and self.images.dtype is not torch.uint8:
            images_of = iter(self.take(order[:full]).split(size))
        else:
            images_of = map(self.take, ids_of)
        for images, target, ids in zip(images_of, targets, ids_of, strict=True):
            yield Batch({"image": images}, target, ids)


@dataclass(frozen=True, slots=True)
class TrialData:
    """What one trial trains on, selects on and is judged on; the test split is opened when it is asked for.

    Attributes:
        samples: Of the training split, the validation part included.
        labels: int64 (N,), all of the training split's, on the host.
        choice: How the samples reach the device.
    """

    train: Part
    validation: Part | None
    samples: int
    labels: Array
    num_classes: int
    shapes: Mapping[str, tuple[int, ...]]
    source: Source
    choice: Choice
    device: torch.device

    def test(self) -> Part:
        """Open the test split. Called once a trial, at its end."""
        images, labels = self.source.open("test")
        return self.source.part(images, labels, np.arange(len(labels)), self.device, self.train.channels_last)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a trial's splits are opened: a prepared folder, and the dataset where images stay encoded.

    Attributes:
        folder: What `suite.prepare` made.
        manifest: Its manifest.
        mode: "resident", "memory" or "stream".
        registry, dataset, root: What builds the dataset in stream mode: its normal form, and the data root.
    """

    folder: Path
    manifest: Mapping[str, Any]
    mode: str = "resident"
    registry: Registry | None = None
    dataset: Mapping[str, Any] | None = None
    root: Path | None = None

    def open(self, split: str) -> tuple[Array | Rows, Array]:
        """Return the images and the labels, int64 (N,), of a split.

        Raises:
            DataError: Where the data is not what was prepared.
        """
        labels = np.load(self.folder / f"{split}.labels.npy", allow_pickle=False)
        if self.mode == "stream":
            return self._encoded(split, labels), labels
        # Copy on write: torch warns of arrays that it could not write to, and nobody writes.
        images = np.load(self.folder / f"{split}.image.npy", mmap_mode="c", allow_pickle=False)
        return (images if self.mode == "resident" else MappedImages(images)), labels

    def _encoded(self, split: str, labels: Array) -> Rows:
        if self.registry is None or self.dataset is None:
            raise DataError(f"{self.folder}: encoded images are read by their dataset, and none is named")
        try:
            prepared = self.registry.build("dataset", self.dataset).prepare(self.root)
        except (OSError, ValueError) as error:
            raise DataError(f'dataset "{self.dataset["name"]}": {error}') from error
        rows = np.load(self.folder / f"{split}.rows.npy", allow_pickle=False)
        found = getattr(prepared, split)
        images = found.inputs["image"]
        is_same = (
            min(len(found.labels), len(images)) > rows.max(initial=-1)
            and np.array_equal(found.labels[rows], labels)
            and list(images.shape[1:]) == self.manifest["modalities"]["image"]["shape"]
            and self._decodes_alike(split, images[rows])
        )
        if not is_same:
            raise DataError(
                f'dataset "{self.dataset["name"]}", {split} split: it has changed since it was prepared in '
                f"{self.folder}; remove that folder, and it is prepared anew"
            )
        read: Rows = images[rows]
        return read

    def _decodes_alike(self, split: str, images: Rows) -> bool:
        """Return whether some images, from all over the split, are what they were when they were prepared."""
        expected = np.load(self.folder / f"{split}.image.digests.npy", mmap_mode="r", allow_pickle=False)
        rows = np.unique(np.linspace(0, len(expected) - 1, SAMPLES_COMPARED).astype(np.int64))
        try:
            decoded = images.read(rows)
        except (OSError, ValueError) as error:
            raise DataError(f"{split} split: {error}") from error
        digests = b"".join(sample_digest(sample) for sample in decoded)
        return digests == bytes(expected[rows].tobytes())

    def part(
        self, images: Array | Rows, labels: Array, ids: Array, device: torch.device, channels_last: bool
    ) -> Part:
        """Return some samples of a split: arrays go to the device, everything else stays where it is."""
        modality = self.manifest["modalities"]["image"]
        shape = (-1,) if channels_last else (-1, 1, 1)

        def in_pixels(name: str) -> Tensor:
            values = torch.tensor(modality[name], dtype=torch.float32, device=device)
            return values.mul(255).view(shape)

        # A channel that never changes carries nothing: it is centred and left alone.
        mean, std = in_pixels("mean"), in_pixels("std").clamp_min(1e-3)
        kept = torch.from_numpy(np.ascontiguousarray(ids)).to(device)
        on_device = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64)).to(device)[kept]
        if not isinstance(images, np.ndarray):
            return Part(images, on_device, kept, mean, std, channels_last)
        rows = torch.from_numpy(images).to(device)
        if channels_last:
            rows = rows.permute(0, 2, 3, 1)
        if images.size * 4 <= EAGER_BYTES:
            rows = rows.float().sub_(mean).div_(std)
        return Part(rows.contiguous(), on_device, kept, mean, std, channels_last)


def scaled(rows: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return uint8 rows as `(row - mean) / std`, float32, laid out afresh.

    On a CPU by parts that stay in its cache: half the time for large images, and the same bits.
    """
    # A fresh layout: with one channel an image is contiguous in any, and kernels choose by strides.
    made = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
    size = len(rows)
    if rows.device.type == "cpu" and size:
        size = max(1, CACHED_BYTES * size // (4 * rows.numel()))
    for part, into in zip(rows.split(size), made.split(size), strict=True):
        into.copy_(part).sub_(mean).div_(std)
    return made


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


def open_data(job: Job, registry: Registry, choice: Choice) -> TrialData:
    """Open the data of a job, as the choice has it.

    Raises:
        DataError: Where the data is not what was prepared.
    """
    source = source_of(job, registry, choice.mode)
    images, labels = source.open("train")
    return trial_data(images, labels, source, choice, job)


def source_of(job: Job, registry: Registry, mode: str) -> Source:
    """Return where the splits of a job are opened."""
    root = None if job.data_root is None else Path(job.data_root)
    return Source(Path(job.data), job.manifest, mode, registry, job.recipe["dataset"], root)


def trial_data(images: Array | Rows, labels: Array, source: Source, choice: Choice, job: Job) -> TrialData:
    """Return the data of a job from a training split: images uint8 (N, C, H, W), labels int64 (N,).

    The validation split is carved out by the suite's seed: it is the same in every replicate.
    """
    device, channels_last = torch.device(job.device), job.recipe["numerics"]["channels_last"]
    generator = Keys(job.seed, 0).generator("validation split")
    train_ids, validation_ids = carve(labels, job.recipe["dataset"]["validation"], generator)
    train = source.part(images, labels, train_ids, device, channels_last)
    validation = None
    if len(validation_ids):
        kept = torch.from_numpy(validation_ids).to(device)
        held = torch.from_numpy(np.ascontiguousarray(labels[validation_ids], dtype=np.int64)).to(device)
        validation = Part(train.images, held, kept, train.mean, train.std, channels_last)
    return TrialData(
        train=train,
        validation=validation,
        samples=len(labels),
        labels=labels,
        num_classes=len(source.manifest["classes"]),
        shapes={name: tuple(modality["shape"]) for name, modality in source.manifest["modalities"].items()},
        source=source,
        choice=choice,
        device=device,
    )

"""A trial's samples: on the device as tensors, or on the host to be read; and how rows become batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.contract import Batch
from harness.engine.keys import Keys
from harness.engine.source import Rows, Source, source_of
from harness.suite.normalization import statistics_of

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.loader_choice import Choice
    from harness.registry.registry import Registry
    from harness.suite.plan import Job

    Array = np.ndarray[Any, Any]

EAGER_BYTES = 64 * 2**20
"""Up to this size as float32 a split is normalised at once and laid out anew each epoch, so that a step takes
plain views; a larger one stays uint8 and is gathered and normalised by the batch. The bits are the same."""


LEAST_STD = 1e-3 / 255
"""A channel that never changes carries nothing: it is centred and left alone."""

CACHED_BYTES = 2**19
"""What of a batch is normalised at a time on a CPU, in bytes as float32."""


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
        return part_of(
            (self.train.mean, self.train.std),
            images,
            labels,
            np.arange(len(labels)),
            self.device,
            self.train.channels_last,
        )


def pixel_statistics(
    statistics: tuple[Sequence[float], Sequence[float]], device: torch.device, channels_last: bool
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, given in shares of full scale, in units of the pixel values.

    Returns:
        float32 each, (C, 1, 1), or (C,) for channels last.
    """

    def in_pixels(shares: Sequence[float]) -> Tensor:
        values = torch.tensor(shares, dtype=torch.float32, device=device)
        return values.mul(255).view((-1,) if channels_last else (-1, 1, 1))

    mean, std = statistics
    return in_pixels(mean), in_pixels(std).clamp_min(255 * LEAST_STD)


def part_of(
    statistics: tuple[Tensor, Tensor],
    images: Array | Rows,
    labels: Array,
    ids: Array,
    device: torch.device,
    channels_last: bool,
) -> Part:
    """Return some samples of a split: arrays go to the device, everything else stays where it is."""
    mean, std = statistics
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


def carve(
    labels: Array, share: float, generator: np.random.Generator, sources: Array | None = None
) -> tuple[Array, Array]:
    """Split sample ids into training and validation, by class.

    Every class gives `round(share * its samples)`, so the split keeps the classes' shares. Where there are several
    versions of an image, the image counts once, by its first version and that one's label: held out, that version
    is judged, and the others are on neither side.

    Args:
        labels: int64 (N,).
        share: Within [0, 1).
        generator: Draws which ones.
        sources: int64 (N,), equal where samples are versions of one image.

    Returns:
        (training ids, validation ids), each ascending, int64.
    """
    every = np.arange(len(labels))
    firsts = every if sources is None else np.sort(np.unique(sources, return_index=True)[1])
    held: list[Array] = []
    for label in np.unique(labels[firsts]):
        members = firsts[labels[firsts] == label]
        held.append(generator.permutation(members)[: round(share * len(members))])
    validation = np.sort(np.concatenate(held))
    kept_out = validation if sources is None else np.flatnonzero(np.isin(sources, sources[validation]))
    return np.setdiff1d(every, kept_out), validation


def open_data(job: Job, registry: Registry, choice: Choice) -> TrialData:
    """Open the data of a job, as the choice has it.

    Raises:
        DataError: Where the data is not what was prepared.
    """
    source = source_of(job, registry, choice.mode)
    images, labels = source.open("train")
    return trial_data(images, labels, source, choice, job, source.image_sources("train"))


def trial_data(
    images: Array | Rows,
    labels: Array,
    source: Source,
    choice: Choice,
    job: Job,
    sources: Array | None = None,
) -> TrialData:
    """Return the data of a job from a training split: images uint8 (N, C, H, W), labels and sources int64 (N,).

    The validation split is carved out by the suite's seed: it is the same in every replicate.
    """
    device, channels_last = torch.device(job.device), job.recipe["numerics"]["channels_last"]
    dataset = job.recipe["dataset"]
    generator = Keys(job.seed, 0).generator("validation split")
    train_ids, validation_ids = carve(labels, dataset["validation"], generator, sources)
    statistics = pixel_statistics(statistics_of(source.manifest, dataset), device, channels_last)
    train = part_of(statistics, images, labels, train_ids, device, channels_last)
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

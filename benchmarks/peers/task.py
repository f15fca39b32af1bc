"""What every peer trains: the same model, data, augmentation, batch size, optimizer and learning rates.

The augmentation is a crop of 32x32 out of the image padded by 4, and a mirror image every second time. Padding
is the training mean (zero once normalised), on tensors and on PIL images alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import small_cnn
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate
from torchvision import transforms

from harness.contract import DataInfo
from harness_plugins.backbones.resnet_cifar import ResNetCifar

BATCH_SIZE, PADDING, MOMENTUM = 128, 4, 0.9
BACKBONES: Mapping[str, dict[str, Any]] = {
    "small-cnn": {"name": "peers-small-cnn", "params": {}},
    "resnet-8": {"name": "resnet-cifar", "params": {"depth": 8, "width": 16, "stem_stride": 2}},
}
RATES: Mapping[str, float] = {"small-cnn": 0.02, "resnet-8": 0.1}
"""Base learning rate by model; it falls to zero along half a cosine, a little at every step."""


def build_model(name: str, seed: int) -> nn.Module:
    """Return a model with the weights that belong to the seed."""
    torch.manual_seed(seed)
    plugins = {"peers-small-cnn": small_cnn.SmallCnn, "resnet-cifar": ResNetCifar}
    backbone = BACKBONES[name]
    return plugins[backbone["name"]](**backbone["params"]).build(DataInfo(10, {"image": (3, 32, 32)}))


def augment(images: Tensor) -> Tensor:
    """Crop and mirror a batch, float32 (B, 3, 32, 32), with draws for each sample."""
    count, size = len(images), images.shape[-1]
    row, column = torch.randint(2 * PADDING + 1, (2, count))
    crops = F.pad(images, (PADDING,) * 4).unfold(2, size, 1).unfold(3, size, 1)
    images = crops[torch.arange(count), :, row, column]
    return torch.where((torch.rand(count) < 0.5)[:, None, None, None], images.flip(-1), images)


def augmenting_collate(samples: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Make a batch of normalised samples and augment it as a whole."""
    images, labels = default_collate(list(samples))
    return augment(images), labels


class Pictures(Dataset[Any]):
    """PIL images from an array in memory and a transform for each, as in `torchvision.datasets.CIFAR10`."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Any) -> None:
        self.images, self.labels, self.transform = images, labels.tolist(), transform

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class Task:
    """What a peer gets.

    Attributes:
        model: To be trained in place.
        loading: "resident" (batches by index from a tensor), "tensors" (TensorDataset and DataLoader, in the
            main process), "pictures" (PIL images, torchvision transforms and DataLoader workers).
        name: Of the model, a key of `BACKBONES`.
        epochs: How many, each of the full batches of the set, in an order of its own.
        folder: Prepared data, as `suite.prepare` writes it, with the manifest's `mean` and `std` in 0..1.
        scratch: An empty folder for whatever insists on one.
        workers: Of the DataLoader, where `loading` is "pictures".
    """

    model: nn.Module
    loading: str
    name: str
    epochs: int
    folder: Path
    manifest: Mapping[str, Any]
    scratch: Path
    seed: int
    workers: int

    def __post_init__(self) -> None:
        image = self.manifest["modalities"]["image"]
        self.mean, self.std, self.rate = image["mean"], image["std"], RATES[self.name]
        self.images = np.load(self.folder / "train.image.npy", allow_pickle=False)  # uint8 (N, C, H, W)
        self.labels = np.load(self.folder / "train.labels.npy", allow_pickle=False)
        self.total_steps = self.epochs * (len(self.labels) // BATCH_SIZE)

    def normalised(self) -> tuple[Tensor, Tensor]:
        """Return all images, float32 (N, 3, 32, 32), and labels, int64 (N,)."""
        mean, std = (torch.tensor(value).mul(255).view(3, 1, 1) for value in (self.mean, self.std))
        return torch.from_numpy(self.images).float().sub_(mean).div_(std), torch.from_numpy(self.labels)

    def transform(self, *last: Any) -> transforms.Compose:
        """Return the transform of a PIL image; `last` takes the place of ToTensor and Normalize."""
        fill = tuple(round(255 * value) for value in self.mean)
        crop = transforms.RandomCrop(self.images.shape[-1], padding=PADDING, fill=fill)
        last = last or (transforms.ToTensor(), transforms.Normalize(self.mean, self.std))
        return transforms.Compose([crop, transforms.RandomHorizontalFlip(), *last])

    def dataset(self) -> Dataset[Any]:
        """Return the dataset of `loading`; that of "tensors" is augmented by `augmenting_collate`."""
        if self.loading == "tensors":
            return TensorDataset(*self.normalised())
        return Pictures(
            np.ascontiguousarray(self.images.transpose(0, 2, 3, 1)), self.labels, self.transform()
        )

    def loader(self) -> DataLoader[Any]:
        """Return the usual loader over `dataset()`."""
        if self.loading == "tensors":
            return DataLoader(
                self.dataset(), BATCH_SIZE, shuffle=True, drop_last=True, collate_fn=augmenting_collate
            )
        # Workers are kept from epoch to epoch, or each epoch would pay for starting them.
        return DataLoader(
            self.dataset(),
            BATCH_SIZE,
            shuffle=True,
            drop_last=True,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )

    def optimizer(self) -> torch.optim.Optimizer:
        """Return the optimizer, for frameworks that have none of their own."""
        return torch.optim.SGD(self.model.parameters(), lr=self.rate, momentum=MOMENTUM)

    def schedule(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        """Return the schedule, for frameworks that have none of their own; to be stepped at every step."""
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.total_steps)

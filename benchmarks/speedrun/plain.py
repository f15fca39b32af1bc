"""The speedrun recipe as a plain script: one file, no harness, arithmetic that reads from top to bottom.

Written from Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498. What `compare.py` holds
the suite `speedrun` against. It runs alone, too, on the arrays that the harness prepares:

    python benchmarks/speedrun/plain.py train.image.npy train.labels.npy test.image.npy test.labels.npy
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Recipe:
    """The recipe's numbers; the defaults are the paper's.

    Attributes:
        rate: Per 1,024 samples of the summed loss, the momentum's gain taken out.
        bias_factor: How many times as fast batch norm's biases learn.
        decay: Share of a weight that a step takes.
        stem_bias_share: Share of the budget for which the stem's bias is trained.
        judged_at_once: Images in a forward pass of the evaluation.
        number: Type of weights and images; batch norm's is single at the least.
        compile: A mode of torch.compile, or None.
    """

    widths: tuple[int, int, int] = (64, 256, 256)
    batch_size: int = 1024
    epochs: float = 9.9
    rate: float = 11.5
    bias_factor: float = 64.0
    momentum: float = 0.85
    decay: float = 0.0153
    smoothing: float = 0.2
    stem_images: int = 5000
    stem_bias_share: float = 3 / 9.9
    judged_at_once: int = 2000
    number: torch.dtype = torch.float32
    compile: str | None = None


class Chance(Protocol):
    """All that is random in a run."""

    def weights(self, net: Net) -> None:
        """Fill the net's parameters with their first values, before any are made Dirac or white."""

    def stem_ids(self) -> Tensor:
        """Return the samples in the order in which the stem's patches are taken from them."""

    def first_sides(self) -> Tensor:
        """Return which samples are mirrored in the first epoch, bool (N,)."""

    def order(self, epoch: int) -> Tensor:
        """Return the samples of an epoch, int64 (N,)."""

    def corners(self, epoch: int) -> Tensor:
        """Return row and column of each sample's crop, int64 (N, 2), from 0 to 4."""


class TorchChance:
    """Chance from a seed, for a run by itself."""

    def __init__(self, seed: int, samples: int) -> None:
        self.samples = samples
        self.generator = torch.Generator().manual_seed(seed)

    def weights(self, net: Net) -> None:
        """Keep what torch's layers drew."""

    def stem_ids(self) -> Tensor:
        return self.order(0)

    def first_sides(self) -> Tensor:
        return torch.rand(self.samples, generator=self.generator) < 0.5

    def order(self, epoch: int) -> Tensor:
        return torch.randperm(self.samples, generator=self.generator)

    def corners(self, epoch: int) -> Tensor:
        return torch.randint(0, 5, (self.samples, 2), generator=self.generator)


class Net(nn.Module):
    """2x2 stem; three blocks of convolution, pooling, norm, GELU, convolution, norm, GELU; maximum; head."""

    def __init__(self, widths: tuple[int, int, int], classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        wide = 8 * channels
        self.stem = nn.Conv2d(channels, wide, 2)
        nn.init.zeros_(self.stem.bias)
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        for width in widths:
            for before in (wide, width):
                self.convolutions.append(nn.Conv2d(before, width, 3, padding=1, bias=False))
                self.norms.append(nn.BatchNorm2d(width, eps=1e-12, momentum=1 - 0.6))
            wide = width
        self.head = nn.Linear(wide, classes, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        x = F.gelu(self.stem(image))
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = convolution(x)
            if index % 2 == 0:
                x = F.max_pool2d(x, 2)
            x = F.gelu(norm(x))
        x = F.max_pool2d(x, tuple(x.shape[-2:])).flatten(1)
        return self.head(x) / 9


@dataclass
class Outcome:
    """What a run gave: the mean loss of each step, and the test split's mean logits over six views."""

    losses: Tensor
    logits: Tensor


class Speedrun:
    """A run: made first, off the clock; then `train` and `judge`, on it.

    Args:
        train, test: uint8 (N, 3, H, W).
        labels: int64 (N,) of `train`.
        mean, std: Of the training pixels in 0..1, by channel.
    """

    def __init__(
        self,
        recipe: Recipe,
        chance: Chance,
        train: Tensor,
        labels: Tensor,
        test: Tensor,
        mean: Tensor,
        std: Tensor,
        device: torch.device,
        classes: int = 10,
    ) -> None:
        self.recipe, self.chance, self.device = recipe, chance, device
        self.type, self.wide = recipe.number, torch.promote_types(recipe.number, torch.float32)

        def normalised(image: Tensor) -> Tensor:
            of_channel = (-1, 1, 1)
            pixels = image.to(device).float() - 255 * mean.to(device).view(of_channel)
            scaled = pixels / (255 * std.to(device).view(of_channel))
            return scaled.to(self.type, memory_format=torch.channels_last)

        self.images, self.labels, self.test = normalised(train), labels.to(device), normalised(test)
        net = Net(recipe.widths, classes, train.shape[1])
        chance.weights(net)
        with torch.no_grad():
            for convolution in net.convolutions:
                fan_in = convolution.in_channels
                for filter_ in range(min(fan_in, convolution.out_channels)):
                    convolution.weight[filter_] = 0
                    convolution.weight[filter_, filter_, 1, 1] = 1
        self.net = net.to(device, self.type, memory_format=torch.channels_last)
        self.net.stem.weight.requires_grad_(False)
        for norm in net.norms:
            norm.to(self.wide)
            norm.weight.requires_grad_(False)
        self.forward = torch.compile(net, mode=recipe.compile) if recipe.compile else net
        self.per_epoch = len(labels) // recipe.batch_size
        self.total = max(1, round(recipe.epochs * self.per_epoch))

    def train(self) -> Tensor:
        """Take every step and return their mean losses; nothing is read back in between."""
        recipe, net = self.recipe, self.net
        self._whiten()
        optimizer = self._optimizer()
        rates = np.interp(np.arange(self.total) / self.total, [0, 0.23, 1], [0.2, 1, 0.07])
        base = [group["lr"] for group in optimizer.param_groups]
        freeze_at = round(recipe.stem_bias_share * self.total)
        slow = [tensor.clone() for tensor in self._averaged()]
        padded = self._sided_and_padded()
        losses = torch.zeros(self.total, device=self.device, dtype=self.wide)
        step = 0
        net.train()
        while step < self.total:
            epoch = step // self.per_epoch
            images = self._cropped(padded, epoch)
            order = self.chance.order(epoch).to(self.device)
            for ids in order[: self.per_epoch * recipe.batch_size].split(recipe.batch_size):
                if step == freeze_at:
                    net.stem.bias.requires_grad_(False)
                for group, rate in zip(optimizer.param_groups, base, strict=True):
                    group["lr"] = rate * rates[step]
                logits = self.forward(images[ids]).to(self.wide)
                loss = F.cross_entropy(
                    logits, self.labels[ids], label_smoothing=recipe.smoothing, reduction="sum"
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                losses[step] = loss.detach() / recipe.batch_size
                step += 1
                if step % 5 == 0:
                    self._pull(slow, 0.95**5 * (step / self.total) ** 3)
                if step == self.total:
                    break
        self._pull(slow, 1.0)
        return losses

    def judge(self) -> Tensor:
        """Return the mean logits over six views of each test image, float (N, classes)."""
        net = self.net.eval()
        found = []
        with torch.inference_mode():
            for image in self.test.split(self.recipe.judged_at_once):
                still = net(image) / 4 + net(image.flip(3)) / 4
                height, width = image.shape[2:]
                padded = F.pad(image, (1, 1, 1, 1), mode="reflect")
                for corner in (0, 2):
                    moved = padded[:, :, corner : corner + height, corner : corner + width]
                    still = still + net(moved) / 8 + net(moved.flip(3)) / 8
                found.append(still.to(self.wide))
        return torch.cat(found)

    def _whiten(self) -> None:
        """Make the stem from the patches' second moments: each eigenvector over the root of its value, both signs."""
        ids = self.chance.stem_ids()[: self.recipe.stem_images].to(self.device)
        sums = []
        patches = 0
        for image in self.images[ids].to(self.wide).split(1000):
            height, width = image.shape[2] - 1, image.shape[3] - 1
            corners = [image[:, :, i : i + height, j : j + width] for i in (0, 1) for j in (0, 1)]
            pixels = torch.stack(corners, dim=2).flatten(1, 2)  # (N, channels * 4, height, width)
            columns = pixels.transpose(0, 1).flatten(1).double()
            sums.append(columns @ columns.T)
            patches += columns.shape[1]
        moments = (sum(sums[1:], start=sums[0]) / patches).cpu()
        values, vectors = torch.linalg.eigh(moments)
        # an eigenvector's sign is anybody's choice: here its largest entry is positive
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        filters = ((vectors * largest.sign()) / (values + 5e-4).sqrt()).T.flip(0)
        with torch.no_grad():
            self.net.stem.weight.copy_(torch.cat([filters, -filters]).reshape(self.net.stem.weight.shape))

    def _optimizer(self) -> torch.optim.Optimizer:
        recipe, net = self.recipe, self.net
        gain = 1 + 1 / (1 - recipe.momentum)
        rate = recipe.rate / 1024 / gain
        biases = [norm.bias for norm in net.norms]
        others = [net.stem.bias, *(layer.weight for layer in net.convolutions), net.head.weight]
        decay = recipe.decay / gain
        bias_rate = recipe.bias_factor * rate
        return torch.optim.SGD(
            [
                {"params": biases, "lr": bias_rate, "weight_decay": decay / bias_rate},
                {"params": others, "lr": rate, "weight_decay": decay / rate},
            ],
            lr=rate,
            momentum=recipe.momentum,
            nesterov=True,
        )

    def _averaged(self) -> list[Tensor]:
        state: dict[str, Tensor] = self.net.state_dict()
        return [tensor for tensor in state.values() if tensor.is_floating_point()]

    def _pull(self, slow: list[Tensor], keep: float) -> None:
        with torch.no_grad():
            for behind, ahead in zip(slow, self._averaged(), strict=True):
                behind.lerp_(ahead, 1 - keep)
                ahead.copy_(behind)

    def _sided_and_padded(self) -> Tensor:
        sides = self.chance.first_sides().to(self.device).view(-1, 1, 1, 1)
        return F.pad(torch.where(sides, self.images.flip(3), self.images), (2, 2, 2, 2), mode="reflect")

    def _cropped(self, padded: Tensor, epoch: int) -> Tensor:
        """Return all images of an epoch, cropped, and mirrored every second epoch."""
        row, column = self.chance.corners(epoch).to(self.device).unbind(1)
        mirrored = epoch % 2 == 1
        if mirrored:
            column = 4 - column  # seen in the mirror that follows
        height, width = self.images.shape[2:]
        images = torch.empty_like(self.images)
        for i in range(5):
            for j in range(5):
                here = (row == i) & (column == j)
                images[here] = padded[here, :, i : i + height, j : j + width]
        return images.flip(3) if mirrored else images


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return top-1 accuracy in points."""
    return 100 * float((logits.argmax(1) == labels.to(logits.device)).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "files", nargs=4, type=Path, help="training images and labels, test images and labels"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=9.9)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    arrays: list[Any] = [torch.from_numpy(np.load(file, allow_pickle=False)) for file in options.files]
    train, labels, test, test_labels = arrays
    on_gpu = options.device != "cpu"
    number = torch.float16 if on_gpu else torch.float32
    recipe = Recipe(epochs=options.epochs, number=number, compile="max-autotune" if on_gpu else None)
    torch.manual_seed(options.seed)
    pixels = train.double() / 255
    mean, std = pixels.mean((0, 2, 3)).float(), pixels.std((0, 2, 3)).float()
    chance = TorchChance(options.seed, len(train))
    run = Speedrun(recipe, chance, train, labels, test, mean, std, torch.device(options.device))
    losses = run.train()
    print(f"{len(losses)} steps, first loss {losses[0]:.4f}, last {losses[-1]:.4f}")
    print(f"top-1 {accuracy(run.judge(), test_labels):.2f} points; chance {100 / math.prod([10]):.0f}")


if __name__ == "__main__":
    main()

"""A plugin file: the toy images, decoded as they are read, and augmentations that run in the loader."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.contract import (
    Augmentation,
    Batch,
    Context,
    DamagedImage,
    Dataset,
    Images,
    Prepared,
    RegistryView,
    Split,
    Stage,
    hookimpl,
)
from harness.testing.toys import ToyDataset


class Inverted(Images):
    """Kept inverted; to decode is to turn them back. A file beside says what goes wrong, and in which process."""

    def __init__(self, pixels: np.ndarray, root: Path, skip_damaged: bool) -> None:
        self._kept, self._root, self.skip_damaged = 255 - pixels, root, skip_damaged

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self._kept.shape

    def read(self, rows: np.ndarray) -> np.ndarray:
        fault = self._root / "fault"
        if fault.is_file():
            _fail(rows, fault.read_text())
        return 255 - self._kept[rows]


def _in_worker(rows: np.ndarray, rest: str) -> None:
    if multiprocessing.parent_process() is not None:
        _fail(rows, rest)


def _in_training(rows: np.ndarray, rest: str) -> None:
    if np.any(np.diff(rows) < 0):  # shuffled: not as a split is opened
        _fail(rows, rest)


def _fail(rows: np.ndarray, text: str) -> None:
    name, _, argument = text.partition(" ")
    FAULTS[name](rows, argument)


def _damaged(rows: np.ndarray, row: str) -> None:
    if int(row) in rows:
        raise DamagedImage(int(row), f"toy {row}: it is torn")


def _raise(rows: np.ndarray, text: str) -> None:
    raise ValueError(text)


def _exit(rows: np.ndarray, code: str) -> None:
    os._exit(int(code))


def _kill(rows: np.ndarray, name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


def _sleep(rows: np.ndarray, seconds: str) -> None:
    time.sleep(float(seconds))


def _hang(rows: np.ndarray, folder: str) -> None:
    """Leave a file named as this process, and do not come back."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


FAULTS: dict[str, Callable[[np.ndarray, str], None]] = {
    "in_worker": _in_worker,
    "in_training": _in_training,
    "damaged": _damaged,
    "raise": _raise,
    "exit": _exit,
    "kill": _kill,
    "sleep": _sleep,
    "hang": _hang,
}


@dataclass(frozen=True)
class Encoded(Dataset):
    samples: int = 96
    skip_damaged: bool = False

    def prepare(self, root: Path | None) -> Prepared:
        toy = ToyDataset(samples=self.samples).prepare(None)

        def kept(split: Split) -> Split:
            return Split({"image": Inverted(split.inputs["image"], root, self.skip_damaged)}, split.labels)

        return Prepared(kept(toy.train), kept(toy.test), toy.classes)


@dataclass(frozen=True)
class Jitter(Augmentation):
    """Adds numbers from every source that there is in the loader."""

    strength: int = 40

    stage = Stage.CONTENT
    placement = "loader"

    def bind(self, ctx: Context) -> Callable[[Batch], Batch]:
        import torch

        draws, steps, trial = (
            ctx.draws("shift", 2),
            ctx.step_draws("all", 1),
            ctx.draws("own", 1, per="trial"),
        )
        seeds = ctx.sample_seeds("noise")

        def jitter(batch: Batch) -> Batch:
            shift = draws(batch.ids).sum(1) + steps() + trial(batch.ids)[:, 0] + ctx.progress
            noise = []
            for seed in seeds(batch.ids):
                torch.default_generator.manual_seed(seed)
                noise.append(torch.rand(batch.image.shape[1:]))
            added = torch.stack(noise) + shift[:, None, None, None]
            moved = batch.image.float() + self.strength * (added - 1.5)
            return batch.with_image(moved.clamp(0, 255).to(torch.uint8))

        return jitter


@dataclass(frozen=True)
class Unseeded(Augmentation):
    """Draws from torch's global generator, whatever state that is in."""

    stage = Stage.GEOMETRY
    placement = "loader"

    def bind(self, ctx: Context) -> Callable[[Batch], Batch]:
        import torch

        return lambda batch: batch.with_image(batch.image ^ torch.randint(0, 8, (1,), dtype=torch.uint8))


@dataclass(frozen=True)
class Shrink(Augmentation):
    """Every second row and column; or something else than images."""

    gives: str = "images"

    stage = Stage.GEOMETRY
    placement = "loader"

    def bind(self, ctx: Context) -> Callable[[Batch], Batch]:
        changes = {
            "images": lambda image: image[:, :, ::2, ::2],
            "floats": lambda image: image.float(),
            "fewer": lambda image: image[1:],
            "error": lambda image: image.missing,
        }
        return lambda batch: batch.with_image(changes[self.gives](batch.image))


@dataclass(frozen=True)
class Mark(Augmentation):
    """Paints each image with its draw."""

    stage = Stage.CONTENT
    placement = "loader"

    def bind(self, ctx: Context) -> Callable[[Batch], Batch]:
        import torch

        draws = ctx.draws("grey", 1)

        def paint(batch: Batch) -> Batch:
            grey = (draws(batch.ids) * 256).to(torch.uint8)
            return batch.with_image(grey[:, :, None, None].expand(-1, -1, 8, 8))

        return paint


@dataclass(frozen=True)
class Mixing(Augmentation):
    stage = Stage.MIX
    placement = "loader"

    def bind(self, ctx: Context) -> Callable[[Batch], Batch]:
        return lambda batch: batch


@hookimpl
def harness_register(registry: RegistryView) -> None:
    registry.add("dataset", "encoded", Encoded, summary="toys, decoded as they are read")
    registry.add("augmentation", "jitter", Jitter, summary="all kinds of draws")
    registry.add("augmentation", "unseeded", Unseeded, summary="unkeyed draws")
    registry.add("augmentation", "shrink", Shrink, summary="other sizes")
    registry.add("augmentation", "mark", Mark, summary="draws that can be seen")
    registry.add("augmentation", "mixing", Mixing, summary="a mix in the loader")

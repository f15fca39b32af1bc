"""A batch on the host: its images are read and augmented, in a worker process or in the trial's own."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from harness.contract import Augmentation, Batch, Stage
from harness.engine.contract_check import ContractError, check_call, describe
from harness.engine.culprit import labels_for
from harness.engine.foundation import image_statistics
from harness.engine.keys import Draws, Keys, Moment
from harness.engine.run import TrialContext
from harness.engine.source import source_of
from harness.errors import PluginError
from harness.registry.discovery import discover
from harness.suite.plan import Job

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.engine.source import Array, Rows
    from harness.registry.registry import Registry

Functions = list[tuple[str, Callable[[Batch], Batch]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One batch of the order of the training.

    Attributes:
        step: Its step, from 0.
        epoch: Its epoch, from 0.
        index: Its place in the epoch.
        ids: int64 (B,), rows of the split.
    """

    step: int
    epoch: int
    index: int
    ids: Array


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in making a batch: exceptions of plugins do not all survive the way between processes.

    Attributes:
        plugin, slot: Whose code it was.
        text: The error.
        trace: Its traceback.
        is_memory: Whether memory ran out.
    """

    plugin: str
    slot: str
    text: str
    trace: str
    is_memory: bool

    def throw(self) -> NoReturn:
        """Raise it here.

        Raises:
            ContractError: Naming the plugin.
            MemoryError: Where memory ran out.
        """
        cause = RuntimeError(f"in the loader:\n{self.trace}")
        if self.is_memory:
            raise MemoryError(self.text) from cause
        raise ContractError(self.plugin, self.slot, self.text) from cause


@dataclass(frozen=True, slots=True)
class Setting:
    """What a loader needs to know of a trial to make its batches in another process; it pickles.

    Attributes:
        job: As JSON.
        source_mode: "memory" or "stream".
        samples: Images in the training split, the validation part included.
        steps_per_epoch, total_steps: Of the training.
        class_counts: Samples of each class that are trained on.
    """

    job: dict[str, Any]
    source_mode: str
    samples: int
    steps_per_epoch: int
    total_steps: int
    class_counts: tuple[int, ...]


class Augmenter:
    """Applies the augmentations that run in the loader, with their draws.

    Args:
        setting: The trial.
        registry: Where its components come from.
        labels: int64 (N,), of the training split.

    Raises:
        PluginError: Where one of them mixes samples.
    """

    def __init__(self, setting: Setting, registry: Registry, labels: Array) -> None:
        job = Job.from_json(setting.job)
        self._keys, self._moment = Keys(job.seed, job.replicate, job.salt), Moment()
        device = torch.device("cpu")
        self._draws = Draws(self._keys, setting.samples, setting.steps_per_epoch, device, self._moment)
        self._labels = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))
        self._epoch: int | None = None
        self.functions: Functions = []
        for label, augmentation in placed_in_loader(job.recipe, registry):
            context = TrialContext(
                len(job.manifest["classes"]),
                setting.total_steps,
                setting.steps_per_epoch,
                device,
                torch.nn.Module(),
                label,
                self._keys,
                self._draws,
                self._moment,
                partial(_no_batches, label),
                partial(_no_blocks, label),
                setting.class_counts,
                *image_statistics(job, device),
                {},
                "image",
                job.recipe["numerics"]["precision"],
            )
            function = augmentation.bind(context)
            if function is not None:
                check_call(label, "batch", function, "batch")
                self.functions.append((label, function))

    def begin(self, wanted: Wanted) -> None:
        """Stand where the step stands."""
        self._moment.step, self._moment.epoch, self._moment.index = wanted.step, wanted.epoch, wanted.index
        if self._epoch != wanted.epoch:
            self._draws.begin_epoch(wanted.epoch)
            self._epoch = wanted.epoch

    def apply(self, label: str, function: Callable[[Batch], Batch], images: Tensor, wanted: Wanted) -> Tensor:
        """Return the images as one augmentation makes them, and torch's global state as it was.

        Raises:
            ContractError: Where something else comes than images.
        """
        ids = torch.from_numpy(wanted.ids)
        batch = Batch({"image": images}, self._labels[ids], ids)
        before = torch.default_generator.get_state()
        try:
            # What draws from there without a seed of its own is the same in whichever process it runs.
            torch.default_generator.manual_seed(self._keys.torch_seeds(f"loader/{label}", wanted.step, 1)[0])
            after = function(batch)
        finally:
            torch.default_generator.set_state(before)
        if not isinstance(after, Batch):
            raise ContractError(label, "batch", f"expected a Batch, got {describe(after)}")
        image = after.image
        if (
            image.dtype != torch.uint8
            or image.device.type != "cpu"
            or image.ndim != 4
            or image.shape[:2] != images.shape[:2]
        ):
            wanted_text = f"uint8 ({len(images)}, {images.shape[1]}, height, width) on cpu"
            raise ContractError(label, "batch", f"expected images {wanted_text}, got {describe(image)}")
        return image.contiguous()


class Fetch(torch.utils.data.Dataset["Tensor | Failure"]):
    """Makes host batches, uint8 (B, C, H, W): the same wherever it runs.

    A forked worker inherits it; to a spawned one it goes as the job, from which it is made again there: arrays
    and components do not travel.
    """

    def __init__(self, setting: Setting, split: str, images: Rows, augmenter: Augmenter | None) -> None:
        self._setting, self._split, self._images, self._augmenter = setting, split, images, augmenter

    def __getitem__(self, wanted: Wanted) -> Tensor | Failure:
        """Return a batch, or what went wrong."""
        plugin, slot = f"dataset {self._setting.job['recipe']['dataset']['name']}", "read"
        try:
            images = torch.from_numpy(self._images.read(wanted.ids))
            if self._augmenter is not None:
                self._augmenter.begin(wanted)
                with torch.no_grad():
                    for plugin, function in self._augmenter.functions:
                        slot = "batch"
                        images = self._augmenter.apply(plugin, function, images, wanted)
            return images
        except (Exception, SystemExit) as error:
            text = str(error) if isinstance(error, ContractError) else f"{type(error).__name__}: {error}"
            is_memory = isinstance(error, MemoryError)
            return Failure(plugin, slot, text[:2000], traceback.format_exc()[-4000:], is_memory)

    def __reduce__(self) -> tuple[Callable[..., Fetch], tuple[Setting, str, bool]]:
        return fetch_again, (self._setting, self._split, self._augmenter is not None)


def fetch_again(setting: Setting, split: str, is_training: bool) -> Fetch:
    """Make a `Fetch` in a process that has nothing but its setting."""
    job = Job.from_json(setting.job)
    registry = discover([Path(file) for file in job.plugins], allow=os.environ.get("HARNESS_PLUGINS"))
    images, labels = source_of(job, registry, setting.source_mode).open(split)
    if isinstance(images, np.ndarray):
        raise TypeError(f"{job.data}: a resident split is not fetched")
    return Fetch(setting, split, images, Augmenter(setting, registry, labels) if is_training else None)


def placed_in_loader(recipe: Mapping[str, Any], registry: Registry) -> Iterator[tuple[str, Augmentation]]:
    """Yield (label, augmentation) of those that run in the loader, in the order in which they act.

    Raises:
        PluginError: Where one of them mixes samples.
    """
    augmentations = recipe["augmentations"]
    names = labels_for("augmentation", augmentations)
    # One that wraps another stands where that one stands.
    known = [
        (label, registry.build("augmentation", normal), registry.role("augmentation", normal))
        for label, normal in zip(names, augmentations, strict=True)
    ]
    for label, augmentation, role in sorted(known, key=lambda entry: entry[2].stage):
        if role.placement != "loader":
            continue
        if role.stage is Stage.MIX:
            raise PluginError(
                f'{label}: placement "loader" in stage MIX: targets are mixed on the device; give it '
                'placement = "device"'
            )
        yield label, augmentation


def _no_batches(label: str, count: int) -> Iterator[Batch]:
    raise ContractError(label, "bind", f"{count} training batches asked for: there are none in the loader")


def _no_blocks(label: str, model: Module) -> list[tuple[str, Module]]:
    del model
    raise ContractError(label, "bind", "the model's blocks asked for: there is no model in the loader")

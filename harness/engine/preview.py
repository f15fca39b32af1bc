"""What an arm's augmentations do: each applied alone, and all together, to the same samples of the training split.

The arm is composed as a trial of it is (its first replicate), without tricks and parents, on a CPU. Samples are
chosen by a key of the suite's seed, classes in turn. The draws are those of the last epoch, whichever step is shown,
so that what differs between two steps of a training is what the augmentation itself changes: one that does the same
at the first, the middle and the last step is shown once, one that grows at each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.contract import Batch
from harness.engine.culprit import Owners, labels_for
from harness.engine.loader_fetch import Wanted
from harness.engine.preview_meter import distances, summary
from harness.engine.trial import open_run
from harness.errors import HarnessError, PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.run import Run
    from harness.suite.plan import Job

    Array = np.ndarray[Any, Any]

MOST_A_CLASS = 64
MOST_BYTES = 2**27
"""What is measured: so many images of each class, and no more than this in bytes as float32."""

BEFORE, ALL = "before", "all"


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the picture: the samples as one augmentation, or all, leave them.

    Attributes:
        label: The augmentation as its arm has it ("cutout#2", "progressive of cutout"), "before" or "all".
        placement: "device" or "loader"; None for "before" and "all".
        step: The step of the training, from 0; None where it is the same at all steps that were tried.
        images: float32 (n, C, H, W), in levels of 0 to 255, not clipped.
        targets: float32 (n, K), each class's share of a sample.
    """

    label: str
    placement: str | None
    step: int | None
    images: Array
    targets: Array


@dataclass(frozen=True, slots=True)
class Preview:
    """What the augmentations of one arm do.

    Attributes:
        shown: "before" first, then each augmentation in the order in which they act, then "all".
        labels: int64 (n,), the class of each sample.
        classes: Names of the classes.
        total_steps: Steps of a training.
    """

    shown: list[Shown]
    labels: Array
    classes: list[str]
    total_steps: int

    def rows(self) -> list[dict[str, Any]]:
        """Return, for each row but the first, how far it moved the samples: `preview.json`'s rows."""
        before, *rest = self.shown
        told = []
        for row in rest:
            by_class = distances(before.images, row.images, self.labels, self.classes)
            told.append(
                {
                    "label": row.label,
                    "placement": row.placement,
                    "step": row.step,
                    "progress": None if row.step is None else row.step / self.total_steps,
                    "distances": summary(by_class),
                    "classes": by_class,
                }
            )
        return told


def preview_arm(job: Job, *, samples: int) -> Preview:
    """Apply the augmentations of a job's arm.

    Args:
        job: Of the arm's first replicate; it is composed on a CPU, whatever its device.
        samples: How many samples are shown at the least; more are measured.

    Raises:
        PluginError: Naming the augmentation that failed.
    """
    owners = Owners()
    run: Run | None = None
    try:
        run = open_run(_bare(job), owners)
        return _preview(run, samples)
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        culprit = owners.culprit(error, None)
        where = f"{culprit['plugin'] or 'the harness'}, slot {culprit['slot'] or 'build'}"
        raise PluginError(f"{where}: {culprit['error']}") from error
    finally:
        if run is not None:
            run.loader.close()


def _bare(job: Job) -> Job:
    """Return the job without what its augmentations do not need."""
    recipe = {key: value for key, value in job.recipe.items() if key != "parents"}
    numerics = {**recipe["numerics"], "compile": False}
    bare = {**recipe, "tricks": [], "metrics": [], "numerics": numerics}
    return replace(job, recipe=bare, device="cpu", loader={**job.loader, "workers": 0})


def _preview(run: Run, samples: int) -> Preview:
    batch, raw = _samples(run, samples)
    stand = _Stand(run, batch.ids.numpy())
    image_mean, image_std = (value.view(-1, 1, 1) for value in (run.data.train.mean, run.data.train.std))

    def shown(label: str, placement: str | None, step: int | None, after: Batch) -> Shown:
        # A function may give its images in another layout or precision.
        levels = after.image.float() * image_std + image_mean
        targets = after.dense_target(run.data.num_classes).float()
        return Shown(label, placement, step, levels.contiguous().numpy(), targets.numpy())

    def rows(label: str, placement: str | None, function: Callable[[int], Batch]) -> Iterator[Shown]:
        made = [(step, function(step)) for step in stand.steps]
        is_steady = all(_equal(after, made[0][1]) for _, after in made)
        for step, after in made[-1:] if is_steady else made:
            yield shown(label, placement, None if is_steady else step, after)

    found = [shown(BEFORE, None, None, batch)]
    stages = [*stand.in_loader(raw, batch), *stand.on_device(batch)]
    for label, placement, function in stages:
        found += rows(label, placement, function)
    if len(stages) > 1:
        found += rows(ALL, None, stand.all_of(raw, batch))
    classes = [str(name) for name in run.job.manifest["classes"]]
    return Preview(found, batch.target.numpy(), classes, run.total_steps)


class _Stand:
    """A composed arm, put at one step or another of its training."""

    def __init__(self, run: Run, ids: Array) -> None:
        self._run, self._ids = run, ids
        self.steps = sorted({0, run.total_steps // 2, run.total_steps - 1})
        self._last_epoch = (run.total_steps - 1) // run.steps_per_epoch
        (self._seed,) = run.keys.torch_seeds("preview", 0, 1)
        augmentations = run.job.recipe["augmentations"]
        labels = labels_for("augmentation", augmentations)
        self._names = {label: _name(label, one) for label, one in zip(labels, augmentations, strict=True)}
        run.draws.begin_epoch(self._last_epoch)

    def in_loader(
        self, raw: Tensor | None, batch: Batch
    ) -> Iterator[tuple[str, str, Callable[[int], Batch]]]:
        """Yield (label, placement, step -> what becomes of the samples) of what runs in the loader."""
        augmenter = self._run.loader.augmenter
        if augmenter is None or raw is None:
            return
        for label, function in augmenter.functions:

            def apply(step: int, label: str = label, function: Callable[[Batch], Batch] = function) -> Batch:
                return self._normalised(self._in_loader(step, raw, [(label, function)]), batch)

            yield self._names[label], "loader", apply

    def on_device(self, batch: Batch) -> Iterator[tuple[str, str, Callable[[int], Batch]]]:
        """Yield (label, placement, step -> what becomes of the samples) of what runs on the device."""
        for label, function in zip(self._run.batch_labels, self._run.step.batch_functions, strict=True):

            def apply(step: int, function: Callable[[Batch], Batch] = function) -> Batch:
                return self._on_device(step, batch, [function])

            yield self._names[label], "device", apply

    def all_of(self, raw: Tensor | None, batch: Batch) -> Callable[[int], Batch]:
        """Return step -> what becomes of the samples by all augmentations, in their order."""

        def apply(step: int) -> Batch:
            made = batch
            if raw is not None and self._run.loader.augmenter is not None:
                made = self._normalised(
                    self._in_loader(step, raw, self._run.loader.augmenter.functions), batch
                )
            return self._on_device(step, made, self._run.step.batch_functions)

        return apply

    def _in_loader(self, step: int, images: Tensor, functions: Any) -> Tensor:
        augmenter = self._run.loader.augmenter
        assert augmenter is not None
        wanted = Wanted(step, self._last_epoch, 0, self._ids)
        augmenter.begin(wanted)
        with torch.no_grad():
            for label, function in functions:
                images = augmenter.apply(label, function, images, wanted)
        return images

    def _on_device(self, step: int, batch: Batch, functions: Any) -> Batch:
        moment = self._run.moment
        moment.step, moment.epoch, moment.index = step, step // self._run.steps_per_epoch, 0
        for function in functions:
            self._run.step.seed(self._seed)  # a model that an augmentation calls may draw from there
            batch = function(batch)
        return batch

    def _normalised(self, images: Tensor, batch: Batch) -> Batch:
        return batch.with_image(self._run.data.train.normalised(images))


def _samples(run: Run, least: int) -> tuple[Batch, Tensor | None]:
    """Return the samples, the classes in turn, and the pixels that the loader's augmentations start from, uint8."""
    train = run.data.train
    labels = train.labels.numpy()
    order = run.keys.generator("preview").permutation(len(labels))
    place = np.empty(len(order), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = np.arange(len(members))
    chosen = np.lexsort((labels, place))
    size = 4 * int(np.prod(run.job.manifest["modalities"]["image"]["shape"]))
    most = min(int((place < MOST_A_CLASS).sum()), MOST_BYTES // size)
    rows = torch.from_numpy(chosen[: max(least, most)])
    ids = train.ids[rows]
    if isinstance(train.images, torch.Tensor):
        return Batch({"image": train.take(ids)}, train.labels[rows], ids), None
    raw = torch.from_numpy(train.images.read(ids.numpy()))
    return Batch({"image": train.normalised(raw)}, train.labels[rows], ids), raw


def _name(label: str, normal: Mapping[str, Any]) -> str:
    """Return an augmentation's label, and what it wraps: `progressive of cutout`."""
    name, inner = label.removeprefix("augmentation "), _wrapped(normal)
    while inner is not None:
        name, inner = f"{name} of {inner['name']}", _wrapped(inner)
    return name


def _wrapped(normal: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = (value for value in normal["params"].values() if isinstance(value, dict))
    return next((value for value in found if "name" in value and "params" in value), None)


def _equal(one: Batch, other: Batch) -> bool:
    return torch.equal(one.image, other.image) and torch.equal(one.target, other.target)


def mixed_shares(targets: Array, labels: Array) -> list[list[tuple[int, float]]]:
    """Return for each sample the classes that it holds a share of, the largest first; empty where it is still itself.

    Args:
        targets: float (n, K), rows that sum to one.
        labels: int64 (n,), the class of each sample before.
    """
    told: list[list[tuple[int, float]]] = []
    for row, label in zip(targets, labels, strict=True):
        held = [
            (int(index), float(row[index]))
            for index in np.argsort(-row, kind="stable")
            if row[index] >= 0.005
        ]
        told.append([] if len(held) == 1 and held[0][0] == label else held)
    return told

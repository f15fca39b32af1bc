"""What each augmentation of an arm costs: its batch function timed alone, on what it is handed in a step.

Seconds of a batch, by windows in which the augmentations take turns, so that a machine that drifts slows all of
them; the median over the windows. On a GPU a window is timed by events: where the host needs longer to launch the
kernels than the device to run them, that is what is told. In a step the host runs ahead, and may lose less.

With s the seconds of a whole step, B the batch and a the seconds that the step loses to an augmentation:

    step_share = a / s        images_per_second_lost = B / (s - a) - B / s

On the device a is the seconds of a batch. So it is in the loader, where the trial's own process makes the batches;
with W workers they are made while the device works, and a is what is waited for, at most 1 / W of the batch's seconds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.loader_fetch import Wanted

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract import Batch
    from harness.engine.run import Run

WINDOWS = 5
WINDOW_SECONDS = 0.02
MOST_CALLS = 1000


@dataclass(frozen=True, slots=True)
class Timed:
    """An augmentation as it is timed.

    Attributes:
        label: "augmentation mixup".
        placement: "device" or "loader".
        call: Makes one batch.
        device: Where it works.
    """

    label: str
    placement: str
    call: Callable[[], object]
    device: torch.device


def augmentation_costs(
    run: Run, batch: Batch, step_seconds: float, waited_share: float
) -> list[dict[str, Any]]:
    """Return what each augmentation costs, in the order in which they act; empty where there is none.

    Args:
        run: The trial, standing where its steady windows ended.
        batch: A batch as it comes from the loader, before any function of the step.
        step_seconds: What a whole step takes.
        waited_share: The share of it in which data was waited for.

    Returns:
        `{label, placement, seconds_per_batch, step_share, images_per_second_lost}` each; the last is null where
        the augmentation alone took as long as the step.
    """
    timed = [*_in_loader(run, batch), *_on_device(run, batch)]
    costs = []
    for one, seconds in zip(timed, _seconds(timed), strict=True):
        lost = seconds
        if one.placement == "loader" and run.loader.workers:
            lost = min(seconds / run.loader.workers, waited_share * step_seconds)
        costs.append(
            {
                "label": one.label,
                "placement": one.placement,
                "seconds_per_batch": seconds,
                "step_share": lost / step_seconds,
                "images_per_second_lost": images_lost(run.batch_size, step_seconds, lost),
            }
        )
    return costs


def images_lost(batch_size: int, step_seconds: float, lost_seconds: float) -> float | None:
    """Return by how many images a second training would be faster without `lost_seconds` of each step."""
    if lost_seconds >= step_seconds:
        return None
    return batch_size / (step_seconds - lost_seconds) - batch_size / step_seconds


def _on_device(run: Run, batch: Batch) -> list[Timed]:
    timed: list[Timed] = []
    count = sum(label.startswith("augmentation ") for label in run.batch_labels)
    for label, function in zip(run.batch_labels, run.step.batch_functions, strict=True):
        if len(timed) == count:
            break  # a trick's function behind the last augmentation may be dear
        if label.startswith("augmentation "):
            timed.append(Timed(label, "device", _bound(function, batch), run.device))
        batch = function(batch)
    return timed


def _in_loader(run: Run, batch: Batch) -> list[Timed]:
    augmenter, source = run.loader.augmenter, run.data.train.images
    if augmenter is None or not augmenter.functions or isinstance(source, torch.Tensor):
        return []
    ids = batch.ids.cpu().numpy()
    wanted = Wanted(run.moment.step, run.moment.epoch, run.moment.index, ids)
    augmenter.begin(wanted)
    images = torch.from_numpy(source.read(ids))
    timed: list[Timed] = []
    for label, function in augmenter.functions:

        def call(
            images: Tensor = images, label: str = label, function: Callable[[Batch], Batch] = function
        ) -> Tensor:
            with torch.no_grad():
                return augmenter.apply(label, function, images, wanted)

        timed.append(Timed(label, "loader", call, torch.device("cpu")))
        images = call()
    return timed


def _bound(function: Callable[[Batch], Batch], batch: Batch) -> Callable[[], Batch]:
    return lambda: function(batch)


def _seconds(timed: list[Timed]) -> list[float]:
    """Return the seconds of a call of each, the median over windows in which they take turns."""
    counts = []
    for one in timed:
        _window(one, 1)  # the first call may allocate and choose kernels
        once = _window(one, 1)
        counts.append(min(MOST_CALLS, max(1, math.ceil(WINDOW_SECONDS / max(once, 1e-9)))))
    windows = [
        [_window(one, count) / count for one, count in zip(timed, counts, strict=True)]
        for _ in range(WINDOWS)
    ]
    return [statistics.median(column) for column in zip(*windows, strict=True)]


def _window(one: Timed, count: int) -> float:
    if one.device.type != "cuda":
        begun = perf_counter()
        for _ in range(count):
            one.call()
        return perf_counter() - begun
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(count):
        one.call()
    last.record()
    torch.cuda.synchronize(one.device)
    return float(first.elapsed_time(last)) / 1000

"""An epoch's batches from any start, in whichever way they reach the device; and the seconds waited for them.

    resident    the split is on the device, and a batch is gathered there
    memory      rows of a memory-mapped array, gathered and augmented on the host
    stream      as memory, and decoded there as well

On the host, batches come from workers (torch's DataLoader, one message for a whole batch) or from this process.
One set of workers serves a whole training: the order that it follows goes on from one epoch into the next, so
that nothing waits at an epoch's beginning; where a step is asked for that is not the next one, it starts anew.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from time import perf_counter  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING

import numpy as np
import torch

from harness.contract import Batch
from harness.engine.contract_check import check_order
from harness.engine.loader_fetch import Augmenter, Fetch, Setting, Wanted
from harness.engine.loader_workers import Workers

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract import Sampler
    from harness.engine.data import Array, Part
    from harness.engine.foundation import Foundation
    from harness.engine.keys import Keys


FEW_SAMPLES = 512
"""A part of fewer is decoded for evaluation by the trial itself: to start workers would take longer."""


class Orders:
    """The order of each epoch: computed once, also where a loader reads ahead into the next."""

    def __init__(self, sampler: tuple[str, Sampler], train: Part, keys: Keys) -> None:
        self._sampler, self._keys = sampler, keys
        self._labels, self._ids = train.labels.cpu().numpy().copy(), train.ids.cpu().numpy()
        self._known: dict[int, Array] = {}

    def positions(self, epoch: int) -> Array:
        """Return positions among the training samples, int64 (n,).

        Raises:
            ContractError: Where the sampler gives something else.
        """
        if epoch not in self._known:
            label, sampler = self._sampler
            order = sampler.order(self._labels, self._keys.generator("order", epoch))
            check_order(label, order, len(self._labels))
            self._known = {known: o for known, o in self._known.items() if abs(known - epoch) == 1}
            self._known[epoch] = np.ascontiguousarray(order, dtype=np.int64)
        return self._known[epoch]

    def ids(self, epoch: int) -> Array:
        """Return the samples' ids in the order of an epoch, int64 (n,)."""
        ids: Array = self._ids[self.positions(epoch)]
        return ids


class Loader:
    """How a trial's samples reach its device.

    Attributes:
        mode: "resident", "memory" or "stream".
        workers: Processes beside the trial's own that read and augment.
        reason: Why this mode.
        waited_seconds: What the steps waited for their batches so far, on the host.
        orders: The order of each epoch.
        placed: Labels of the augmentations that run in it, in their order.
        augmenter: What applies them; None where the split is on the device.
        cycles: Whether the order begins anew after the last step of the budget (the timing pass goes on).
    """

    def __init__(self, base: Foundation, orders: Orders) -> None:
        data, recipe = base.data, base.recipe
        self.mode, self.workers, self.reason = data.choice.mode, data.choice.workers, data.choice.reason
        self.waited_seconds = 0.0
        self.cycles = False
        self.orders = orders
        self._data, self._size = data, recipe["batch_size"]
        self._steps_per_epoch, self._total_steps = base.steps_per_epoch, base.total_steps
        self._setting = Setting(
            base.job.to_json(),
            self.mode,
            data.samples,
            base.steps_per_epoch,
            base.total_steps,
            base.class_counts,
        )
        self.placed: list[str] = []
        self._fetch: Fetch | None = None
        self.augmenter: Augmenter | None = None
        if not isinstance(data.train.images, torch.Tensor):
            self.augmenter = Augmenter(self._setting, base.registry, data.labels)
            self._fetch = Fetch(self._setting, "train", data.train.images, self.augmenter)
            self.placed = [label for label, _ in self.augmenter.functions]
        self._workers: Workers | None = None
        self._next_step = 0
        self._copies = torch.cuda.Stream(data.device) if data.device.type == "cuda" else None

    def batches(self, epoch: int, start: int, ids: Tensor, labels: Tensor) -> Iterator[Batch]:
        """Yield the batches of an epoch from the one at place `start` on, every one full, on the device.

        Args:
            epoch: From 0.
            start: Place in the epoch, from 0.
            ids: int64 (n,), the samples of the epoch in its order.
            labels: int64 (n,), theirs.
        """
        first = start * self._size
        if self._fetch is None:
            batches = self._data.train.batches(ids[first:], labels[first:], self._size)
        else:
            step = epoch * self._steps_per_epoch + start
            batches = self._read_ahead(self._fetch, step, ids[first:], labels[first:])
        while True:
            begun = perf_counter()
            batch = next(batches, None)
            self.waited_seconds += perf_counter() - begun
            if batch is None:
                return
            yield batch

    def evaluated(self, part: Part, size: int) -> Generator[tuple[Tensor, Tensor]]:
        """Yield the images, normalised on the device, and the ids of a part: every sample once, in order.

        Nothing is left over of what this started.
        """
        chunks = part.ids.split(size)
        few = len(part) < FEW_SAMPLES
        if few or self.mode != "stream" or not self.workers or isinstance(part.images, torch.Tensor):
            yield from ((part.take(ids), ids) for ids in chunks)
            return
        split = "test" if part.images is not self._data.train.images else "train"
        fetch = Fetch(self._setting, split, part.images, None)
        wanted = (Wanted(0, 0, index, ids.cpu().numpy()) for index, ids in enumerate(chunks))
        workers = Workers(fetch, wanted, min(self.workers, len(chunks)), pinned=self._copies is not None)
        try:
            for ids, images in zip(chunks, workers, strict=True):
                yield part.normalised(self._to_device(images)), ids
        finally:
            workers.close()

    @property
    def pipeline(self) -> str:
        """What it does ahead of a step, as a line of the pipeline's text; empty where it is nothing."""
        return f"loader: {' -> '.join(self.placed)}\n" if self.placed else ""

    def close(self) -> None:
        """End the workers, where there are any."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def _read_ahead(self, fetch: Fetch, step: int, ids: Tensor, labels: Tensor) -> Iterator[Batch]:
        full = ids.shape[0] // self._size * self._size
        for some, target in zip(ids[:full].split(self._size), labels[:full].split(self._size), strict=True):
            if self._workers is None or self._next_step != step:
                self.close()
                pinned = self._copies is not None
                self._workers = Workers(fetch, self._wanted(step), self.workers, pinned=pinned)
            images = self._to_device(next(self._workers))
            step += 1
            self._next_step = step
            if step == self._total_steps:
                if self.cycles:
                    self._next_step = 0
                else:
                    self.close()
            yield Batch({"image": self._data.train.normalised(images)}, target, some)

    def _wanted(self, step: int) -> Iterator[Wanted]:
        while step < self._total_steps:
            epoch, index = divmod(step, self._steps_per_epoch)
            ids = self.orders.ids(epoch)[index * self._size : (index + 1) * self._size]
            yield Wanted(step, epoch, index, ids)
            step += 1
            if step == self._total_steps and self.cycles:
                step = 0

    def _to_device(self, images: Tensor) -> Tensor:
        """Copy to the device on a stream of its own: it goes on while the device works on earlier steps."""
        if self._copies is None:
            return images
        with torch.cuda.stream(self._copies):
            rows = images.to(self._data.device, non_blocking=True)
        current = torch.cuda.current_stream(self._data.device)
        current.wait_stream(self._copies)
        rows.record_stream(current)  # its memory is the copying stream's, and may not be given away yet
        return rows

"""Decoded images kept in memory, up to a limit."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from harness.contract import Dataset, Images, Prepared, Split

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Cache(Dataset):
    """Another dataset whose training images, once decoded, are kept in memory; the least recently read leave first.

    For a suite with `[loader] mode = "stream"`, where images are decoded in every epoch: data that fits the disk is
    decoded there once without this (`memory`, the default), and decoded arrays pass through as they are. The samples
    are the same in any case.

    Every process that reads has a cache of its own: with W workers the limit holds W times. It pays where nearly
    all of what a process reads fits: with an order that is drawn anew in each epoch, a single process that can keep
    a share f of the images finds `f + (1 - f) ln(1 - f)` of them, 15 % at a half and 67 % at nine tenths.

    Not where the images fit the disk once decoded, nor where a small share of them fits the memory.

    Attributes:
        of: The dataset.
        limit_bytes: Bytes of pixels that a process keeps; a small image takes some 200 bytes more.
    """

    of: Dataset
    limit_bytes: Annotated[int, Ge(1)] = 2**30

    def __post_init__(self) -> None:
        # the data are the whole's own; the instance is frozen
        object.__setattr__(self, "licence", self.of.licence)
        object.__setattr__(self, "changes_label", self.of.changes_label)

    def prepare(self, root: Path | None) -> Prepared:
        """Return both splits; the test split is read once a trial, and is not kept.

        Raises:
            FileNotFoundError: As the dataset itself.
            ValueError: As the dataset itself, and where not one image fits `limit_bytes`.
        """
        whole = self.of.prepare(root)
        train = whole.train
        inputs = {
            name: CachedImages(array, self.limit_bytes) if isinstance(array, Images) else array
            for name, array in train.inputs.items()
        }
        return replace(whole, train=Split(inputs, train.labels, train.sources))


class CachedImages(Images):
    """Images of which those read last are kept, decoded, in each process by itself.

    Several threads may read at once: two that want the same absent image both decode it.

    Args:
        of: The images.
        limit_bytes: Bytes of pixels that are kept.

    Attributes:
        hits: Images that were found, in this process.
        misses: Images that were decoded, in this process.

    Raises:
        ValueError: Where not one image fits.
    """

    def __init__(self, of: Images, limit_bytes: int) -> None:
        self.skip_damaged, self.decode_once = of.skip_damaged, of.decode_once
        each = of.nbytes // max(1, len(of))
        if each > limit_bytes:
            raise ValueError(f"cache: limit_bytes = {limit_bytes:,} holds no image of {each:,} bytes")
        self._of = of
        self._each, self._most = each, limit_bytes // max(1, each)
        self._begin()

    def _begin(self) -> None:
        # Made anew after a fork: a thread of the parent may have held the lock.
        self._lock = Lock()
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self.hits = self.misses = 0
        self._process = os.getpid()  # last: another thread goes on when it sees it

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, C, H, W."""
        return self._of.shape

    @property
    def held_bytes(self) -> int:
        """Bytes of pixels that this process keeps."""
        return len(self._kept) * self._each

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows, of which those that are not kept are decoded, each once.

        Raises:
            DamagedImage: As the images' own; so their other errors.
        """
        import numpy as np

        if self._process != os.getpid():
            self._begin()
        wanted: list[int] = rows.tolist()
        found = self._look_up(wanted)
        absent = [row for row in dict.fromkeys(wanted) if row not in found]
        if absent:
            decoded = self._of.read(np.array(absent, np.int64))
            # Copies: what is kept would otherwise keep its whole batch alive.
            found |= {row: image.copy() for row, image in zip(absent, decoded, strict=True)}
        self._keep(wanted, found, len(absent))
        images = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        for place, row in enumerate(wanted):
            images[place] = found[row]
        return images

    def _look_up(self, wanted: list[int]) -> dict[int, np.ndarray]:
        with self._lock:
            return {row: self._kept[row] for row in wanted if row in self._kept}

    def _keep(self, wanted: list[int], found: dict[int, np.ndarray], decoded: int) -> None:
        with self._lock:
            self.misses += decoded
            self.hits += len(wanted) - decoded
            for row in wanted:
                self._kept[row] = found[row]
                self._kept.move_to_end(row)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

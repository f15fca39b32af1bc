"""Images decoded to disk once and mapped into memory, however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract import Dataset, Images, Prepared, Split

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class MemoryMap(Dataset):
    """Another dataset that is decoded to disk once, and read from there through the system's page cache.

    Without this the harness decodes to disk what takes up to 20 GiB and half of the disk's free room, and leaves
    what is larger as published, to be decoded in every epoch. With it, everything is decoded, unless the suite asks
    for `[loader] mode = "stream"`; what does not fit the disk is refused with the bytes that it takes. Decoded arrays
    pass through: they are mapped as it is. The samples are the same in any case.

    Not on a disk that is slower than decoding: ImageNet at 224 x 224 takes 193 GB, and a shuffled order reads from
    all over it.

    Attributes:
        of: The dataset.
    """

    of: Dataset

    def __post_init__(self) -> None:
        # the data are the whole's own; the instance is frozen
        object.__setattr__(self, "licence", self.of.licence)
        object.__setattr__(self, "changes_label", self.of.changes_label)

    def prepare(self, root: Path | None) -> Prepared:
        """Return both splits; errors are the dataset's own."""
        whole = self.of.prepare(root)
        train, test = (
            Split(decoded_once(split.inputs), split.labels, split.sources)
            for split in (whole.train, whole.test)
        )
        return replace(whole, train=train, test=test)


def decoded_once(inputs: Mapping[str, np.ndarray | Images]) -> dict[str, np.ndarray | Images]:
    """Return inputs whose images say that they are decoded to disk; those that came in are left as they are."""
    marked = dict(inputs)
    for name, array in inputs.items():
        if isinstance(array, Images):
            selection = array[:]
            selection.decode_once = True
            marked[name] = selection
    return marked

"""Datasets: decoded once into arrays and opened by memory map ever after, or decoded as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np


class DamagedImage(ValueError):
    """An image that cannot be decoded.

    Attributes:
        row: Its row in the `Images` that was asked to read it.
    """

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


class Images:
    """Images that are decoded when they are read: the rows of a split, in a fixed order.

    Processes are forked while one is in use: open files by process, at the first `read`, and keep nothing that a
    fork would share (a file's position). It is never written to disk.

    Attributes:
        skip_damaged: Whether the harness leaves out what raises `DamagedImage`, and lists it in the manifest,
            rather than refuse the data: the dataset's stated policy, the same for all arms.
        decode_once: Whether they are decoded to disk and mapped into memory however large they are, unless the suite
            asks for `stream`.
    """

    skip_damaged: bool = False
    decode_once: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of images, channels (1 or 3), height, width: known without decoding them all."""
        raise NotImplementedError

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Decode some rows, the same bits each time.

        Args:
            rows: int64 (n,), in any order.

        Returns:
            uint8 (n, C, H, W), in the order of `rows`.

        Raises:
            DamagedImage: Naming the file, and the row where there is one, and what is wrong with it.
            ValueError: Naming a file that is damaged as a whole, or an image of another size.
        """
        raise NotImplementedError

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """The type of the pixels, uint8."""
        import numpy as np

        return np.dtype(np.uint8)

    @property
    def nbytes(self) -> int:
        """The size once decoded."""
        count, channels, height, width = self.shape
        return count * channels * height * width

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | slice) -> Images:
        """Return a selection, which decodes nothing: by rows, int64 (n,), by bool (N,), or by a slice."""
        import numpy as np

        selected = np.arange(len(self))[rows]
        if selected.ndim != 1:
            raise TypeError("images are selected by an array of rows or by a slice, and read by `read`")
        return _Selection(self, selected)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return everything, decoded."""
        import numpy as np

        del copy
        decoded = self.read(np.arange(len(self)))
        return decoded if dtype is None else decoded.astype(dtype)


class _Selection(Images):
    """Some rows of other images."""

    def __init__(self, of: Images, rows: np.ndarray) -> None:
        self.skip_damaged, self.decode_once = of.skip_damaged, of.decode_once
        self._of, self._rows = of, rows

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self._rows), *self._of.shape[1:])

    def read(self, rows: np.ndarray) -> np.ndarray:
        wanted = self._rows[rows]
        try:
            return self._of.read(wanted)
        except DamagedImage as error:
            place = wanted.tolist().index(error.row)
            raise DamagedImage(int(rows[place]), str(error)) from error


@dataclass(frozen=True, slots=True)
class Split:
    """One split, decoded or yet to be.

    Attributes:
        inputs: By modality: `image` uint8 (N, C, H, W), C being 1 or 3, as an array or as `Images`.
        labels: int64 (N,), from 0 to the number of classes less one.
        sources: int64 (N,), for a training split that holds several versions of one image: the number of the image
            that each was made from. Versions of one image are never on both sides of a validation split, and of
            those on the validation side only the first is there.
    """

    inputs: Mapping[str, np.ndarray | Images]
    labels: np.ndarray
    sources: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """All of a dataset.

    Attributes:
        train: What is trained on; the harness carves the validation split out of it, by class.
        test: What is read once a trial, at its end, by the harness.
        classes: The classes' names, in the order of their labels.
        skipped: Files left out by a stated policy, each with its reason; they go into the manifest.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class DataInfo:
    """What a backbone has to know of the data.

    Attributes:
        num_classes: Number of classes.
        shapes: By modality, the shape of one sample: `image` (C, H, W).
    """

    num_classes: int
    shapes: Mapping[str, tuple[int, ...]]


class Dataset:
    """Base of every dataset plugin: a frozen dataclass whose fields are its parameters.

    Class variables:
        licence: The data's licence, as its publisher states it.
        changes_label: Names of augmentations that would change what a label means (a flipped 2 is no 2);
            `harness check` warns of them.
        several_versions: Whether its training split gives `Split.sources`. A dataset around it has to give them on,
            and is refused where it does not.
    """

    licence: ClassVar[str] = "unknown"
    changes_label: ClassVar[frozenset[str]] = frozenset()
    several_versions: ClassVar[bool] = False

    def prepare(self, root: Path | None) -> Prepared:
        """Return everything: decoded, or as `Images`. Torch may not be imported.

        What is decoded here is decoded once for each set of parameters, and kept while the files that were opened
        and the folders that were listed are as they were. A file that a library opens by itself, in a folder that
        is not listed, is told by `sys.audit("open", path, "rb", os.O_RDONLY)`. With `Images` this is called by
        every process that reads them as well: it has to be cheap then (list files, read labels), and to give the
        same rows each time.

        Args:
            root: The data root (`--data` or `HARNESS_DATA`), or None where none is set.

        Raises:
            FileNotFoundError: With the path that was looked for and where to get the data.
            ValueError: With the name of the file that is damaged and what is wrong with it.
        """
        raise NotImplementedError

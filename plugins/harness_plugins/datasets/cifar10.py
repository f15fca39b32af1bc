"""CIFAR-10, from any of its three usual layouts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.image_rows import find, read_rows

if TYPE_CHECKING:
    import numpy as np

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_COUNT, TEST_COUNT = 50_000, 10_000
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
VALUES = 3 * 32 * 32
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))


@dataclass(frozen=True)
class Cifar10(Dataset):
    """CIFAR-10: 60,000 natural images in ten classes, 50,000 to train on and 10,000 to test on.

    Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". Image uint8 (N, 3, 32, 32),
    labels in the official order. The first of these that is there is read, from the data root's folder
    `cifar10` or, but for Parquet, from the data root itself:

    - `cifar-10-batches-py/`: the official Python archive, as torchvision unpacks it. Its pickles are read
      by an unpickler that can make arrays of bytes and nothing else.
    - `cifar-10-batches-bin/`: the official binary archive.
    - `cifar10/train-*.parquet` and `test-*.parquet`, or the same in `cifar10/plain_text/`: the Hugging Face
      hub's files (columns `img`, `label`).

    Layouts differ in the order of the samples, so a manifest differs as well. Train and test are known to
    hold near-duplicates (Barz and Denzler 2020), which are left in: not for claims about memorising.
    """

    licence = "none stated; its author asks to cite Krizhevsky 2009"

    def prepare(self, root: Path | None) -> Prepared:
        """Decode both splits.

        Raises:
            FileNotFoundError: Where no layout is found.
            ValueError: Where a file is damaged, or a split has not the official count.
        """
        if root is None:
            raise FileNotFoundError("cifar10: no data root is set; give --data or HARNESS_DATA")
        places = [(base / name, read) for base in (root / "cifar10", root) for name, read in ARCHIVES.items()]
        places += [(root / "cifar10", read_parquet), (root / "cifar10" / "plain_text", read_parquet)]
        for folder, read in places:
            if folder.is_dir() and (read is not read_parquet or any(folder.glob("train-*.parquet"))):
                train, test = read(folder)
                break
        else:
            looked = ", ".join(str(folder) for folder, _ in places)
            raise FileNotFoundError(
                f"cifar10: found nothing at {looked}; unpack there an archive of {SOURCE}"
            )
        for name, split, count in (("training", train, TRAIN_COUNT), ("test", test, TEST_COUNT)):
            if len(split.labels) != count:
                raise ValueError(f"{folder}: {len(split.labels)} {name} images, CIFAR-10 has {count}")
        return Prepared(train, test, CLASSES)


def read_pickles(folder: Path) -> tuple[Split, Split]:
    """Read the official Python archive."""
    import numpy as np

    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        path = folder / name
        try:
            with path.open("rb") as file:
                content = ArrayUnpickler(file, encoding="bytes").load()
            data, labels = content[b"data"], np.asarray(content[b"labels"])
        except FileNotFoundError:
            raise
        except Exception as error:  # a damaged pickle makes the unpickler raise nearly anything
            raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(labels), VALUES):
            raise ValueError(f"{path}: expected uint8 ({len(labels)}, {VALUES}) under the key data")
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError(f"{path}: expected a list of whole numbers under the key labels")
        return data, labels

    return join([read(name) for name in TRAIN_FILES]), join([read("test_batch")])


def read_binary(folder: Path) -> tuple[Split, Split]:
    """Read the official binary archive: rows of one byte of label and 3,072 bytes of pixels."""
    import numpy as np

    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        path = folder / f"{name}.bin"
        content = np.fromfile(path, np.uint8)
        if content.size % (1 + VALUES):
            raise ValueError(f"{path}: {content.size} bytes, not a multiple of {1 + VALUES}: it is truncated")
        rows = content.reshape(-1, 1 + VALUES)
        return rows[:, 1:], rows[:, 0]

    return join([read(name) for name in TRAIN_FILES]), join([read("test_batch")])


def read_parquet(folder: Path) -> tuple[Split, Split]:
    """Read the hub's Parquet files."""
    import numpy as np

    def read(pattern: str) -> Split:
        rows = read_rows(folder, find(folder, ".", pattern), ("img", "label"), None, skip_damaged=False)
        if rows.declared and rows.declared != CLASSES:
            raise ValueError(f"{folder / pattern}: the classes are {rows.declared}, expected {CLASSES}")
        if rows.image.shape[1:] != (3, 32, 32):
            raise ValueError(f"{folder / pattern}: images {rows.image.shape[1:]}, expected (3, 32, 32)")
        return Split({"image": rows.image}, np.array(rows.labels, np.int64))

    return read("train-*.parquet"), read("test-*.parquet")


ARCHIVES: dict[str, Callable[[Path], tuple[Split, Split]]] = {
    "cifar-10-batches-py": read_pickles,
    "cifar-10-batches-bin": read_binary,
}


def join(parts: list[tuple[np.ndarray, np.ndarray]]) -> Split:
    """Return a split from parts of (pixels uint8 (n, 3072), labels (n,))."""
    import numpy as np

    image = np.concatenate([data for data, _ in parts]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([labels for _, labels in parts]).astype(np.int64)
    return Split({"image": image}, labels)


class ArrayUnpickler(pickle.Unpickler):
    """Reads the containers, bytes and arrays of the official files; refuses to call anything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return our own stand-in for each of the three names in a pickled array.

        Raises:
            pickle.UnpicklingError: For every other name.
        """
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return empty_array
        if (module, name) == ("numpy", "ndarray"):
            return None  # only ever an argument of `_reconstruct`, which does not look at it
        if (module, name) == ("numpy", "dtype"):
            return byte_type
        raise pickle.UnpicklingError(
            f"it would call {module}.{name}, which is refused: this is no CIFAR-10 file"
        )


def empty_array(kind: object, shape: object, code: object) -> np.ndarray:
    """Stand in for numpy's `_reconstruct`: an empty array, which the pickle's state then fills."""
    import numpy as np

    del kind, shape, code
    return np.ndarray((0,), np.uint8)


def byte_type(code: object, *_: object) -> np.dtype[Any]:
    """Stand in for `numpy.dtype`, for bytes alone.

    Raises:
        pickle.UnpicklingError: For every other type of element.
    """
    import numpy as np

    if code not in ("u1", b"u1"):
        raise pickle.UnpicklingError(f"an array of {code!r}, expected bytes (u1)")
    return np.dtype(np.uint8, copy=True)

"""CIFAR-100, from torchvision's layout or the hub's Parquet files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.cifar10 import ArrayUnpickler
from harness_plugins.datasets.image_rows import find, read_rows
from harness_plugins.datasets.torchvision_download import download

CLASS_COUNT = {"fine": 100, "coarse": 20}
TRAIN_COUNT, TEST_COUNT = 50_000, 10_000
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
VALUES = 3 * 32 * 32
FOLDER = "cifar-100-python"

Found = tuple[Split, Split, tuple[str, ...]]
"""Training split, test split, and the names of the classes."""


@dataclass(frozen=True)
class Cifar100(Dataset):
    """CIFAR-100: 60,000 natural images, 50,000 to train on and 10,000 to test on, 600 of each of 100 classes.

    Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". Image uint8 (N, 3, 32, 32); classes in
    the official order, which is that of their names. The first of these that is there is read, from the data root's
    folder `cifar100` or, but for Parquet, from the data root itself:

    - `cifar-100-python/`: the official Python archive, as torchvision unpacks it. Its pickles are read by an
      unpickler that can make arrays of bytes and nothing else.
    - `cifar100/train-*.parquet` and `test-*.parquet`, or the same in `cifar100/cifar100/`: the Hugging Face hub's
      files (columns `img`, `fine_label`, `coarse_label`).

    Layouts may differ in the order of the samples, and then the manifest does as well. Train and test are known to
    hold near-duplicates (Barz and Denzler 2020), which are left in: not for claims about memorising.

    Attributes:
        labels: "fine": the 100 classes; "coarse": their 20 superclasses, five of them in each.
        download: Have torchvision bring the official archive into `<data root>/cifar100` where no layout is there.
    """

    labels: Literal["fine", "coarse"] = "fine"
    download: bool = False

    licence = "none stated; its author asks to cite Krizhevsky 2009"

    def prepare(self, root: Path | None) -> Prepared:
        """Decode both splits.

        Raises:
            FileNotFoundError: Where no layout is found.
            OSError: Where a download fails.
            ValueError: Where a file is damaged, or a split has not the official count.
        """
        if root is None:
            raise FileNotFoundError("cifar100: no data root is set; give --data or HARNESS_DATA")
        place = find_layout(root)
        if place is None and self.download:
            download("CIFAR100", root / "cifar100", FOLDER)
            place = find_layout(root)
        if place is None:
            looked = ", ".join(str(folder) for folder, _ in layouts(root))
            raise FileNotFoundError(
                f"cifar100: found nothing at {looked}; unpack there the Python archive of {SOURCE}, or say "
                "download = true"
            )
        folder, read = place
        train, test, classes = read(folder, self.labels)
        for name, split, count in (("training", train, TRAIN_COUNT), ("test", test, TEST_COUNT)):
            if len(split.labels) != count:
                raise ValueError(f"{folder}: {len(split.labels)} {name} images, CIFAR-100 has {count}")
        if len(classes) != CLASS_COUNT[self.labels]:
            raise ValueError(
                f"{folder}: {len(classes)} {self.labels} classes, CIFAR-100 has {CLASS_COUNT[self.labels]}"
            )
        return Prepared(train, test, classes)


def layouts(root: Path) -> list[tuple[Path, Callable[[Path, str], Found]]]:
    """Return where a layout may lie, and what reads it."""
    base = root / "cifar100"
    return [
        (base / FOLDER, read_pickles),
        (root / FOLDER, read_pickles),
        (base, read_parquet),
        (base / "cifar100", read_parquet),
    ]


def find_layout(root: Path) -> tuple[Path, Callable[[Path, str], Found]] | None:
    """Return the first layout that is there, and what reads it."""
    for folder, read in layouts(root):
        if folder.is_dir() and (read is not read_parquet or any(folder.glob("train-*.parquet"))):
            return folder, read
    return None


def read_pickles(folder: Path, labels: str) -> Found:
    """Read the official Python archive; `labels` is "fine" or "coarse"."""
    (names,) = load(folder / "meta", f"{labels}_label_names")
    classes = tuple(_text(name, folder) for name in names)
    train, test = (_read_split(folder / name, f"{labels}_labels") for name in ("train", "test"))
    return train, test, classes


def _read_split(path: Path, key: str) -> Split:
    import numpy as np

    data, values = load(path, "data", key)
    labels = np.asarray(values)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(labels), VALUES):
        raise ValueError(f"{path}: expected uint8 ({len(labels)}, {VALUES}) under the key data")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: expected a list of whole numbers under the key {key}")
    return Split({"image": data.reshape(-1, 3, 32, 32)}, labels.astype(np.int64))


def _text(name: Any, folder: Path) -> str:
    if not isinstance(name, bytes):
        raise ValueError(f"{folder / 'meta'}: expected the names of classes as bytes, found {name!r}")
    return name.decode("ascii", "replace")


def load(path: Path, *keys: str) -> list[Any]:
    """Return what stands under some keys of a pickled mapping.

    Raises:
        FileNotFoundError: Where the file is not there.
        ValueError: Where it is damaged, or would call anything.
    """
    try:
        with path.open("rb") as file:
            content = OfficialUnpickler(file, encoding="bytes").load()
        return [content[key.encode()] for key in keys]
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged pickle makes the unpickler raise nearly anything
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error


class OfficialUnpickler(ArrayUnpickler):
    """CIFAR-10's, whose refusals name this set."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name in a pickled array.

        Raises:
            pickle.UnpicklingError: For every other name.
        """
        try:
            return super().find_class(module, name)
        except pickle.UnpicklingError:
            raise pickle.UnpicklingError(
                f"it would call {module}.{name}, which is refused: this is no CIFAR-100 file"
            ) from None


def read_parquet(folder: Path, labels: str) -> Found:
    """Read the hub's Parquet files; `labels` is "fine" or "coarse"."""

    def read(pattern: str) -> tuple[Split, tuple[str, ...]]:
        import numpy as np

        columns = ("img", f"{labels}_label")
        rows = read_rows(folder, find(folder, ".", pattern), columns, None, skip_damaged=False)
        if rows.image.shape[1:] != (3, 32, 32):
            raise ValueError(f"{folder / pattern}: images {rows.image.shape[1:]}, expected (3, 32, 32)")
        return Split({"image": rows.image}, np.array(rows.labels, np.int64)), rows.declared

    (train, classes), (test, test_classes) = read("train-*.parquet"), read("test-*.parquet")
    if classes != test_classes:
        raise ValueError(f"{folder}: the training and the test files name different classes")
    return train, test, classes

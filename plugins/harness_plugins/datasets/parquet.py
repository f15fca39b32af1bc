"""Image rows in the Hugging Face layout, from local Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, MinLen

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.image_rows import find, inspect
from harness_plugins.datasets.parquet_images import ParquetImages

if TYPE_CHECKING:
    import numpy as np

Size = tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Parquet(Dataset):
    """Images and labels from Parquet files, as the Hugging Face hub lays them out.

    The image column holds struct{bytes, path} or plain bytes; the bytes are a JPEG, PNG, WebP, BMP, GIF,
    TIFF or PPM file. Image uint8 (N, 3, H, W): turned upright by its EXIF tag and always RGB (grey and
    palette images are spread over three channels, CMYK is converted, of 16 bits the upper 8 are kept, alpha
    is dropped, of an animation the first frame is kept). All images have one size, or `size` says to which
    they are resized, whatever their proportions (bilinear, antialiased).

    The label column holds whole numbers, named by the hub's `features` in the file's schema or else by the
    column `<label_column>_name`, or strings, which are numbered in sorted order over both splits.

    Images are decoded when they are read: the harness decodes them once into its cache, or leaves them as they are
    and has them decoded in each epoch (`[loader] mode`).

    Damaged images are those of a file that is otherwise whole; a broken row group is refused in any case.

    Attributes:
        folder: Folder of the files, relative to the data root.
        train: Files of the training split, a glob relative to the folder, read in sorted order.
        test: Files of the test split, likewise.
        image_column: Column that holds the images.
        label_column: Column that holds the labels.
        size: Height and width to resize to; None asks that all images have one size.
        skip_damaged: Leave out images that cannot be decoded, for all arms alike, and list them in the
            manifest, rather than refuse the data.
    """

    folder: str = "."
    train: Annotated[str, MinLen(1)] = "train*.parquet"
    test: Annotated[str, MinLen(1)] = "test*.parquet"
    image_column: str = "image"
    label_column: str = "label"
    size: Size | None = None
    skip_damaged: bool = False

    def prepare(self, root: Path | None) -> Prepared:
        """Return both splits: labels, and images that are decoded when they are read.

        Raises:
            FileNotFoundError: Where no data root is set or no file matches.
            ValueError: Where a path leaves the data root, a file is damaged, or a column absent.
        """
        if root is None:
            raise FileNotFoundError("parquet: no data root is set; give --data or HARNESS_DATA")
        train, test = (find(root, self.folder, pattern) for pattern in (self.train, self.test))
        columns = (self.image_column, self.label_column)
        train_labels, test_labels = (read_labels(files, columns) for files in (train, test))
        train_images, test_images = (
            ParquetImages(root, files, self.image_column, self.size, self.skip_damaged)
            for files in (train, test)
        )
        if train_images.shape[1:] != test_images.shape[1:] and len(test_images):
            raise ValueError(
                f"images are {train_images.shape[2:]} in {self.train}, {test_images.shape[2:]} in {self.test} "
                "(height, width); give size = [height, width]"
            )
        classes, train_numbers, test_numbers = number_labels(train_labels, test_labels, self.label_column)
        return Prepared(
            train=Split({"image": train_images}, train_numbers),
            test=Split({"image": test_images}, test_numbers),
            classes=classes,
        )


@dataclass(frozen=True, slots=True)
class Labels:
    """The label column of one split.

    Attributes:
        labels: N whole numbers or N strings.
        names: N names that stand beside the labels; empty where no column holds any.
        declared: The classes' names by the schema's metadata; empty where it has none.
    """

    labels: list[Any]
    names: list[str]
    declared: tuple[str, ...]


def read_labels(files: Sequence[Path], columns: tuple[str, str]) -> Labels:
    """Read the labels of `files`, in order; the images are only looked for.

    Args:
        files: Parquet files.
        columns: The columns of the images and of the labels.

    Raises:
        ValueError: With file and row of what is damaged or absent.
    """
    import pyarrow
    from pyarrow import parquet

    (_, label, *beside), declared, _ = inspect(files, columns)
    labels: list[Any] = []
    names: list[str] = []
    for file in files:
        try:
            table = parquet.read_table(file, columns=[label, *beside], use_threads=False)
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f'{file}: column "{label}" is damaged ({error})') from error
        found = table.column(label).to_pylist()
        if None in found:
            raise ValueError(f'{file} row {found.index(None)}: no value in column "{label}"')
        labels += found
        names += table.column(beside[0]).to_pylist() if beside else []
    return Labels(labels, names, declared)


def number_labels(train: Labels, test: Labels, column: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return the classes' names and the labels of both splits, int64 (N,).

    Raises:
        ValueError: Where the labels are neither whole numbers nor strings, or their names contradict.
    """
    import numpy as np

    labels = train.labels + test.labels
    if all(isinstance(label, str) for label in labels):
        classes = tuple(sorted(set(labels)))
        number = {name: index for index, name in enumerate(classes)}
        train_numbers, test_numbers = ([number[label] for label in split.labels] for split in (train, test))
        return classes, np.array(train_numbers, np.int64), np.array(test_numbers, np.int64)
    if not all(isinstance(label, int) and not isinstance(label, bool) for label in labels):
        raise ValueError(f'column "{column}" holds neither whole numbers nor strings alone')
    if train.declared != test.declared:
        raise ValueError("the schemas of the training and the test files name different classes")
    classes = train.declared or names_beside(labels, train.names + test.names, column)
    return classes, np.array(train.labels, np.int64), np.array(test.labels, np.int64)


def names_beside(labels: list[int], names: list[str], column: str) -> tuple[str, ...]:
    """Return the classes' names from a column beside the labels, or their numbers where there is none.

    Raises:
        ValueError: Where one label has two names.
    """
    named: dict[int, str] = {}
    for label, name in zip(labels, names, strict=bool(names)):
        if named.setdefault(label, name) != name:
            raise ValueError(f'label {label} is both "{named[label]}" and "{name}" in "{column}_name"')
    return tuple(str(named.get(label, label)) for label in range(max(labels, default=-1) + 1))

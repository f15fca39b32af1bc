"""Image rows in the Hugging Face layout, from local Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, MinLen

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.image_rows import Rows, find, read_rows

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

    Not for more images than fit in memory once decoded.

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
        """Decode both splits.

        Raises:
            FileNotFoundError: Where no data root is set or no file matches.
            ValueError: Where a path leaves the data root, a file or image is damaged, or a column absent.
        """
        if root is None:
            raise FileNotFoundError("parquet: no data root is set; give --data or HARNESS_DATA")
        columns = (self.image_column, self.label_column)
        train, test = (
            read_rows(root, find(root, self.folder, pattern), columns, self.size, self.skip_damaged)
            for pattern in (self.train, self.test)
        )
        if train.image.shape[1:] != test.image.shape[1:] and len(test.image):
            raise ValueError(
                f"images are {train.image.shape[2:]} in {self.train}, {test.image.shape[2:]} in {self.test} "
                "(height, width); give size = [height, width]"
            )
        classes, train_labels, test_labels = number_labels(train, test, self.label_column)
        return Prepared(
            train=Split({"image": train.image}, train_labels),
            test=Split({"image": test.image}, test_labels),
            classes=classes,
            skipped=train.skipped + test.skipped,
        )


def number_labels(train: Rows, test: Rows, column: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return the classes' names and the labels of both splits, int64 (N,).

    Raises:
        ValueError: Where the labels are neither whole numbers nor strings, or their names contradict.
    """
    import numpy as np

    labels = train.labels + test.labels
    if all(isinstance(label, str) for label in labels):
        classes = tuple(sorted(set(labels)))
        number = {name: index for index, name in enumerate(classes)}
        train_numbers, test_numbers = ([number[label] for label in rows.labels] for rows in (train, test))
        return classes, np.array(train_numbers, np.int64), np.array(test_numbers, np.int64)
    if not all(isinstance(label, int) and not isinstance(label, bool) for label in labels):
        raise ValueError(f'column "{column}" holds neither whole numbers nor strings alone')
    if train.declared != test.declared:
        raise ValueError("the schemas of the training and the test files name different classes")
    names = train.declared or names_beside(labels, train.label_names + test.label_names, column)
    return names, np.array(train.labels, np.int64), np.array(test.labels, np.int64)


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

"""Image rows in the Hugging Face layout, from local Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, MinLen

from harness.contract import Dataset, Prepared, Split

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("WEBP", "PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM")
"""What is decoded, tried in this order. Not all that Pillow knows: EPS would start another program."""

ROWS_AT_ONCE = 1000

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


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one split.

    Attributes:
        image: uint8 (N, 3, H, W).
        labels: N whole numbers or N strings.
        label_names: N names that stand beside the labels; empty where no column holds any.
        declared: The classes' names by the schema's metadata; empty where it has none.
        skipped: The rows left out, each with its reason.
    """

    image: np.ndarray
    labels: list[Any]
    label_names: list[str]
    declared: tuple[str, ...]
    skipped: tuple[str, ...]


def find(root: Path, folder: str, pattern: str) -> list[Path]:
    """Return the files that match, sorted.

    Raises:
        ValueError: Where the path would leave the root.
        FileNotFoundError: Where nothing matches.
    """
    # by its spelling, because links inside the data root are the owner's own and may lead to another disk
    for part in (folder, pattern):
        path = PurePath(part)
        if path.is_absolute() or ".." in path.parts or "\0" in part:
            raise ValueError(f'"{part}" does not stay inside the data root; give a path relative to it')
    files = sorted(path for path in (root / folder).glob(pattern) if path.is_file())
    if not files:
        raise FileNotFoundError(f"no file matches {root / folder / pattern}")
    return files


def read_rows(
    root: Path,
    files: Sequence[Path],
    columns: tuple[str, str],
    size: tuple[int, int] | None,
    skip_damaged: bool,
) -> Rows:
    """Read and decode the rows of `files`, which lie under `root`.

    Args:
        root: What the names of skipped rows are relative to.
        files: Parquet files, in order.
        columns: The columns of the images and of the labels.
        size: Height and width to resize to, or None.
        skip_damaged: Whether to leave out images that cannot be decoded.

    Raises:
        ValueError: With file and row of what is damaged.
    """
    import numpy as np
    import pyarrow
    from pyarrow import parquet

    images: np.ndarray = np.zeros((0, 3, 0, 0), np.uint8)
    labels: list[Any] = []
    label_names: list[str] = []
    skipped: list[str] = []
    declared: list[tuple[str, ...]] = []
    for file in files:
        shown = file.relative_to(root).as_posix()
        try:
            with parquet.ParquetFile(file) as opened:
                schema = opened.schema_arrow
                for column in columns:
                    if column not in schema.names:
                        raise ValueError(f'no column "{column}"; there are {", ".join(schema.names)}')
                beside = [name for name in schema.names if name == f"{columns[1]}_name"]
                declared.append(declared_names(schema.metadata, columns[1]))
                for row, (cell, label, *name) in enumerate(rows_of(opened, [*columns, *beside])):
                    try:
                        image = decode(cell, size)
                    except ValueError as error:
                        if not skip_damaged:
                            raise ValueError(f"row {row}: {error}") from error
                        skipped.append(f"{shown} row {row}: {error}")
                        continue
                    if not labels:
                        images = np.empty((capacity, *image.shape), np.uint8)
                    if image.shape != images.shape[1:]:
                        raise ValueError(
                            f"row {row}: the image is {image.shape[1:]}, those before {images.shape[2:]} "
                            "(height, width); give size = [height, width]"
                        )
                    if label is None:
                        raise ValueError(f'row {row}: no value in column "{columns[1]}"')
                    images[len(labels)] = image
                    labels.append(label)
                    label_names += name
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{file}: {error}") from error
    if len(set(declared)) > 1:
        raise ValueError(f"{files[0].parent}: the files' schemas name different classes")
    return Rows(images[: len(labels)], labels, label_names, declared[0], tuple(skipped))


def rows_of(opened: Any, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the cells of `columns`, row by row, of an open `pyarrow.parquet.ParquetFile`."""
    for batch in opened.iter_batches(ROWS_AT_ONCE, columns=columns):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def declared_names(metadata: dict[bytes, bytes] | None, column: str) -> tuple[str, ...]:
    """Return the classes that the hub's metadata names for a column; none where it does not."""
    import json

    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        return tuple(str(name) for name in feature["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def decode(cell: Any, size: tuple[int, int] | None) -> np.ndarray:
    """Return an image as uint8 (3, H, W).

    Args:
        cell: What stands in the image column: bytes, or a mapping with the key "bytes".
        size: Height and width to resize to, or None.

    Raises:
        ValueError: Where there is no image in it, or a damaged one; the text is the same on every machine.
    """
    from io import BytesIO

    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes) or not data:
        raise ValueError("no image bytes")
    try:
        image: Image.Image = Image.open(BytesIO(data), formats=FORMATS)
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("I", "F"):
            raise ValueError(f"32-bit pixels (mode {image.mode}), whose range is not known")
        image = image.convert("RGB")
        if size is not None:
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    except UnidentifiedImageError:
        # Pillow's own text holds the address of an object
        raise ValueError(f"not an image in a known format ({', '.join(FORMATS)})") from None
    except Exception as error:  # decoders raise all kinds of errors on damaged bytes
        raise ValueError(f"damaged image ({type(error).__name__}: {error})") from error
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


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

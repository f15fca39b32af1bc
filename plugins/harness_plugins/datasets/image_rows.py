"""Rows of images and labels from Parquet files, decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("WEBP", "PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM")
"""What is decoded, tried in this order. Not all that Pillow knows: EPS would start another program."""

ROWS_AT_ONCE = 1000


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

    wanted, declared, count = inspect(files, columns)
    images = np.zeros((0, 3, 0, 0), np.uint8)
    labels: list[Any] = []
    label_names: list[str] = []
    skipped: list[str] = []
    for file, row, (cell, label, *name) in rows_of(files, wanted):
        try:
            image = decode(cell, size)
        except ValueError as error:
            if not skip_damaged:
                raise ValueError(f"{file} row {row}: {error}") from error
            skipped.append(f"{file.relative_to(root).as_posix()} row {row}: {error}")
            continue
        if not labels:
            images = np.empty((count, *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise ValueError(
                f"{file} row {row}: the image is {image.shape[1:]}, those before {images.shape[2:]} "
                "(height, width); give size = [height, width]"
            )
        if label is None:
            raise ValueError(f'{file} row {row}: no value in column "{columns[1]}"')
        images[len(labels)] = image
        labels.append(label)
        label_names += name
    return Rows(images[: len(labels)], labels, label_names, declared, tuple(skipped))


def inspect(files: Sequence[Path], columns: tuple[str, str]) -> tuple[list[str], tuple[str, ...], int]:
    """Return the columns to read, the classes that the schemas name, and the number of rows.

    Raises:
        ValueError: Where a file is no Parquet file or lacks a column, or two name different classes.
    """
    import pyarrow
    from pyarrow import parquet

    wanted = list(columns)
    declared: dict[tuple[str, ...], Path] = {}
    count = 0
    for file in files:
        try:
            metadata = parquet.read_metadata(file)
            schema = metadata.schema.to_arrow_schema()
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{file}: not a readable Parquet file ({error})") from error
        beside = f"{columns[1]}_name"
        if file == files[0] and beside in schema.names:
            wanted.append(beside)
        for column in wanted:
            if column not in schema.names:
                raise ValueError(f'{file}: no column "{column}"; there are {", ".join(schema.names)}')
        declared.setdefault(declared_names(schema.metadata, columns[1]), file)
        count += metadata.num_rows
    if len(declared) > 1:
        raise ValueError(f"the schemas of {' and '.join(map(str, declared.values()))} name different classes")
    return wanted, next(iter(declared)), count


def rows_of(files: Sequence[Path], columns: list[str]) -> Iterator[tuple[Path, int, tuple[Any, ...]]]:
    """Yield each row's file, its number in that file, and the cells of `columns`.

    Raises:
        ValueError: Where a file is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    for file in files:
        try:
            row = 0
            with parquet.ParquetFile(file) as opened:
                for batch in opened.iter_batches(ROWS_AT_ONCE, columns=columns):
                    for cells in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                        yield file, row, cells
                        row += 1
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{file}: damaged from row {row} on ({error})") from error


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

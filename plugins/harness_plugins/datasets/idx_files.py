"""The idx format of MNIST and its kin, in torchvision's layout."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from harness.contract import Prepared, Split
from harness_plugins.datasets.torchvision_download import download as download_set

if TYPE_CHECKING:
    import numpy as np

COUNTS = {"train": 60_000, "t10k": 10_000}
SIDE = 28
UNSIGNED_BYTES = 8
"""The format's code for the type of its elements."""


def prepare_idx(
    root: Path | None, name: str, torchvision_name: str, classes: Sequence[str], source: str, download: bool
) -> Prepared:
    """Read both splits of a set of 28x28 grey images: uint8 (N, 1, 28, 28).

    Args:
        root: The data root.
        name: The component's name, and its folder's.
        torchvision_name: The name of the class in `torchvision.datasets`, and of its folder.
        classes: The classes' names.
        source: Where the set is published.
        download: Whether torchvision brings what is not there.

    Raises:
        FileNotFoundError: Where the files are not there.
        OSError: Where a download fails.
        ValueError: Where a file is damaged, or has not the official shape.
    """
    if root is None:
        raise FileNotFoundError(f"{name}: no data root is set; give --data or HARNESS_DATA")
    base = root / name
    places = [base / torchvision_name / "raw", root / torchvision_name / "raw", base]
    folder = next((place for place in places if _holds_set(place)), None)
    if folder is None and download:
        download_set(torchvision_name, base, torchvision_name)
        folder = next((place for place in places if _holds_set(place)), None)
    if folder is None:
        raise FileNotFoundError(
            f"{name}: no train-images-idx3-ubyte, plain or .gz, at {', '.join(map(str, places))}; put there the "
            f"four files of {source}, or say download = true"
        )
    train, test = (_read_split(folder, part, len(classes)) for part in COUNTS)
    return Prepared(train, test, tuple(classes))


def _holds_set(folder: Path) -> bool:
    return any((folder / f"train-images-idx3-ubyte{suffix}").is_file() for suffix in ("", ".gz"))


def _read_split(folder: Path, part: str, num_classes: int) -> Split:
    import numpy as np

    count = COUNTS[part]
    image = read_idx(folder / f"{part}-images-idx3-ubyte", (count, SIDE, SIDE))
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte", (count,))
    if labels.max(initial=0) >= num_classes:
        row = int(np.argmax(labels >= num_classes))
        raise ValueError(
            f"{folder / part}-labels-idx1-ubyte row {row}: label {labels[row]}, expected 0 to {num_classes - 1}"
        )
    return Split({"image": image[:, None]}, labels.astype(np.int64))


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return a file of unsigned bytes, or the same compressed with the suffix .gz, as uint8 of `shape`.

    The format: two zero bytes, the code of the elements' type, the number of dimensions, each dimension as four
    bytes, the greatest first, and the elements, the last dimension fastest.

    Raises:
        FileNotFoundError: Where neither file is there.
        ValueError: Where it is damaged, or of another shape.
    """
    import numpy as np

    packed = path.with_name(f"{path.name}.gz")
    found = path if path.is_file() or not packed.is_file() else packed
    header = bytes((0, 0, UNSIGNED_BYTES, len(shape))) + b"".join(side.to_bytes(4, "big") for side in shape)
    try:
        with cast(IO[bytes], gzip.open(found) if found is packed else found.open("rb")) as file:
            # One byte more than there has to be: a compressed file may hold any amount.
            content = file.read(len(header) + math.prod(shape) + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{found}: damaged ({type(error).__name__}: {error})") from error
    if content[: len(header)] != header:
        raise ValueError(
            f"{found}: it begins with {content[: len(header)].hex(' ') or 'nothing'}, expected "
            f"{header.hex(' ')} (idx, unsigned bytes, {' x '.join(map(str, shape))})"
        )
    if len(content) != len(header) + math.prod(shape):
        what = "more" if len(content) > len(header) + math.prod(shape) else f"{len(content)}: it is truncated"
        raise ValueError(f"{found}: expected {len(header) + math.prod(shape)} bytes, found {what}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)

"""Image files, a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Interval, MinLen

from harness.contract import DamagedImage, Dataset, Images, Prepared, Split
from harness_plugins.datasets.quick_decoding import QuickDecoder

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

Size = tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]]
"""Height and width in pixels."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
"""What counts as an image, in small or capital letters; anything else in the folders is left alone."""

PIXELS_AT_ONCE = 2**26
"""Where an image would be resized to more, only the part that is kept is made: up to rounding, the same."""


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Images in a folder for each class, as torchvision's `ImageFolder` has them.

        <folder>/<train>/<class>/**/*.png        and        <folder>/<test>/<class>/**/*.png

    or, with `test_share`, `<folder>/<class>/**/*.png`, of which so large a share of each class is the test split:
    the files whose paths have the smallest digests, so that it is the same on every machine and a new file moves
    no other. Classes are numbered in the sorted order of their names over both splits, files stand in the sorted
    order of their paths. Names that begin with a dot are left alone.

    Image uint8 (N, 3, H, W), decoded as it is read: turned upright by its EXIF tag and always RGB (grey and palette
    images are spread over three channels, CMYK is converted, of 16 bits the upper 8 are kept, alpha is dropped, of
    an animation the first frame is kept). All images have one size, or `size` says to which they are brought: the
    image is resized until it just covers that (bilinear, antialiased), and its middle is cut out.

    Not with `test_share` where several files show one object: they would lie in both splits.

    Attributes:
        folder: Folder of the data, relative to the data root.
        train: The training split's folder within it.
        test: The test split's folder within it.
        test_share: Share of each class that is tested on, where the folder is not divided into splits.
        size: Height and width; None asks that all images have one size.
        skip_damaged: Leave out images that cannot be decoded, for all arms alike, and list them in the
            manifest, rather than refuse the data.
    """

    folder: Annotated[str, MinLen(1)] = "."
    train: Annotated[str, MinLen(1)] = "train"
    test: Annotated[str, MinLen(1)] = "test"
    test_share: Annotated[float, Interval(gt=0, lt=1)] | None = None
    size: Size | None = None
    skip_damaged: bool = False

    def prepare(self, root: Path | None) -> Prepared:
        """List the files of both splits.

        Raises:
            FileNotFoundError: Where no data root is set, or a folder is not there or holds no image.
            ValueError: Where a path leaves the data root, or the first image is damaged.
        """
        if root is None:
            raise FileNotFoundError("image-folder: no data root is set; give --data or HARNESS_DATA")
        if self.test_share is None:
            train, test = (list_files(root, self.folder, split) for split in (self.train, self.test))
        else:
            train, test = divide(root, list_files(root, self.folder, "."), self.test_share)
        classes = sorted({*train, *test})
        train_split, test_split = (self._split(root, files, classes) for files in (train, test))
        return Prepared(train_split, test_split, tuple(classes))

    def _split(self, root: Path, files: dict[str, list[Path]], classes: list[str]) -> Split:
        import numpy as np

        paths = [path for name in classes for path in files.get(name, [])]
        labels = [label for label, name in enumerate(classes) for _ in files.get(name, [])]
        images = FolderImages(root, paths, self.size, self.skip_damaged)
        return Split({"image": images}, np.array(labels, np.int64))


def list_files(root: Path, folder: str, split: str) -> dict[str, list[Path]]:
    """Return the image files of each class, sorted.

    Raises:
        ValueError: Where the path would leave the root.
        FileNotFoundError: Where there is no such folder, or no image in it.
    """
    # by its spelling, because links inside the data root are the owner's own and may lead to another disk
    for part in (folder, split):
        path = PurePath(part)
        if path.is_absolute() or ".." in path.parts or "\0" in part:
            raise ValueError(f'"{part}" does not stay inside the data root; give a path relative to it')
    place = root / folder / split
    if not place.is_dir():
        raise FileNotFoundError(f"image-folder: there is no folder {place}")
    names = sorted(entry.name for entry in os.scandir(place) if entry.is_dir() and entry.name[0] != ".")
    found = {name: files_below(place / name) for name in names}
    if not any(found.values()):
        raise FileNotFoundError(f"image-folder: no image ({', '.join(SUFFIXES)}) in the folders of {place}")
    return {name: files for name, files in found.items() if files}


def files_below(folder: Path) -> list[Path]:
    """Return the image files of a folder and its subfolders, in the sorted order of their paths."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name[0] != "."]
        found += [Path(place, name) for name in names if name[0] != "." and name.lower().endswith(SUFFIXES)]
    return sorted(found)


def divide(
    root: Path, files: dict[str, list[Path]], share: float
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Return the training and the test files, by class: the smallest digests of relative paths are tested on."""
    train: dict[str, list[Path]] = {}
    test: dict[str, list[Path]] = {}
    for name, paths in files.items():
        by_digest = sorted(
            paths, key=lambda path: blake2b(path.relative_to(root).as_posix().encode()).digest()
        )
        count = round(share * len(paths))
        test[name], train[name] = sorted(by_digest[:count]), sorted(by_digest[count:])
    return train, test


class FolderImages(Images):
    """The images of one split.

    Args:
        root: What the names of files are relative to in messages.
        paths: Its files, in order.
        size: Height and width to bring images to; None takes those of the first.
        skip_damaged: Whether images that cannot be decoded are left out.

    Raises:
        DamagedImage: Where the first image is damaged and may not be left out.
    """

    def __init__(self, root: Path, paths: Sequence[Path], size: Size | None, skip_damaged: bool) -> None:
        self.skip_damaged = skip_damaged
        self._root, self._paths, self._size = root, paths, size
        self._decoder = QuickDecoder()
        self._extent = size or self._first_extent()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, 3, height, width."""
        return (len(self._paths), 3, *self._extent)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Decode some files.

        Raises:
            DamagedImage: Naming the file.
            ValueError: Naming an image of another size.
        """
        import numpy as np

        images = np.empty((len(rows), 3, *self._extent), np.uint8)
        for place, row in enumerate(rows.tolist()):
            image = self._decode(row)
            if image.shape[1:] != self._extent:
                raise ValueError(
                    f"{self._name(row)}: the image is {image.shape[1:]}, the first is {self._extent} "
                    "(height, width); give size = [height, width]"
                )
            images[place] = image
        return images

    def _first_extent(self) -> tuple[int, int]:
        for row in range(len(self._paths)):
            try:
                _, height, width = self._decode(row).shape
            except DamagedImage:
                if not self.skip_damaged:
                    raise
                continue
            return height, width
        return 0, 0

    def _decode(self, row: int) -> np.ndarray:
        try:
            image = self._decoder.decode(self._paths[row].read_bytes())
        except OSError as error:
            raise DamagedImage(row, f"{self._name(row)}: {error.strerror or error}") from error
        except ValueError as error:
            raise DamagedImage(row, f"{self._name(row)}: {error}") from error
        return image if self._size in (None, image.shape[1:]) else cover(image, self._size)

    def _name(self, row: int) -> str:
        return self._paths[row].relative_to(self._root).as_posix()


def cover(image: np.ndarray, size: Size) -> np.ndarray:
    """Return an image, uint8 (3, H, W), resized until it just covers `size`, and the middle of it cut out."""
    import numpy as np
    from PIL import Image

    height, width = image.shape[1:]
    scale = max(size[0] / height, size[1] / width)
    covering = max(size[0], round(height * scale)), max(size[1], round(width * scale))
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    top, left = (covering[0] - size[0]) // 2, (covering[1] - size[1]) // 2
    return resized_part(picture, covering, (top, left), size)


def resized_part(picture: PIL.Image.Image, resized: Size, place: tuple[int, int], size: Size) -> np.ndarray:
    """Return the part of `size` at `place` (top, left) of an image brought to `resized`, as uint8 (3, H, W)."""
    import numpy as np
    from PIL import Image

    (top, left), (height, width) = place, size
    if resized[0] * resized[1] <= PIXELS_AT_ONCE:
        whole = picture.resize((resized[1], resized[0]), Image.Resampling.BILINEAR)
        part = np.asarray(whole)[top : top + height, left : left + width]
    else:
        # A file of one pixel by 20,000 would become gigabytes, of which nearly nothing is kept.
        rows, columns = (
            (begin * old / new, (begin + length) * old / new)
            for begin, length, old, new in zip(
                place, size, (picture.height, picture.width), resized, strict=True
            )
        )
        box = columns[0], rows[0], columns[1], rows[1]
        part = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box))
    return np.ascontiguousarray(part.transpose(2, 0, 1))

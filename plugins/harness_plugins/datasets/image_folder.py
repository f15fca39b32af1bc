"""Image files, a folder for each class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePath
from typing import Annotated

from annotated_types import Interval, MinLen

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.encoded_images import EncodedImages
from harness_plugins.datasets.image_files import ImageFiles
from harness_plugins.datasets.resizing import Size

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
"""What counts as an image, in small or capital letters; anything else in the folders is left alone."""


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
        images = EncodedImages(ImageFiles(root, paths), self.size, self.skip_damaged)
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

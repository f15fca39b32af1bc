"""ImageNet, a folder for each class, resized and cropped in the middle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, MinLen

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.encoded_images import EncodedImages
from harness_plugins.datasets.image_files import ImageFiles
from harness_plugins.datasets.image_folder import list_files
from harness_plugins.datasets.resizing import Size, resized_part

if TYPE_CHECKING:
    import numpy as np

SOURCE = "https://image-net.org"


@dataclass(frozen=True)
class Imagenet(Dataset):
    """ImageNet (ILSVRC 2012), or a part of it in the same layout: about 1.28 million photographs in 1,000 classes.

        <folder>/<train>/n01440764/*.JPEG        and        <folder>/<test>/n01440764/*.JPEG

    Russakovsky et al. 2015, "ImageNet Large Scale Visual Recognition Challenge". What is tested on is the official
    validation set, as everywhere: the official test set has no labels. Classes are the WordNet ids, in sorted order,
    and both splits must have the same.

    Image uint8 (N, 3, H, W), decoded as it is read: turned upright, always RGB, the shorter side resized to `resize`
    (bilinear, antialiased) and the middle cut out, as torchvision's `Resize` and `CenterCrop` do to the pixel
    (256 and 224 after Krizhevsky et al. 2012). Not for comparing with accuracies that are published with random
    resized crops: here they are drawn from the one crop that each image is kept as, not from the whole photograph.

    Decoded at (224, 224) it is 193 GB, so by default it is decoded in each epoch (`[loader] mode`).

    Attributes:
        folder: Folder of the data, relative to the data root.
        train: The training split's folder within it.
        test: The validation set's folder within it.
        size: Height and width that are cut out.
        resize: The length that the shorter side is resized to first.
        skip_damaged: Leave out images that cannot be decoded, for all arms alike, and list them in the manifest,
            rather than refuse the data.
    """

    folder: Annotated[str, MinLen(1)] = "imagenet"
    train: Annotated[str, MinLen(1)] = "train"
    test: Annotated[str, MinLen(1)] = "val"
    size: Size = (224, 224)
    resize: Annotated[int, Ge(1)] = 256
    skip_damaged: bool = False

    licence = "ImageNet's terms of access: research and education, not commercial"

    def __post_init__(self) -> None:
        if max(self.size) > self.resize:
            raise ValueError(
                f"resize = {self.resize} is less than the size = {list(self.size)} that is cut out of it"
            )

    def prepare(self, root: Path | None) -> Prepared:
        """List the files of both splits.

        Raises:
            FileNotFoundError: Where no data root is set, or a folder is not there or holds no image.
            ValueError: Where a path leaves the data root, or the splits have other classes.
        """
        if root is None:
            raise FileNotFoundError("imagenet: no data root is set; give --data or HARNESS_DATA")
        try:
            train, test = (list_files(root, self.folder, split) for split in (self.train, self.test))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"imagenet: {str(error).removeprefix('image-folder: ')}; a folder for each class is expected "
                f"(the official validation archive is flat: sort its files into them), from {SOURCE}"
            ) from error
        if only := sorted(train.keys() ^ test.keys()):
            where = self.train if only[0] in train else self.test
            raise ValueError(
                f"imagenet: the class {only[0]} is in {where} alone, as are {len(only) - 1} others"
            )
        classes = tuple(sorted(train))
        train_split, test_split = (self._split(root, files, classes) for files in (train, test))
        return Prepared(train_split, test_split, classes)

    def _split(self, root: Path, files: dict[str, list[Path]], classes: tuple[str, ...]) -> Split:
        import numpy as np

        paths = [path for name in classes for path in files[name]]
        labels = np.repeat(np.arange(len(classes)), [len(files[name]) for name in classes])
        fit = partial(resize_and_crop, shorter=self.resize)
        images = EncodedImages(ImageFiles(root, paths), self.size, self.skip_damaged, fit)
        return Split({"image": images}, labels.astype(np.int64))


def resize_and_crop(image: np.ndarray, size: Size, shorter: int) -> np.ndarray:
    """Return an image, uint8 (3, H, W), its shorter side resized to `shorter` and the middle of `size` cut out."""
    import numpy as np
    from PIL import Image

    height, width = image.shape[1:]
    # Rounded as torchvision rounds: the longer side down, the crop's place to the nearest.
    if height <= width:
        resized = shorter, int(shorter * width / height)
    else:
        resized = int(shorter * height / width), shorter
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    top, left = (round((whole - part) / 2) for whole, part in zip(resized, size, strict=True))
    return resized_part(picture, resized, (top, left), size)

"""Augmented versions of every training image, made ahead of the training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Interval

from harness.contract import Augmentation, Dataset, Images, Prepared, Split, Stage
from harness_plugins.datasets.precomputing import (
    Versions,
    VersionsContext,
    VersionsOfImages,
    innermost,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class PrecomputedAugmentation(Dataset):
    """Another dataset's training images, each as it is and in `copies` augmented versions; its test split as it is.

    "Offline" augmentation, as before Krizhevsky et al. 2012, section 4.1, made it while training: what is slow is paid
    for once, and each image is seen in `copies` + 1 versions and no more. The N images themselves come first, then N
    for each copy. Version c of image r is a function of (seed, c, r) alone: it is augmented as a batch of its own, with
    draws from numpy's Philox. What runs on the device gets the image normalised by the mean and standard deviation of
    the images (of 1,000 of them, evenly spaced, where there are more), and is rounded back to uint8, clipped to
    0 .. 255; what runs in the loader gets uint8. Step and epoch are the number of the copy, from 0.

    An epoch of this dataset goes over all (copies + 1) N samples. Beside an arm on the plain dataset, a budget in
    epochs gives it `copies` + 1 times as many steps: compare in steps or samples, or divide the epochs.

    Versions of one image never lie on both sides of the validation split (`Split.sources`); what is validated on is the
    image as it is, the same images as with the plain dataset. Decoded to disk as a whole unless the
    suite asks for `stream`: there it is augmented anew at each reading, with the same pixels.

    Not for stage MIX: targets are stored as classes, and a mix needs the other samples of its batch. Not for what
    changes over the training, nor where the same augmentation on the device costs nothing to speak of. Preparing the
    data imports torch.

    Attributes:
        of: The dataset.
        augmentation: What is done to each copy: of stage GEOMETRY or CONTENT, and keeping the images' size.
        copies: Augmented versions of each image, beside the image itself.
        seed: Key of the draws. Equal for all arms and replicates: it is part of the data.
    """

    several_versions = True

    of: Dataset
    augmentation: Augmentation
    copies: Annotated[int, Interval(ge=1, le=1000)] = 4
    seed: Annotated[int, Interval(ge=0, lt=2**63)] = 0

    def __post_init__(self) -> None:
        if innermost(self.augmentation).stage is Stage.MIX:
            raise ValueError(
                f"augmentation: {type(self.augmentation).__name__} is of stage MIX: it mixes the samples of a batch "
                "and their targets, and what is made ahead is stored image by image with its class; name it under "
                "augmentations"
            )
        # a version has its licence and the meaning of its labels from the image; the instance is frozen
        object.__setattr__(self, "licence", self.of.licence)
        object.__setattr__(self, "changes_label", self.of.changes_label)

    def prepare(self, root: Path | None) -> Prepared:
        """Return the training split with all its versions, made as they are read, and the test split.

        Raises:
            FileNotFoundError: As the dataset itself.
            ValueError: As the dataset itself.
        """
        import numpy as np

        whole = self.of.prepare(root)
        train = whole.train
        count = len(train.labels)
        row = np.tile(np.arange(count), self.copies + 1)
        counts = tuple(np.bincount(train.labels, minlength=len(whole.classes)).tolist())
        versions = Versions(self.augmentation, self.copies, VersionsContext(counts, self.copies, self.seed))
        inputs: dict[str, np.ndarray | Images] = {
            name: VersionsOfImages(array, train.labels, versions) if name == "image" else array[row]
            for name, array in train.inputs.items()
        }
        sources = row if train.sources is None else train.sources[row]
        return replace(whole, train=Split(inputs, train.labels[row], sources))

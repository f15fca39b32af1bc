"""MNIST, from torchvision's layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.contract import Dataset, Prepared
from harness_plugins.datasets.idx_files import prepare_idx

SOURCE = "https://yann.lecun.com/exdb/mnist"


@dataclass(frozen=True)
class Mnist(Dataset):
    """MNIST: 70,000 handwritten digits, grey, 60,000 to train on and 10,000 to test on.

    LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition". Image uint8
    (N, 1, 28, 28). The four idx files, plain or compressed (.gz), lie in `mnist/MNIST/raw` or `MNIST/raw` under the
    data root, as torchvision lays them out, or in `mnist`.

    A digit that is mirrored, or turned by a half, is another one or none. Not for claims about accuracy at large:
    a small convolutional net is right in more than 99 % of the test images.

    Attributes:
        download: Have torchvision bring the files into `<data root>/mnist` where they are not there.
    """

    download: bool = False

    licence = "CC BY-SA 3.0"
    changes_label = frozenset({"horizontal-flip", "alternating-flip", "vertical-flip"})

    def prepare(self, root: Path | None) -> Prepared:
        """Read both splits.

        Raises:
            FileNotFoundError: Where the files are not there.
            OSError: Where a download fails.
            ValueError: Where a file is damaged.
        """
        classes = [str(digit) for digit in range(10)]
        return prepare_idx(root, "mnist", "MNIST", classes, SOURCE, self.download)

"""Fashion-MNIST, from torchvision's layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.contract import Dataset, Prepared
from harness_plugins.datasets.idx_files import prepare_idx

SOURCE = "https://github.com/zalandoresearch/fashion-mnist"
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True)
class FashionMnist(Dataset):
    """Fashion-MNIST: 70,000 pictures of clothes, grey, 60,000 to train on and 10,000 to test on.

    Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms".
    Image uint8 (N, 1, 28, 28). The four idx files, plain or compressed (.gz), lie in `fashion-mnist/FashionMNIST/raw`
    or `FashionMNIST/raw` under the data root, as torchvision lays them out, or in `fashion-mnist`.

    Clothes that are mirrored keep their label. In the test split all stand upright, and shoes point to the left.
    Not for claims about natural images: the background is black, and every piece is centred.

    Attributes:
        download: Have torchvision bring the files into `<data root>/fashion-mnist` where they are not there.
    """

    download: bool = False

    licence = "MIT"

    def prepare(self, root: Path | None) -> Prepared:
        """Read both splits.

        Raises:
            FileNotFoundError: Where the files are not there.
            OSError: Where a download fails.
            ValueError: Where a file is damaged.
        """
        return prepare_idx(root, "fashion-mnist", "FashionMNIST", CLASSES, SOURCE, self.download)

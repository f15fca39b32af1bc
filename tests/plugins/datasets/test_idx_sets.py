"""MNIST and Fashion-MNIST in torchvision's layout, against torchvision's own readers."""

import gzip

import numpy as np
import pytest
from torchvision import datasets as torchvision_datasets

from harness_plugins.datasets import idx_files
from harness_plugins.datasets.fashion_mnist import FashionMnist
from harness_plugins.datasets.mnist import Mnist

SETS = [(Mnist, "mnist", "MNIST"), (FashionMnist, "fashion-mnist", "FashionMNIST")]
TRAIN, TEST = 40, 20


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write(folder, compressed=False):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        image = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = generator.permutation(np.arange(count, dtype=np.uint8) % 10)
        for name, array in (("images-idx3", image), ("labels-idx1", labels)):
            data = idx(array)
            path = folder / f"{part}-{name}-ubyte"
            if compressed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(data))
            else:
                path.write_bytes(data)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(idx_files, "COUNTS", {"train": TRAIN, "t10k": TEST})


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("component", "name", "folder"), SETS)
def test_it_reads_what_torchvision_reads(tmp_path, component, name, folder, compressed):
    write(tmp_path / name / folder / "raw")
    references = [
        getattr(torchvision_datasets, folder)(tmp_path / name, train=part) for part in (True, False)
    ]
    if compressed:
        (tmp_path / name).rename(tmp_path / "plain")
        write(tmp_path / name / folder / "raw", compressed=True)
    prepared = component().prepare(tmp_path)
    for split, reference in zip((prepared.train, prepared.test), references, strict=True):
        assert split.inputs["image"].shape[1:] == (1, 28, 28)
        assert np.array_equal(split.inputs["image"][:, 0], reference.data.numpy())
        assert split.labels.tolist() == reference.targets.tolist()
        assert split.labels.dtype == np.int64
    # torchvision's names of digits are "0 - zero"
    assert list(prepared.classes) == [each.split(" - ")[0] for each in references[0].classes]


@pytest.mark.parametrize("place", ["mnist/MNIST/raw", "MNIST/raw", "mnist"])
def test_every_place_is_looked_at(tmp_path, place):
    write(tmp_path / place)
    assert Mnist().prepare(tmp_path).train.inputs["image"].shape == (TRAIN, 1, 28, 28)


def cut(data):
    return data[:-1]


def other_type(data):
    return data[:2] + b"\x0d" + data[3:]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("t10k-images-idx3-ubyte", cut, r"t10k-images.*expected 15696 bytes, found 15695: it is truncated"),
        ("train-labels-idx1-ubyte", lambda data: data + b"\0", r"train-labels.*found more"),
        ("train-images-idx3-ubyte", other_type, r"train-images.* begins with 00 00 0d 03"),
        ("train-images-idx3-ubyte", lambda data: b"", r"train-images.* begins with nothing"),
        (
            "t10k-labels-idx1-ubyte",
            lambda data: data[:10] + b"\x0a" + data[11:],
            r"t10k-labels.* row 2: label 10",
        ),
    ],
)
def test_a_damaged_file_is_named(tmp_path, file, change, message):
    write(tmp_path / "mnist")
    path = tmp_path / "mnist" / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        Mnist().prepare(tmp_path)


@pytest.mark.parametrize("change", [cut, lambda data: b"plain", lambda data: data[:20] + b"xxxx" + data[24:]])
def test_a_damaged_compressed_file_is_named(tmp_path, change):
    write(tmp_path / "mnist", compressed=True)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: "):
        Mnist().prepare(tmp_path)


def test_a_file_that_is_absent_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="HARNESS_DATA"):
        FashionMnist().prepare(None)
    with pytest.raises(
        FileNotFoundError, match=r"fashion-mnist/FashionMNIST/raw.*zalandoresearch.*download = true"
    ):
        FashionMnist().prepare(tmp_path)
    write(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte"):
        Mnist().prepare(tmp_path)


def test_download_asks_for_the_set_by_torchvisions_name(tmp_path, monkeypatch):
    asked = []

    def stand_in(name, folder, made):
        asked.append((name, folder, made))
        write(folder / name / "raw")

    monkeypatch.setattr(idx_files, "download_set", stand_in)
    FashionMnist(download=True).prepare(tmp_path)
    FashionMnist(download=True).prepare(tmp_path)
    assert asked == [("FashionMNIST", tmp_path / "fashion-mnist", "FashionMNIST")]


def test_a_mirrored_digit_is_another_and_a_mirrored_shoe_is_not():
    assert {"horizontal-flip", "vertical-flip", "alternating-flip"} <= Mnist.changes_label
    assert not FashionMnist.changes_label

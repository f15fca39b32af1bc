"""The ImageNet layout, against torchvision's ImageFolder, Resize and CenterCrop."""

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder as Reference

from harness.contract import DamagedImage
from harness.suite.damaged import leave_out_damaged
from harness_plugins.datasets.imagenet import Imagenet

SIZES = [(40, 60), (60, 40), (33, 47), (32, 32), (101, 35), (31, 97), (20, 20), (500, 375)]
SMALL = {"size": (28, 24), "resize": 32}


@pytest.fixture
def root(tmp_path, encoded):
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for number, (height, width) in enumerate(SIZES):
            folder = tmp_path / "imagenet" / split / f"n0{number % 3}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
            (folder / f"{number}.JPEG").write_bytes(encoded(picture, "JPEG", quality=95))
    return tmp_path


@pytest.mark.parametrize(("size", "resize"), [((28, 24), 32), ((32, 32), 32), ((15, 16), 17)])
def test_pixels_and_labels_are_those_of_torchvision(root, size, resize):
    prepared = Imagenet(size=size, resize=resize).prepare(root)
    crop = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(size)])
    for split, name in ((prepared.train, "train"), (prepared.test, "val")):
        reference = Reference(str(root / "imagenet" / name), crop)
        assert list(prepared.classes) == reference.classes
        assert split.labels.tolist() == reference.targets
        images = split.inputs["image"]
        assert images.shape == (len(SIZES), 3, *size)
        expected = np.stack([np.asarray(picture) for picture, _ in reference])
        assert np.array_equal(np.asarray(images), expected.transpose(0, 3, 1, 2))
        rows = np.array([5, 0, 5])
        assert np.array_equal(images.read(rows), expected[rows].transpose(0, 3, 1, 2))


def test_a_damaged_image_is_named_or_left_out_and_listed(root):
    path = root / "imagenet" / "train" / "n01" / "4.JPEG"
    path.write_bytes(path.read_bytes()[:400])
    images = Imagenet(**SMALL).prepare(root).train.inputs["image"]
    row = [str(file) for file in images._source._paths].index(str(path))
    with pytest.raises(DamagedImage, match=r"^imagenet/train/n01/4\.JPEG: ") as caught:
        np.asarray(images)
    assert caught.value.row == row
    prepared, rows = leave_out_damaged(Imagenet(**SMALL, skip_damaged=True).prepare(root), "here")
    assert row not in rows["train"] and len(rows["train"]) == len(SIZES) - 1
    assert len(prepared.train.labels) == len(SIZES) - 1
    (line,) = prepared.skipped
    assert line.startswith("imagenet/train/n01/4.JPEG: ")


def test_classes_of_one_split_alone_are_refused(root):
    (root / "imagenet" / "val" / "n02").rename(root / "imagenet" / "val" / "n09")
    with pytest.raises(ValueError, match="the class n02 is in train alone, as are 1 others"):
        Imagenet(**SMALL).prepare(root)


def test_what_is_absent_is_named(root):
    with pytest.raises(FileNotFoundError, match="HARNESS_DATA"):
        Imagenet().prepare(None)
    flat = root / "imagenet" / "flat"
    flat.mkdir()
    (flat / "ILSVRC2012_val_00000001.JPEG").touch()
    with pytest.raises(FileNotFoundError, match=r"imagenet: no image .*flat.*sort its files into them"):
        Imagenet(test="flat").prepare(root)
    with pytest.raises(ValueError, match="inside the data root"):
        Imagenet(folder="../up").prepare(root)


def test_a_crop_larger_than_what_it_is_cut_from_is_refused():
    with pytest.raises(ValueError, match=r"resize = 256 is less than the size = \[288, 288\]"):
        Imagenet(size=(288, 288))

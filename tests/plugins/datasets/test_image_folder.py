import numpy as np
import pytest
from PIL import Image

from harness.contract import DamagedImage
from harness.suite.damaged import leave_out_damaged
from harness_plugins.datasets import resizing
from harness_plugins.datasets.image_folder import ImageFolder
from harness_plugins.datasets.resizing import cover


@pytest.fixture
def root(tmp_path, pixels, encoded):
    """Classes ant and bee; names out of order, a file in a subfolder, and things that are no images."""
    files = {
        "set/train/bee/b.png": pixels[0],
        "set/train/bee/A.PNG": pixels[1],
        "set/train/ant/z.png": pixels[2],
        "set/train/ant/deep/er.png": pixels[3],
        "set/train/ant/c.png": pixels[4],
        "set/test/ant/t.png": pixels[5],
        "set/test/bee/t.png": pixels[6],
    }
    for name, picture in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded(picture))
    (tmp_path / "set/train/ant/readme.txt").write_text("no image")
    (tmp_path / "set/train/ant/.hidden.png").write_bytes(b"")
    (tmp_path / "set/train/.cache").mkdir()
    (tmp_path / "set/train/loose.png").write_bytes(b"of no class")
    return tmp_path


def test_classes_and_files_come_in_sorted_order(root, pixels):
    prepared = ImageFolder(folder="set").prepare(root)
    assert prepared.classes == ("ant", "bee")
    assert prepared.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert prepared.train.labels.dtype == np.int64
    expected = pixels.transpose(0, 3, 1, 2)
    # c.png, deep/er.png, z.png; A.PNG, b.png
    assert np.array_equal(np.asarray(prepared.train.inputs["image"]), expected[[4, 3, 2, 1, 0]])
    assert np.array_equal(np.asarray(prepared.test.inputs["image"]), expected[[5, 6]])
    rows = np.array([4, 0, 0])
    assert np.array_equal(prepared.train.inputs["image"].read(rows), expected[[0, 4, 4]])


def test_the_listing_is_that_of_torchvision(root):
    from torchvision.datasets import ImageFolder as Reference

    (root / "set/train/ant/readme.txt").unlink()
    (root / "set/train/ant/.hidden.png").unlink()
    (root / "set/train/.cache").rmdir()
    reference = Reference(str(root / "set/train"))
    prepared = ImageFolder(folder="set").prepare(root)
    assert list(prepared.classes) == reference.classes
    assert prepared.train.labels.tolist() == reference.targets
    paths = sorted(str(path) for path in prepared.train.inputs["image"]._source._paths)
    assert paths == sorted(path for path, _ in reference.samples)


def test_without_splits_a_share_of_each_class_is_tested_on_and_new_files_move_no_other(tmp_path, encoded):
    def picture(number):
        return np.full((4, 4, 3), number, np.uint8)

    for number in range(60):
        place = tmp_path / ("left" if number % 3 else "right")
        place.mkdir(exist_ok=True)
        (place / f"{number}.png").write_bytes(encoded(picture(number)))

    def numbers():
        prepared = ImageFolder(test_share=0.25).prepare(tmp_path)
        assert np.bincount(prepared.test.labels).tolist() in ([10, 5], [11, 5])
        splits = (prepared.train, prepared.test)
        return [set(np.asarray(split.inputs["image"])[:, 0, 0, 0].tolist()) for split in splits]

    train, test = numbers()
    assert train | test == set(range(60)) and not train & test
    for number in (60, 61, 62):
        (tmp_path / "left" / f"{number}.png").write_bytes(encoded(picture(number)))
    grown_train, grown_test = numbers()
    assert len(test ^ (grown_test - {60, 61, 62})) <= 3
    assert len(grown_train) + len(grown_test) == 63


def test_an_image_is_resized_until_it_covers_the_size_and_its_middle_is_kept(root, encoded):
    """A wide image of four columns of colour: the outer halves of the outer two fall away."""
    wide = np.zeros((10, 40, 3), np.uint8)
    for column in range(4):
        wide[:, column * 10 : column * 10 + 10] = 60 * column
    (root / "set/test/ant/t.png").write_bytes(encoded(wide))
    prepared = ImageFolder(folder="set", size=(20, 40)).prepare(root)
    assert prepared.train.inputs["image"].shape == (5, 3, 20, 40)
    image = np.asarray(prepared.test.inputs["image"])[0]
    assert image.shape == (3, 20, 40)
    # 40 columns become 80, of which 20 to 59 are kept: the second and third colour
    assert (image[:, :, 2:18] == 60).all() and (image[:, :, 22:38] == 120).all()
    same = ImageFolder(folder="set", size=(6, 5)).prepare(root)
    plain = ImageFolder(folder="set").prepare(root)
    train = [np.asarray(each.train.inputs["image"]) for each in (same, plain)]
    assert np.array_equal(*train)


@pytest.mark.parametrize("extent", [(7, 90), (90, 7), (40, 41)])
def test_of_an_image_that_would_become_huge_only_the_middle_is_made(extent, monkeypatch):
    """A line of 20,000 pixels in a small file would take gigabytes; by both ways the pixels are the same."""
    image = np.random.default_rng(3).integers(0, 256, (3, *extent), dtype=np.uint8)
    whole = cover(image, (32, 24)).astype(int)
    monkeypatch.setattr(resizing, "PIXELS_AT_ONCE", 0)
    assert np.abs(cover(image, (32, 24)) - whole).max() <= 1
    line = np.tile(np.arange(20_000, dtype=np.uint8), (3, 1, 1))
    assert cover(line, (224, 224)).shape == (3, 224, 224)
    assert set(np.unique(cover(line, (224, 224)))) <= {*range(9999 % 256 - 2, 9999 % 256 + 4)}


def test_an_image_of_another_size_is_named(root, pixels, encoded):
    (root / "set/train/bee/b.png").write_bytes(encoded(pixels[0][:4]))
    images = ImageFolder(folder="set").prepare(root).train.inputs["image"]
    with pytest.raises(ValueError, match=r"set/train/bee/b\.png: the image is \(4, 5\).*give size"):
        np.asarray(images)


@pytest.mark.parametrize("damage", ["truncated", "zero-byte", "no image", "a gone file"])
def test_a_damaged_file_is_named_or_left_out_and_listed(root, encoded, pixels, damage):
    path = root / "set/train/bee/b.png"
    whole = encoded(np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8), "JPEG")
    images = ImageFolder(folder="set").prepare(root).train.inputs["image"]
    if damage == "a gone file":
        path.unlink()
    else:
        bad = {"truncated": whole[: len(whole) - 60], "zero-byte": b"", "no image": b"<svg/>"}
        path.write_bytes(bad[damage])
    with pytest.raises(DamagedImage, match=r"^set/train/bee/b\.png: ") as caught:
        images.read(np.array([0, 4]))
    assert caught.value.row == 4
    if damage != "a gone file":
        found = ImageFolder(folder="set", skip_damaged=True).prepare(root)
        prepared, rows = leave_out_damaged(found, "here")
        assert rows["train"].tolist() == [0, 1, 2, 3] and rows["test"].tolist() == [0, 1]
        assert prepared.train.labels.tolist() == [0, 0, 0, 1]
        (line,) = prepared.skipped
        assert line.startswith("set/train/bee/b.png: ")


def test_odd_images_come_upright_in_three_channels_of_eight_bits(root, pixels, encoded):
    """CMYK, 16 bits and a turned image, which all have the size of the others once they are read."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    turned = np.rot90(pixels[0], 1)
    deep = (np.arange(30, dtype=np.uint16) * 2111).reshape(6, 5)
    (root / "set/train/ant/c.png").write_bytes(encoded(turned, exif=exif))
    (root / "set/train/ant/z.png").write_bytes(encoded(Image.fromarray(deep)))
    cmyk = Image.new("CMYK", (5, 6), (0, 255, 255, 0))
    (root / "set/train/bee/A.PNG").write_bytes(encoded(cmyk, "JPEG", quality=100))
    images = np.asarray(ImageFolder(folder="set").prepare(root).train.inputs["image"])
    assert np.array_equal(images[0], pixels[0].transpose(2, 0, 1))
    assert np.array_equal(images[2], np.stack([(deep // 256).astype(np.uint8)] * 3))
    assert np.allclose(images[3].mean((1, 2)), [255, 0, 0], atol=6)


@pytest.mark.parametrize("outside", ["../secret", "/etc", "a\0b"])
@pytest.mark.parametrize("field", ["folder", "train", "test"])
def test_a_path_stays_inside_the_data_root(root, outside, field):
    with pytest.raises(ValueError, match="inside the data root"):
        ImageFolder(**{"folder": "set", field: outside}).prepare(root)


def test_what_is_absent_is_named(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="HARNESS_DATA"):
        ImageFolder().prepare(None)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere/train"):
        ImageFolder(folder="nowhere").prepare(root)
    (tmp_path / "empty" / "train" / "ant").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no image \(\.jpg.*empty/train"):
        ImageFolder(folder="empty").prepare(root)

import dataclasses

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from harness.contract import DamagedImage
from harness.errors import DataError
from harness.registry.discovery import discover
from harness.suite.damaged import leave_out_damaged
from harness.suite.prepare import prepare
from harness_plugins.datasets.parquet import Parquet


@pytest.fixture
def root(tmp_path, pixels, write_rows, encoded):
    images = [encoded(each) for each in pixels]
    write_rows(tmp_path / "set" / "train-0.parquet", images[:3], [1, 0, 1], ("cat", "dog"))
    write_rows(tmp_path / "set" / "train-1.parquet", images[3:5], [0, 1], ("cat", "dog"))
    write_rows(tmp_path / "set" / "test.parquet", images[5:], [0, 1, 0], ("cat", "dog"))
    return tmp_path


def test_rows_come_in_the_order_of_files_and_rows_with_names_from_the_schema(root, pixels):
    prepared = Parquet(folder="set").prepare(root)
    assert np.array_equal(prepared.train.inputs["image"], pixels[:5].transpose(0, 3, 1, 2))
    assert np.array_equal(prepared.test.inputs["image"], pixels[5:].transpose(0, 3, 1, 2))
    assert prepared.train.labels.tolist() == [1, 0, 1, 0, 1]
    assert prepared.train.labels.dtype == np.int64
    assert prepared.classes == ("cat", "dog")
    assert prepared.skipped == ()


def test_files_are_found_by_globs_relative_to_the_data_root(root):
    prepared = Parquet(train="set/train-1*", test="set/test.parquet").prepare(root)
    assert len(prepared.train.labels) == 2


@pytest.mark.parametrize("outside", ["../secret", "/etc", "set/../../secret", "a\0b"])
@pytest.mark.parametrize("field", ["folder", "train", "test"])
def test_a_path_stays_inside_the_data_root(root, outside, field):
    with pytest.raises(ValueError, match="inside the data root"):
        Parquet(**{"folder": "set", field: outside}).prepare(root)


def test_no_root_and_no_file_say_what_was_looked_for(root):
    with pytest.raises(FileNotFoundError, match="HARNESS_DATA"):
        Parquet().prepare(None)
    with pytest.raises(FileNotFoundError, match="nowhere/train"):
        Parquet(folder="nowhere").prepare(root)


def test_string_labels_are_numbered_in_sorted_order_over_both_splits(tmp_path, pixels, write_rows, encoded):
    images = [encoded(each) for each in pixels]
    write_rows(tmp_path / "train.parquet", images[:3], ["pear", "fig", "pear"], columns=("picture", "kind"))
    write_rows(tmp_path / "test.parquet", images[3:5], ["apple", "pear"], columns=("picture", "kind"))
    prepared = Parquet(image_column="picture", label_column="kind").prepare(tmp_path)
    assert prepared.classes == ("apple", "fig", "pear")
    assert prepared.train.labels.tolist() == [2, 1, 2]
    assert prepared.test.labels.tolist() == [0, 2]


def test_names_beside_the_labels_serve_where_the_schema_has_none(tmp_path, pixels, write_rows, encoded):
    images = [encoded(each) for each in pixels]
    write_rows(tmp_path / "train.parquet", images[:2], [1, 0], beside=["zebra", "yak"])
    write_rows(tmp_path / "test.parquet", images[2:4], [0, 1], beside=["yak", "zebra"])
    assert Parquet().prepare(tmp_path).classes == ("yak", "zebra")
    write_rows(tmp_path / "test.parquet", images[2:4], [0, 1], beside=["zebra", "zebra"])
    with pytest.raises(ValueError, match='label 0 is both "yak" and "zebra"'):
        Parquet().prepare(tmp_path)


def test_numbers_are_names_where_nothing_else_is(tmp_path, pixels, write_rows, encoded):
    images = [encoded(each) for each in pixels]
    write_rows(tmp_path / "train.parquet", images[:2], [2, 0])
    write_rows(tmp_path / "test.parquet", images[2:4], [0, 1])
    assert Parquet().prepare(tmp_path).classes == ("0", "1", "2")


def test_contradicting_class_names_are_refused(root, pixels, write_rows, encoded):
    write_rows(root / "set" / "test.parquet", [encoded(pixels[7])], [0], ("dog", "cat"))
    with pytest.raises(ValueError, match="different classes"):
        Parquet(folder="set").prepare(root)


def test_an_absent_column_and_an_empty_cell_are_named(root, pixels, write_rows, encoded):
    with pytest.raises(ValueError, match=r'no column "img"; there are image, label'):
        Parquet(folder="set", image_column="img").prepare(root)
    write_rows(
        root / "set" / "test.parquet", [encoded(pixels[6]), encoded(pixels[7])], [0, None], ("cat", "dog")
    )
    with pytest.raises(ValueError, match=r'test\.parquet row 1: no value in column "label"'):
        Parquet(folder="set").prepare(root)


@pytest.mark.parametrize("damage", ["truncated", "zero-byte", "absent", "no image"])
def test_a_damaged_image_is_refused_with_file_and_row_or_skipped_and_listed(
    root, pixels, write_rows, encoded, damage
):
    whole = [encoded(each, "JPEG", quality=95) for each in pixels]
    bad = {
        "truncated": whole[1][: len(whole[1]) // 2],
        "zero-byte": b"",
        "absent": None,
        "no image": b"<svg/>",
    }
    write_rows(root / "set" / "train-1.parquet", [whole[3], bad[damage], whole[4]], [0, 1, 1], ("cat", "dog"))
    images = Parquet(folder="set").prepare(root).train.inputs["image"]
    with pytest.raises(DamagedImage, match=r"set/train-1\.parquet row 1: ") as caught:
        images.read(np.array([5, 4, 0]))
    assert caught.value.row == 4
    prepared, rows = leave_out_damaged(Parquet(folder="set", skip_damaged=True).prepare(root), "here")
    assert rows["train"].tolist() == [0, 1, 2, 3, 5]
    assert prepared.train.labels.tolist() == [1, 0, 1, 0, 1]
    expected = pixels[[0, 1, 2, 3, 4]].transpose(0, 3, 1, 2)
    assert np.abs(np.asarray(prepared.train.inputs["image"])[:3] - expected[:3].astype(int)).max() == 0
    assert len(prepared.train.inputs["image"]) == 5
    (line,) = prepared.skipped
    assert line.startswith("set/train-1.parquet row 1: ")
    again, _ = leave_out_damaged(Parquet(folder="set", skip_damaged=True).prepare(root), "here")
    assert (line,) == again.skipped
    assert " at 0x" not in line


def test_a_first_image_that_is_damaged_is_refused_at_once_or_passed_over(root, pixels, write_rows, encoded):
    write_rows(
        root / "set" / "train-0.parquet",
        [b"torn", encoded(pixels[0]), encoded(pixels[1])],
        [1, 0, 1],
        ("cat", "dog"),
    )
    with pytest.raises(ValueError, match=r"set/train-0\.parquet row 0: "):
        Parquet(folder="set").prepare(root)
    images = Parquet(folder="set", skip_damaged=True).prepare(root).train.inputs["image"]
    assert images.shape == (5, 3, 6, 5)


def test_row_groups_are_read_in_any_order_and_kept_within_bounds(tmp_path, pixels, encoded, monkeypatch):
    """Eight rows in three groups of one file, and of each batch every group is read once at the most."""
    cells = [{"bytes": encoded(each), "path": None} for each in pixels]
    table = pyarrow.table({"image": cells, "label": [0, 1] * 4})
    for name in ("train", "test"):
        parquet.write_table(table, tmp_path / f"{name}.parquet", row_group_size=3)
    images = Parquet().prepare(tmp_path).train.inputs["image"]
    expected = pixels.transpose(0, 3, 1, 2)
    order = np.array([7, 0, 3, 5, 1, 6, 2, 4, 0, 7])
    assert np.array_equal(images.read(order), expected[order])
    assert np.array_equal(images[np.array([6, 2, 5])][1:].read(np.array([1, 0])), expected[[5, 2]])
    assert np.array_equal(np.asarray(images[::3]), expected[::3])
    groups = []
    plain = type(images)._read_group
    monkeypatch.setattr(type(images), "_read_group", lambda self, n: groups.append(n) or plain(self, n))
    monkeypatch.setattr("harness_plugins.datasets.parquet_images.CACHE_BYTES", 1)
    few = Parquet().prepare(tmp_path).train.inputs["image"]
    groups.clear()
    assert np.array_equal(few.read(order), expected[order])
    assert sorted(groups) in ([0, 1, 2], [1, 2])
    groups.clear()
    few.read(np.array([7]))
    few.read(np.array([0]))
    few.read(np.array([7]))
    assert groups == [0, 2]


def test_a_broken_row_group_is_named_with_its_file_and_rows(tmp_path, pixels, encoded):
    cells = [{"bytes": encoded(each), "path": None} for each in pixels]
    table = pyarrow.table({"image": cells, "label": [0, 1] * 4})
    for name in ("train", "test"):
        parquet.write_table(
            table,
            tmp_path / f"{name}.parquet",
            row_group_size=3,
            compression="none",
            use_dictionary=False,
            write_page_checksum=True,
        )
    path = tmp_path / "train.parquet"
    column = parquet.read_metadata(path).row_group(1).column(0)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 255
    path.write_bytes(content)
    images = Parquet().prepare(tmp_path).train.inputs["image"]
    assert len(images.read(np.array([0, 1, 7]))) == 3
    with pytest.raises(ValueError, match=r"train\.parquet: row group 1 \(rows 3 to 5\) is damaged"):
        images.read(np.array([0, 4]))
    normal = {"name": "parquet", "validation": 0.1, "params": dataclasses.asdict(Parquet())}
    for mode in ("stream", "memory"):
        with pytest.raises(DataError, match=r"train split: .*train\.parquet: row group 1 \(rows 3 to 5\)"):
            prepare(normal, discover(), tmp_path, tmp_path / mode, mode=mode)


def test_a_truncated_file_is_refused_by_name(root):
    path = root / "set" / "train-1.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"train-1\.parquet"):
        Parquet(folder="set").prepare(root)


def one_image(tmp_path, write_rows, data, **params):
    write_rows(tmp_path / "train.parquet", [data], [0])
    write_rows(tmp_path / "test.parquet", [data], [1])
    return Parquet(**params).prepare(tmp_path).train.inputs["image"].read(np.array([0]))[0]


def test_grey_and_palette_images_are_spread_over_three_channels(tmp_path, write_rows, encoded, pixels):
    grey = pixels[0, :, :, 0]
    assert np.array_equal(one_image(tmp_path, write_rows, encoded(grey)), np.stack([grey] * 3))
    palette = Image.fromarray(pixels[0] // 128 * 255).quantize(8)
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(one_image(tmp_path, write_rows, encoded(palette)), expected)


def test_of_sixteen_bits_the_upper_eight_are_kept(tmp_path, write_rows, encoded):
    deep = (np.arange(30, dtype=np.uint16) * 2111).reshape(6, 5)
    image = one_image(tmp_path, write_rows, encoded(Image.fromarray(deep)))
    assert np.array_equal(image, np.stack([(deep // 256).astype(np.uint8)] * 3))


def test_cmyk_is_converted(tmp_path, write_rows, encoded):
    cmyk = Image.new("CMYK", (5, 6), (0, 255, 255, 0))  # magenta and yellow ink: red
    image = one_image(tmp_path, write_rows, encoded(cmyk, "JPEG", quality=100))
    assert image.shape == (3, 6, 5)
    assert np.allclose(image.mean((1, 2)), [255, 0, 0], atol=6)


def test_alpha_is_dropped(tmp_path, write_rows, encoded, pixels):
    with_alpha = np.concatenate([pixels[0], pixels[1, :, :, :1]], axis=2)
    image = one_image(tmp_path, write_rows, encoded(with_alpha))
    assert np.array_equal(image, pixels[0].transpose(2, 0, 1))


def test_an_image_is_turned_upright_by_its_exif_tag(tmp_path, write_rows, encoded, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    image = one_image(tmp_path, write_rows, encoded(pixels[0], exif=exif))
    assert np.array_equal(image, np.rot90(pixels[0], -1).transpose(2, 0, 1))


def test_images_of_several_sizes_need_a_size(root, pixels, write_rows, encoded):
    write_rows(root / "set" / "train-1.parquet", [encoded(pixels[3][:5])], [0], ("cat", "dog"))
    with pytest.raises(ValueError, match=r"train-1\.parquet row 0: the image is \(5, 5\).*give size"):
        np.asarray(Parquet(folder="set").prepare(root).train.inputs["image"])
    prepared = Parquet(folder="set", size=(8, 4)).prepare(root)
    assert prepared.train.inputs["image"].shape == (4, 3, 8, 4)
    expected = Image.fromarray(pixels[0]).resize((4, 8), Image.Resampling.BILINEAR)
    found = np.asarray(prepared.train.inputs["image"])[0]
    assert np.array_equal(found, np.asarray(expected).transpose(2, 0, 1))


def test_a_format_that_would_start_another_program_is_not_opened(tmp_path, write_rows):
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n%%EndComments\nshowpage\n"
    with pytest.raises(ValueError, match="not an image in a known format"):
        one_image(tmp_path, write_rows, postscript)


@pytest.mark.data
def test_neu_cls_has_its_classes_and_counts(real_data):
    prepared = Parquet(folder="neu_cls").prepare(real_data)
    expected = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
    assert prepared.classes == expected
    assert np.bincount(prepared.train.labels).tolist() == [240] * 6
    assert np.bincount(prepared.test.labels).tolist() == [60] * 6
    image = prepared.test.inputs["image"]
    assert image.shape == (360, 3, 200, 200)
    grey = np.asarray(image[:50])
    assert np.array_equal(grey[:, 0], grey[:, 2])  # by the data's own description


@pytest.mark.data
@pytest.mark.slow
def test_fashion_products_has_its_classes_and_counts(real_data):
    prepared = Parquet(folder="fashion_products", size=(80, 60)).prepare(real_data)
    assert len(prepared.classes) == 53
    assert prepared.train.inputs["image"].shape == (24_375, 3, 80, 60)
    assert prepared.test.inputs["image"].shape == (6_218, 3, 80, 60)
    counts = np.bincount(prepared.test.labels, minlength=53)
    assert counts[prepared.classes.index("Watches")] == 303
    assert counts[prepared.classes.index("Backpacks")] == 145

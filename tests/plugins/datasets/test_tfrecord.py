"""TFRecord files made by hand: the checksum by a loop over bits, the messages byte by byte."""

import struct

import numpy as np
import pytest

from harness.suite.damaged import leave_out_damaged
from harness_plugins.datasets.crc32c import crc32c
from harness_plugins.datasets.shards import Shards


def crc_by_bits(data):
    """CRC-32C, a bit at a time, without a table (RFC 3720, appendix B.4)."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_the_checksum_is_that_of_the_standards_examples(data, expected):
    assert crc32c(data) == crc_by_bits(data) == expected


@pytest.mark.parametrize("length", [1, 3, 4, 5, 127, 128, 129, 130, 255, 256, 257, 511, 1000, 4096, 9999])
def test_the_checksum_is_that_of_a_loop_over_bits(length):
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == crc_by_bits(data)
    assert crc32c(b"\0\0" + data) == crc_by_bits(b"\0\0" + data)
    changed = data[:-1] + bytes([data[-1] ^ 1])
    assert crc32c(changed) != crc32c(data)


def masked(data):
    crc = crc_by_bits(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(content):
    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def varint(value):
    value &= (1 << 64) - 1
    groups = []
    while True:
        value, low = value >> 7, value & 0x7F
        groups.append(low | (0x80 if value else 0))
        if not value:
            return bytes(groups)


def field(number, content):
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def example(features):
    """Bytes and text become a list of bytes, whole numbers a packed list, a float a list of floats."""

    def feature(value):
        if isinstance(value, bytes):
            return field(1, field(1, value))
        if isinstance(value, float):
            return field(2, field(1, struct.pack("<f", value)))
        if isinstance(value, tuple):  # not packed
            return field(3, b"".join(b"\x08" + varint(each) for each in value))
        return field(3, field(1, b"".join(varint(each) for each in value)))

    return field(
        1, b"".join(field(1, field(1, k.encode()) + field(2, feature(v))) for k, v in features.items())
    )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path, pixels, encoded):
    """Two shards to train on and one to test on, as ImageNet's are: labels from 1 on, more features beside."""

    def make(label="image/class/label", image="image/encoded", shape=lambda label: [label]):
        contents = []
        for number in range(8):
            features = {
                "image/format": b"png",
                "image/height": [6],
                label: shape(number % 2 + 1),
                image: encoded(pixels[number]),
                "image/score": 0.5,
            }
            contents.append(example(features))
        for name, rows in (("train-0", (0, 1, 2)), ("train-1", (3, 4)), ("validation-0", (5, 6, 7))):
            path = tmp_path / "root" / f"{name}-of-2"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"".join(record(contents[row]) for row in rows))
        return tmp_path / "root"

    return make


SPLITS = {"train": "train-*-of-2", "test": "validation-*"}


@pytest.mark.parametrize(
    "shape", [lambda label: [label], lambda label: (label,)], ids=["packed", "not packed"]
)
def test_records_are_read_in_order_and_at_random(write, pixels, shape):
    prepared = Shards(**SPLITS, first_label=1).prepare(write(shape=shape))
    expected = pixels.transpose(0, 3, 1, 2)
    assert np.array_equal(np.asarray(prepared.train.inputs["image"]), expected[:5])
    assert np.array_equal(np.asarray(prepared.test.inputs["image"]), expected[5:])
    assert prepared.train.labels.tolist() == [0, 1, 0, 1, 0] and prepared.test.labels.tolist() == [1, 0, 1]
    assert prepared.classes == ("0", "1")
    rows = np.array([4, 0, 3, 0, 2])
    assert np.array_equal(prepared.train.inputs["image"].read(rows), expected[rows])


def test_features_of_other_names_and_labels_as_text(write):
    root = write("label", "image", lambda label: [b"", b"bee", b"ant"][label])
    prepared = Shards(**SPLITS, image_feature="image", label_feature="label").prepare(root)
    assert prepared.classes == ("ant", "bee")
    assert prepared.train.labels.tolist() == [1, 0, 1, 0, 1]


def test_a_label_less_than_the_first_is_refused(write):
    with pytest.raises(ValueError, match=r"^train-0-of-2 row 0: label 1 is less than first_label = 2"):
        Shards(**SPLITS, first_label=2).prepare(write())


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


def test_a_record_with_another_checksum_is_named_or_left_out_and_listed(write, pixels):
    root = write()
    first = int.from_bytes((root / "train-0-of-2").read_bytes()[:8], "little") + 16
    flip(root / "train-0-of-2", first + 12 + 60)  # within the second record's image
    with pytest.raises(ValueError, match=r"^train-0-of-2 row 1: its checksum is another"):
        Shards(**SPLITS).prepare(root)
    found = Shards(**SPLITS, first_label=1, skip_damaged=True).prepare(root)
    assert found.train.labels.tolist() == [0, 0, 1, 0]
    prepared, _ = leave_out_damaged(found, "here")
    assert prepared.skipped == ("train-0-of-2 row 1: its checksum is another: damaged",)
    expected = pixels[[0, 2, 3, 4]].transpose(0, 3, 1, 2)
    assert np.array_equal(np.asarray(prepared.train.inputs["image"]), expected)


@pytest.mark.parametrize("skip", [False, True])
def test_a_damaged_length_or_a_truncated_file_is_refused_in_any_case(write, skip):
    root = write()
    path = root / "train-1-of-2"
    whole = path.read_bytes()
    flip(path, 2)
    with pytest.raises(ValueError, match=r"^train-1-of-2 row 0: the checksum of its length is another"):
        Shards(**SPLITS, skip_damaged=skip).prepare(root)
    for cut in (1, 5, len(whole) // 2 - 8):
        path.write_bytes(whole[:-cut])
        with pytest.raises(ValueError, match=r"^train-1-of-2 row 1: the file ends within it"):
            Shards(**SPLITS, skip_damaged=skip).prepare(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xff", "not a tf.train.Example"),
        (field(1, b"\x0a\x7f"), "a field reaches beyond its message"),
        (example({"image/encoded": b"x"}), 'no feature "image/class/label"; there are image/encoded'),
        (example({"image/encoded": b"x", "image/class/label": [1, 2]}), "holds 2 names or whole numbers"),
        (example({"image/encoded": b"x", "image/class/label": 1.0}), "holds 0 names or whole numbers"),
        (example({"image/encoded": [1], "image/class/label": [1]}), "is not one string of bytes"),
    ],
)
def test_a_record_that_is_no_example_of_an_image_is_named(write, content, message):
    root = write()
    (root / "train-1-of-2").write_bytes(record(content))
    with pytest.raises(ValueError, match=rf"^train-1-of-2 row 0: .*{message}"):
        Shards(**SPLITS).prepare(root)

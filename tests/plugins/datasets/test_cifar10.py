import io
import os
import pickle

import numpy as np
import pytest

from harness_plugins.datasets import cifar10
from harness_plugins.datasets.cifar10 import (
    CLASSES,
    TRAIN_FILES,
    Cifar10,
    read_binary,
    read_parquet,
    read_pickles,
)

FILES = (*TRAIN_FILES, "test_batch")


@pytest.fixture
def official():
    """Name to (pixels uint8 (2, 3072), labels) of a tiny set in the official files."""
    generator = np.random.default_rng(0)
    return {
        name: (generator.integers(0, 256, (2, 3072), dtype=np.uint8), [number, (number + 3) % 10])
        for number, name in enumerate(FILES)
    }


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as the official archive has them."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_python2_string(self, data):
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)

    dispatch[bytes] = save_python2_string


def python2_pickle(content):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_archive(folder, official, dump=python2_pickle):
    folder.mkdir(parents=True)
    for name, (data, labels) in official.items():
        (folder / name).write_bytes(dump({b"batch_label": name.encode(), b"data": data, b"labels": labels}))


def assert_is(official, train, test):
    pixels = np.concatenate([official[name][0] for name in TRAIN_FILES])
    assert np.array_equal(train.inputs["image"], pixels.reshape(10, 3, 32, 32))
    assert train.labels.tolist() == [label for name in TRAIN_FILES for label in official[name][1]]
    assert train.labels.dtype == np.int64
    assert np.array_equal(test.inputs["image"].reshape(2, -1), official["test_batch"][0])
    assert test.labels.tolist() == official["test_batch"][1]


def test_the_python_archive_is_read_as_python_2_wrote_it(tmp_path, official):
    write_archive(tmp_path / "batches", official)
    assert b"numpy.core.multiarray" in (tmp_path / "batches" / "test_batch").read_bytes()
    assert_is(official, *read_pickles(tmp_path / "batches"))


@pytest.mark.parametrize("protocol", [3, 4])
def test_the_python_archive_is_read_as_python_3_writes_it(tmp_path, official, protocol):
    write_archive(tmp_path / "batches", official, lambda content: pickle.dumps(content, protocol))
    assert_is(official, *read_pickles(tmp_path / "batches"))


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_malicious_pickle_calls_nothing(tmp_path, official, protocol):
    folder = tmp_path / "batches"
    trace = tmp_path / "called"
    write_archive(folder, official)
    for call in (
        Call(os.mkdir, str(trace)),
        Call(eval, f"__import__('os').mkdir({str(trace)!r})"),
        Call(getattr, "text", "upper"),
        Call(np.fromfile, str(folder / "test_batch")),
    ):
        (folder / "data_batch_3").write_bytes(pickle.dumps({b"data": call, b"labels": []}, protocol))
        with pytest.raises(ValueError, match=r"data_batch_3: UnpicklingError: it would call .* is refused"):
            read_pickles(folder)
    assert not trace.exists()


def test_an_array_of_objects_is_refused(tmp_path, official):
    folder = tmp_path / "batches"
    write_archive(folder, official)
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": np.array([{}, {}]), b"labels": [0, 1]}, 4))
    with pytest.raises(ValueError, match=r"data_batch_1: UnpicklingError: an array of 'O8'"):
        read_pickles(folder)


@pytest.mark.parametrize("damage", [b"", b"\x80\x02}q\x01(U", b"not a pickle", pickle.dumps([1, 2])])
def test_a_damaged_pickle_is_refused_by_name(tmp_path, official, damage):
    write_archive(tmp_path / "batches", official)
    (tmp_path / "batches" / "data_batch_5").write_bytes(damage)
    with pytest.raises(ValueError, match="data_batch_5: "):
        read_pickles(tmp_path / "batches")


def test_rows_and_labels_that_do_not_match_are_refused(tmp_path, official):
    official["data_batch_2"] = (official["data_batch_2"][0], [1, 2, 3])
    write_archive(tmp_path / "batches", official)
    with pytest.raises(ValueError, match=r"data_batch_2: expected uint8 \(3, 3072\)"):
        read_pickles(tmp_path / "batches")


def write_binary(folder, official):
    folder.mkdir(parents=True)
    for name, (data, labels) in official.items():
        rows = b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels, data, strict=True))
        (folder / f"{name}.bin").write_bytes(rows)


def test_the_binary_archive_is_read(tmp_path, official):
    write_binary(tmp_path / "batches", official)
    assert_is(official, *read_binary(tmp_path / "batches"))
    path = tmp_path / "batches" / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_4\.bin: 6145 bytes.*truncated"):
        read_binary(tmp_path / "batches")


def write_hub(folder, official, write_rows, encoded, names=CLASSES):
    for file, parts in {
        "train-00000": TRAIN_FILES[:3],
        "train-00001": TRAIN_FILES[3:],
        "test-00000": FILES[5:],
    }.items():
        data = np.concatenate([official[name][0] for name in parts]).reshape(-1, 3, 32, 32)
        images = [encoded(np.ascontiguousarray(one.transpose(1, 2, 0))) for one in data]
        labels = [label for name in parts for label in official[name][1]]
        write_rows(folder / f"{file}.parquet", images, labels, names, columns=("img", "label"))


def test_the_hubs_files_are_read(tmp_path, official, write_rows, encoded):
    write_hub(tmp_path, official, write_rows, encoded)
    assert_is(official, *read_parquet(tmp_path))


def test_another_order_of_classes_is_refused(tmp_path, official, write_rows, encoded):
    write_hub(tmp_path, official, write_rows, encoded, names=CLASSES[::-1])
    with pytest.raises(ValueError, match="expected"):
        read_parquet(tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        "cifar-10-batches-py",
        "cifar10/cifar-10-batches-py",
        "cifar-10-batches-bin",
        "cifar10",
        "cifar10/plain_text",
    ],
)
def test_every_layout_is_found_under_the_data_root(
    tmp_path, monkeypatch, official, place, write_rows, encoded
):
    monkeypatch.setattr(cifar10, "TRAIN_COUNT", 10)
    monkeypatch.setattr(cifar10, "TEST_COUNT", 2)
    if place.endswith("-py"):
        write_archive(tmp_path / place, official)
    elif place.endswith("-bin"):
        write_binary(tmp_path / place, official)
    else:
        write_hub(tmp_path / place, official, write_rows, encoded)
    prepared = Cifar10().prepare(tmp_path)
    assert_is(official, prepared.train, prepared.test)
    assert prepared.classes[3] == "cat"


def test_a_set_that_is_not_whole_is_refused_with_counts(tmp_path, official):
    write_binary(tmp_path / "cifar-10-batches-bin", official)
    with pytest.raises(ValueError, match="10 training images, CIFAR-10 has 50000"):
        Cifar10().prepare(tmp_path)


def test_absent_data_says_where_it_was_looked_for_and_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cifar-10-batches-py.*https://www\.cs\.toronto\.edu"):
        Cifar10().prepare(tmp_path)
    with pytest.raises(FileNotFoundError, match="HARNESS_DATA"):
        Cifar10().prepare(None)


@pytest.mark.data
@pytest.mark.slow
def test_the_real_set_has_the_published_counts_means_and_deviations(real_data):
    prepared = Cifar10().prepare(real_data)
    assert np.bincount(prepared.train.labels).tolist() == [5000] * 10
    assert np.bincount(prepared.test.labels).tolist() == [1000] * 10
    image = prepared.train.inputs["image"]
    mean = np.array([image[:, channel].mean() for channel in range(3)]) / 255
    std = np.array([image[:, channel].std() for channel in range(3)]) / 255
    assert np.abs(mean - [0.49140, 0.48216, 0.44653]).max() < 5e-6
    assert np.abs(std - [0.24703, 0.24349, 0.26159]).max() < 6e-6

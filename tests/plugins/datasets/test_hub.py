"""Rows by the `datasets` library: what is local is read, and the network is only for suites that say so.

Skipped where that library is not installed; what to install is said in any case.
"""

import json
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.contract import DamagedImage
from harness.suite.damaged import leave_out_damaged
from harness_plugins.datasets.hub import Hub
from harness_plugins.datasets.parquet import Parquet

COMMIT = "0123456789" * 4


@pytest.fixture
def library(tmp_path, monkeypatch):
    """The library, with a cache of its own, and no way out."""
    datasets = pytest.importorskip("datasets", reason="the extra [data] is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    tried = []

    def refuse(*arguments):
        tried.append(arguments)
        raise OSError("the test has no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    datasets.tried = tried
    return datasets


@pytest.fixture
def root(tmp_path, pixels, encoded, write_rows):
    images = [encoded(each) for each in pixels]
    write_rows(tmp_path / "root/owner/set/train-0.parquet", images[:3], [1, 0, 1], ["ant", "bee"])
    write_rows(tmp_path / "root/owner/set/train-1.parquet", images[3:5], [0, 0], ["ant", "bee"])
    write_rows(tmp_path / "root/owner/set/test-0.parquet", images[5:], [0, 1, 1], ["ant", "bee"])
    return tmp_path / "root"


def features(library, root):
    """Rewrite the files with the features that the library itself writes."""
    folder = root / "owner" / "set"
    kinds = {"image": library.Image(), "label": library.ClassLabel(names=["ant", "bee"])}
    for split in ("train", "test"):
        files = sorted(map(str, folder.glob(f"{split}*.parquet")))
        table = library.Dataset.from_parquet(files)
        table.cast(library.Features(kinds)).to_parquet(str(folder / f"{split}.parquet"))
        for file in files:
            (folder / file).unlink()


def decoded(split):
    return np.asarray(split.inputs["image"]).transpose(0, 2, 3, 1)


def test_a_local_folder_is_read_as_the_library_reads_it(library, root, pixels):
    features(library, root)
    prepared = Hub(path="owner/set").prepare(root)
    assert prepared.classes == ("ant", "bee")
    for split, name in ((prepared.train, "train"), (prepared.test, "test")):
        reference = library.load_dataset(str(root / "owner/set"), split=name)
        assert np.array_equal(decoded(split), np.stack([np.asarray(image) for image in reference["image"]]))
        assert split.labels.tolist() == list(reference["label"])
    assert np.array_equal(decoded(prepared.train), pixels[:5])
    rows = np.array([4, 0, 4])
    assert np.array_equal(prepared.train.inputs["image"].read(rows), pixels[rows].transpose(0, 3, 1, 2))
    assert library.tried == []


def test_labels_that_are_names_and_images_that_are_files(library, root, pixels, encoded):
    for split, rows in (("train", (0, 1, 2)), ("test", (3, 4))):
        for row in rows:
            place = root / "files" / split / ("ant" if row % 2 else "bee")
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{row}.png").write_bytes(encoded(pixels[row]))
    prepared = Hub(path="files").prepare(root)
    assert prepared.classes == ("ant", "bee")
    assert prepared.train.labels.tolist() == [0, 1, 1]
    assert np.array_equal(decoded(prepared.train), pixels[[1, 0, 2]])


def test_without_download_nothing_is_looked_for_on_the_network(library, root, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between its tries
    with pytest.raises(FileNotFoundError, match=r"owner/other, split train, is neither .*download = true"):
        Hub(path="owner/other").prepare(root)
    assert library.tried == []
    before = library.config.HF_HUB_OFFLINE
    with pytest.raises(OSError, match=r"owner/other, split train, cannot be had"):
        Hub(path="owner/other", download=True).prepare(root)
    assert library.tried or before  # a machine that is offline by its own settings does not try either
    assert before == library.config.HF_HUB_OFFLINE


def test_what_the_librarys_cache_has_is_read_without_the_network(library, root, pixels, tmp_path):
    """As after a download: built into the cache under the hub's name."""
    features(library, root)
    folder = root / "owner" / "set"
    files = {split: str(folder / f"{split}.parquet") for split in ("train", "test")}
    builder = library.load_dataset_builder("parquet", data_files=files)
    builder.download_and_prepare()
    place = tmp_path / "cache" / "owner___set" / "default" / "0.0.0" / COMMIT
    place.parent.mkdir(parents=True)
    Path(builder.cache_dir).rename(place)
    for file in place.iterdir():
        file.rename(place / file.name.replace("parquet-", "set-"))
    info = json.loads((place / "dataset_info.json").read_text())
    (place / "dataset_info.json").write_text(json.dumps({**info, "config_name": "default"}))
    library.tried.clear()  # the test's own call counted itself on the network
    prepared = Hub(path="owner/set").prepare(None)
    assert library.tried == []
    assert np.array_equal(decoded(prepared.train), pixels[:5])
    assert prepared.test.labels.tolist() == [0, 1, 1]
    assert Hub(path="owner/set", revision=COMMIT).prepare(None).classes == ("ant", "bee")
    with pytest.raises(FileNotFoundError, match=f"the cache holds revision {COMMIT}, not 1111"):
        Hub(path="owner/set", revision="1" * 40).prepare(None)


def test_a_damaged_image_is_named_with_its_row_or_left_out(library, root, pixels, encoded, write_rows):
    images = [encoded(each) for each in pixels[:3]]
    images[1] = images[1][:40]
    for split in ("train", "test"):
        write_rows(root / f"torn/{split}.parquet", images, [0, 1, 1])
    with pytest.raises(DamagedImage, match=r"^torn train row 1: ") as caught:
        decoded(Hub(path="torn").prepare(root).train)
    assert caught.value.row == 1
    prepared, rows = leave_out_damaged(Hub(path="torn", skip_damaged=True).prepare(root), "here")
    assert rows["train"].tolist() == [0, 2] and len(prepared.skipped) == 2
    assert np.array_equal(decoded(prepared.train), pixels[[0, 2]])


def test_a_table_cannot_name_any_file_of_this_machine(library, root, tmp_path, encoded, pixels):
    import pyarrow
    from pyarrow import parquet

    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(pixels[0]))
    cells = [{"bytes": None, "path": str(secret)}] * 2
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({"image": pyarrow.array(cells, kind), "label": [0, 1]})
    (root / "evil").mkdir()
    for split in ("train", "test"):
        parquet.write_table(table, root / "evil" / f"{split}.parquet")
    with pytest.raises(DamagedImage, match=r"evil train row 0: .*secret\.png lies outside the dataset"):
        Hub(path="evil").prepare(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_column": "picture"}, r'owner/set train: no column "picture"; there are image, label'),
        ({"label_column": "kind"}, r'no column "kind"'),
        ({"image_column": "label"}, r'column "label" holds no images'),
        ({"label_column": "image"}, r'row 0: .* in column "image", expected a whole number or a name'),
        ({"path": "../owner/set"}, "stays inside the data root"),
        ({"path": "/etc"}, "stays inside the data root"),
    ],
)
def test_what_does_not_fit_is_named(library, root, changes, message):
    with pytest.raises(ValueError, match=message):
        Hub(**{"path": "owner/set", **changes}).prepare(root)


def test_a_label_that_is_hidden_is_refused_by_its_row(library, root, encoded, pixels, write_rows):
    write_rows(root / "owner/set/test-0.parquet", [encoded(pixels[5])] * 2, [0, -1], ["ant", "bee"])
    with pytest.raises(ValueError, match=r"^owner/set test row 1: label -1 is none of those"):
        Hub(path="owner/set").prepare(root)


def test_without_the_library_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        ImportError, match=r"^hub: the library datasets is not installed: pip install harness-bench"
    ):
        Hub(path="owner/set").prepare(tmp_path)


@pytest.mark.data
def test_the_real_files_are_read_as_parquet_reads_them(library, real_data):
    if not (real_data / "neu_cls").is_dir():
        pytest.skip(f"no neu_cls under {real_data}")
    ours, reference = (each.prepare(real_data) for each in (Hub(path="neu_cls"), Parquet(folder="neu_cls")))
    assert ours.classes == reference.classes
    rows = np.array([1439, 0, 700])
    for split in ("train", "test"):
        found, expected = getattr(ours, split), getattr(reference, split)
        assert np.array_equal(found.labels, expected.labels)
        chosen = rows % len(found.labels)
        assert np.array_equal(found.inputs["image"].read(chosen), expected.inputs["image"].read(chosen))

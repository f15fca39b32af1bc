"""Images that are decoded when they are read: the same manifest, decoded to disk or left as they are."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from harness.contract import DamagedImage, Dataset, Images, Prepared, Split
from harness.errors import DataError, PluginError
from harness.suite import prepare as module
from harness.suite.prepare import encoded_modalities, prepare

GENERATOR = np.random.default_rng(5)
TRAIN, TEST = (GENERATOR.integers(0, 256, (count, 3, 4, 5), dtype=np.uint8) for count in (40, 9))
NORMAL = {"name": "toy", "params": {}, "validation": 0.1}


class Listed(Images):
    """Some pixels, of which rows may be torn; it remembers what was read."""

    def __init__(self, pixels: np.ndarray, torn: tuple[int, ...] = (), skip_damaged: bool = False) -> None:
        self.pixels, self.torn, self.skip_damaged = pixels, torn, skip_damaged
        self.reads: list[list[int]] = []

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.pixels.shape

    def read(self, rows: np.ndarray) -> np.ndarray:
        self.reads.append(rows.tolist())
        for row in rows.tolist():
            if row in self.torn:
                raise DamagedImage(row, f"{row}.png: torn")
        return self.pixels[rows]


@dataclass(frozen=True)
class Made(Dataset):
    licence = "CC0"
    prepared: Any

    def prepare(self, root: Path | None) -> Prepared:
        return self.prepared


@dataclass
class FakeRegistry:
    """What `prepare` uses of the registry."""

    prepared: Any
    built: int = field(default=0)

    def describe(self, kind, normal):
        return [{"full_name": "toys/toy", "source_digest": "s1"}]

    def build(self, kind, normal):
        self.built += 1
        return Made(self.prepared)


def data(train: Any, test: Any, labels: np.ndarray | None = None) -> Prepared:
    labels = np.arange(40) % 3 if labels is None else labels
    return Prepared(
        Split({"image": train}, labels), Split({"image": test}, np.arange(9) % 3), ("a", "b", "c")
    )


def lazy(**options: Any) -> Prepared:
    return data(Listed(TRAIN, **options), Listed(TEST))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


ARRAYS = {"train.image.npy", "test.image.npy"}
BESIDE = {
    "manifest.json",
    "encoded.json",
    "sources.json",
    *(f"{split}.{name}.npy" for split in ("train", "test") for name in ("labels", "rows", "image.digests")),
}


@pytest.mark.parametrize("bytes_at_once", [2**24, 500])
def test_the_manifest_is_that_of_the_decoded_arrays_in_every_mode(tmp_path, monkeypatch, bytes_at_once):
    monkeypatch.setattr("harness.suite.manifest.BYTES_AT_ONCE", bytes_at_once)
    expected = prepare(NORMAL, FakeRegistry(data(TRAIN, TEST)), None, tmp_path / "arrays")
    assert encoded_modalities(expected.folder) == []
    for mode in ("auto", "resident", "memory", "stream"):
        made = prepare(NORMAL, FakeRegistry(lazy()), None, tmp_path / mode, mode=mode)
        assert made.manifest == expected.manifest
        assert files(made.folder) == BESIDE | (set() if mode == "stream" else ARRAYS)
        assert encoded_modalities(made.folder) == ["image"]
        for name in () if mode == "stream" else ARRAYS:
            assert (made.folder / name).read_bytes() == (expected.folder / name).read_bytes()


def test_every_image_is_decoded_once_and_in_order(tmp_path):
    for mode in ("memory", "stream"):
        prepared = lazy()
        prepare(NORMAL, FakeRegistry(prepared), None, tmp_path / mode, mode=mode)
        for split, count in ((prepared.train, 40), (prepared.test, 9)):
            assert [row for rows in split.inputs["image"].reads for row in rows] == list(range(count))


def test_a_folder_for_streaming_is_completed_when_arrays_are_asked_for(tmp_path):
    registry = FakeRegistry(lazy())
    first = prepare(NORMAL, registry, None, tmp_path, mode="stream")
    again = prepare(NORMAL, registry, None, tmp_path, mode="stream")
    assert prepare(NORMAL, registry, None, tmp_path) == again == first
    assert registry.built == 1
    labels = (first.folder / "train.labels.npy").open("rb")  # whoever reads the folder goes on
    full = prepare(NORMAL, registry, None, tmp_path, mode="memory")
    assert full == first and registry.built == 2
    assert labels.read(6) == b"\x93NUMPY"
    labels.close()
    assert files(full.folder) == BESIDE | ARRAYS
    assert np.array_equal(np.load(full.folder / "train.image.npy"), TRAIN)
    for mode in ("auto", "resident", "memory", "stream"):
        prepare(NORMAL, registry, None, tmp_path, mode=mode)
    assert registry.built == 2
    assert not [path for path in (tmp_path / "prepared").iterdir() if path.name.startswith(".")]


def test_auto_leaves_what_is_large_for_the_disk_or_at_all(tmp_path, monkeypatch):
    size = (40 + 9) * 3 * 4 * 5

    def is_decoded(name: str, free: float) -> bool:
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
        made = prepare(NORMAL, FakeRegistry(lazy()), None, tmp_path / name)
        return (made.folder / "train.image.npy").is_file()

    assert is_decoded("room", size * 4)
    assert not is_decoded("little room", size * 2 - 2)
    monkeypatch.setattr(module, "STREAM_BYTES", size - 1)
    assert not is_decoded("large", size * 1000)


def test_too_little_room_for_what_is_asked_for_is_seen_before_anything_is_decoded(tmp_path, monkeypatch):
    prepared = lazy()
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2000}))
    with pytest.raises(DataError, match="bytes of prepared data"):
        prepare(NORMAL, FakeRegistry(prepared), None, tmp_path, mode="memory")
    assert prepared.train.inputs["image"].reads == []


def test_damaged_images_are_refused_by_name_or_left_out_and_listed(tmp_path):
    with pytest.raises(DataError, match=r'dataset "toys/toy", train split: 7\.png: torn'):
        prepare(NORMAL, FakeRegistry(lazy(torn=(7, 30))), None, tmp_path / "refused")
    left = np.setdiff1d(np.arange(40), [7, 30])
    labels = np.arange(40) % 3
    whole = prepare(NORMAL, FakeRegistry(data(TRAIN[left], TEST, labels[left])), None, tmp_path / "arrays")
    for mode in ("memory", "stream"):
        registry = FakeRegistry(lazy(torn=(7, 30), skip_damaged=True))
        made = prepare(NORMAL, registry, None, tmp_path / mode, mode=mode)
        assert made.manifest["skipped"] == ["7.png: torn", "30.png: torn"]
        ours = {key: value for key, value in made.manifest.items() if key not in ("hash", "skipped")}
        assert ours == {key: value for key, value in whole.manifest.items() if key in ours}
        assert np.load(made.folder / "train.rows.npy").tolist() == left.tolist()
        assert np.load(made.folder / "test.rows.npy").tolist() == list(range(9))
        assert np.load(made.folder / "train.labels.npy").tolist() == labels[left].tolist()


def test_a_selection_of_images_behaves_as_a_selection_of_an_array():
    images = Listed(TRAIN, torn=(6,))
    rows = np.array([9, 3, 6, 20])
    some = images[rows]
    assert (len(some), some.shape, some.dtype, some.nbytes) == (4, (4, 3, 4, 5), np.uint8, 240)
    assert np.array_equal(some.read(np.array([3, 0, 0])), TRAIN[[20, 9, 9]])
    assert np.array_equal(np.asarray(some[np.array([True, True, False, True])]), TRAIN[[9, 3, 20]])
    assert np.array_equal(np.asarray(some[::-1][2:]), TRAIN[[3, 9]])
    with pytest.raises(DamagedImage, match=r"6\.png: torn") as caught:
        some[1:].read(np.array([0, 1]))
    assert caught.value.row == 1  # row 2 of the selection, 6 of the whole
    with pytest.raises(TypeError):
        some[2]
    with pytest.raises(IndexError):
        some[np.array([4])]


class Wrong(Listed):
    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.pixels[rows].astype(np.float32)


def test_images_that_break_the_contract_name_the_plugin(tmp_path):
    with pytest.raises(
        PluginError, match=r"train split: Images.read gave float32 \(40, 3, 4, 5\), expected uint8"
    ):
        prepare(NORMAL, FakeRegistry(data(Wrong(TRAIN), TEST)), None, tmp_path)

    class Broken(Listed):
        def read(self, rows: np.ndarray) -> np.ndarray:
            raise KeyError("image")

    with pytest.raises(PluginError, match="reading failed: KeyError"):
        prepare(NORMAL, FakeRegistry(data(TRAIN, Broken(TEST))), None, tmp_path)

    class Lying(Listed):
        def read(self, rows: np.ndarray) -> np.ndarray:
            raise DamagedImage(99, "99.png")

    with pytest.raises(PluginError, match="names row 99, which was not asked for"):
        prepare(NORMAL, FakeRegistry(data(Lying(TRAIN, skip_damaged=True), TEST)), None, tmp_path)
    assert [path.suffix for path in (tmp_path / "prepared").iterdir()] == [".lock"]


def test_what_the_digests_say_is_of_each_image(tmp_path):
    from hashlib import blake2b

    made = prepare(NORMAL, FakeRegistry(lazy()), None, tmp_path, mode="stream")
    digests = np.load(made.folder / "test.image.digests.npy")
    assert [row.tobytes() for row in digests] == [
        blake2b(image.tobytes(), digest_size=16).digest() for image in TEST
    ]
    assert orjson.loads((made.folder / "encoded.json").read_bytes()) == ["image"]

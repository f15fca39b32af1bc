"""Several versions of one image in the prepared data, and images that are decoded however large they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.contract import DamagedImage, Dataset, Images, Prepared, Split
from harness.errors import DataError
from harness.suite import prepare as module
from harness.suite.prepare import encoded_modalities, prepare
from harness_plugins.datasets.memory_map import MemoryMap

GENERATOR = np.random.default_rng(5)
TRAIN, TEST = (GENERATOR.integers(0, 256, (count, 3, 4, 5), dtype=np.uint8) for count in (12, 6))
SOURCES = np.tile(np.arange(6), 2)
NORMAL = {"name": "toy", "params": {}, "validation": 0.1}


class Encoded(Images):
    """Versions of an image are torn together, as by the file that they come from."""

    skip_damaged = True

    def __init__(self, pixels: np.ndarray, torn: tuple[int, ...] = ()) -> None:
        self.pixels, self.torn = pixels, torn

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.pixels.shape

    def read(self, rows: np.ndarray) -> np.ndarray:
        for row in rows.tolist():
            if row in self.torn:
                raise DamagedImage(row, f"{row % 6}.png: torn")
        return self.pixels[rows]


@dataclass(frozen=True)
class Made(Dataset):
    prepared: Any

    def prepare(self, root: Path | None) -> Prepared:
        return self.prepared


@dataclass(frozen=True)
class Versions(Made):
    several_versions = True


@dataclass(frozen=True)
class Around(Made):
    of: Dataset


@dataclass
class FakeRegistry:
    """What `prepare` uses of the registry."""

    component: Dataset
    built: int = 0

    def describe(self, kind, normal):
        return [{"full_name": "toys/toy", "source_digest": "s1"}]

    def build(self, kind, normal):
        self.built += 1
        return self.component


def data(train: Any = TRAIN, test: Any = TEST, sources: Any = None, of_test: Any = None) -> Prepared:
    return Prepared(
        Split({"image": train}, np.arange(12) % 3, sources),
        Split({"image": test}, np.arange(6) % 3, of_test),
        ("a", "b", "c"),
    )


def test_sources_lie_beside_the_labels_and_in_the_manifest_only_where_there_are_any(tmp_path):
    with_them = prepare(NORMAL, FakeRegistry(Made(data(sources=SOURCES))), None, tmp_path / "with")
    without = prepare(NORMAL, FakeRegistry(Made(data())), None, tmp_path / "without")
    assert np.load(with_them.folder / "train.sources.npy").tolist() == SOURCES.tolist()
    assert not (without.folder / "train.sources.npy").exists()
    assert "sources" not in str(without.manifest)
    assert "sources_digest" not in with_them.manifest["splits"]["test"]
    digest = with_them.manifest["splits"]["train"].pop("sources_digest")
    assert {k: v for k, v in with_them.manifest.items() if k != "hash"} == {
        k: v for k, v in without.manifest.items() if k != "hash"
    }
    assert with_them.manifest["hash"] != without.manifest["hash"]
    other = prepare(NORMAL, FakeRegistry(Made(data(sources=SOURCES // 2))), None, tmp_path / "other")
    assert other.manifest["splits"]["train"]["sources_digest"] != digest


def test_a_manifest_without_versions_holds_what_it_always_has(tmp_path):
    """So its hash, which committed trial ids hold, stays."""
    made = prepare(NORMAL, FakeRegistry(Made(data())), None, tmp_path)
    assert sorted(made.manifest) == [
        *("changes_label", "classes", "dataset", "hash", "licence"),
        *("modalities", "overlap", "skipped", "splits"),
    ]
    for said in made.manifest["splits"].values():
        assert sorted(said) == ["class_counts", "count", "digest", "labels_digest"]


def test_a_folder_that_lacks_its_sources_is_made_anew(tmp_path):
    registry = FakeRegistry(Made(data(sources=SOURCES)))
    first = prepare(NORMAL, registry, None, tmp_path)
    assert prepare(NORMAL, registry, None, tmp_path) == first and registry.built == 1
    (first.folder / "train.sources.npy").unlink()
    assert prepare(NORMAL, registry, None, tmp_path) == first and registry.built == 2
    assert (first.folder / "train.sources.npy").is_file()


@pytest.mark.parametrize(
    ("sources", "seen"),
    [
        (SOURCES[:11], r"int64 \(11,\)"),
        (SOURCES.astype(np.int32), r"int32 \(12,\)"),
        (SOURCES[:, None], r"int64 \(12, 1\)"),
        (SOURCES.tolist(), "list"),
    ],
)
def test_sources_of_another_form_are_refused(tmp_path, sources, seen):
    with pytest.raises(DataError, match=rf"train split: sources are {seen}, expected int64 \(12,\)"):
        prepare(NORMAL, FakeRegistry(Made(data(sources=sources))), None, tmp_path)


def test_a_test_split_has_no_versions(tmp_path):
    with pytest.raises(DataError, match="test split: it has sources"):
        prepare(NORMAL, FakeRegistry(Made(data(of_test=np.arange(6)))), None, tmp_path)


def test_an_image_that_is_in_both_splits_is_still_found_in_its_second_version(tmp_path):
    both = TRAIN.copy()
    both[9] = TEST[2]
    with pytest.raises(DataError, match=r"the first: test sample 2, train sample 9\)"):
        prepare(NORMAL, FakeRegistry(Made(data(both, sources=SOURCES))), None, tmp_path)


def test_damaged_versions_take_their_sources_with_them_and_are_listed_once(tmp_path):
    torn = data(Encoded(TRAIN, torn=(4, 10)), Encoded(TEST), SOURCES)
    made = prepare(NORMAL, FakeRegistry(Made(torn)), None, tmp_path)
    assert np.load(made.folder / "train.sources.npy").tolist() == [0, 1, 2, 3, 5, 0, 1, 2, 3, 5]
    assert made.manifest["skipped"] == ["4.png: torn"]


def test_a_dataset_around_versions_that_does_not_give_their_sources_on_is_refused(tmp_path):
    lost = Around(data(), of=Versions(data(sources=SOURCES)))
    with pytest.raises(DataError, match=r"Versions within it holds several versions.*Around does not say"):
        prepare(NORMAL, FakeRegistry(Around(data(), of=lost)), None, tmp_path)
    kept = Around(data(sources=SOURCES), of=Versions(data(sources=SOURCES)))
    assert prepare(NORMAL, FakeRegistry(kept), None, tmp_path).folder.is_dir()


def arrays(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.image.npy")}


def test_memory_map_decodes_what_is_too_large_to_decode_unless_a_stream_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STREAM_BYTES", 1)
    encoded = data(Encoded(TRAIN), Encoded(TEST))
    left = prepare(NORMAL, FakeRegistry(Made(encoded)), None, tmp_path / "left")
    assert arrays(left.folder) == set()
    registry = FakeRegistry(MemoryMap(of=Made(encoded)))
    streamed = prepare(NORMAL, registry, None, tmp_path / "mapped", mode="stream")
    assert arrays(streamed.folder) == set()
    mapped = prepare(NORMAL, registry, None, tmp_path / "mapped")  # what a stream left is completed
    assert arrays(mapped.folder) == {"train.image.npy", "test.image.npy"}
    assert mapped == streamed and mapped.manifest == left.manifest
    assert encoded_modalities(mapped.folder) == ["image"]
    assert prepare(NORMAL, registry, None, tmp_path / "mapped") == mapped and registry.built == 2
    assert np.array_equal(np.load(mapped.folder / "train.image.npy"), TRAIN)


def test_one_split_that_is_decoded_once_takes_the_other_with_it(tmp_path, monkeypatch):
    """A trial reads both in one way."""
    monkeypatch.setattr(module, "STREAM_BYTES", 1)
    once = Encoded(TRAIN)
    once.decode_once = True
    made = prepare(NORMAL, FakeRegistry(Made(data(once, Encoded(TEST)))), None, tmp_path)
    assert arrays(made.folder) == {"train.image.npy", "test.image.npy"}


def test_memory_map_marks_images_and_a_part_of_them_and_leaves_arrays_and_what_came_in():
    came = Encoded(TRAIN)
    prepared = MemoryMap(of=Made(data(came, TEST, SOURCES))).prepare(None)
    images = prepared.train.inputs["image"]
    assert images.decode_once and images[:3].decode_once and not came.decode_once
    assert np.array_equal(np.asarray(images), TRAIN)
    assert prepared.test.inputs["image"] is TEST
    assert prepared.train.sources is SOURCES

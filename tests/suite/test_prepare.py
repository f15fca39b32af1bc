import errno
import hashlib
import multiprocessing
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from harness.contract import Dataset, Prepared, Split
from harness.errors import DataError, PluginError
from harness.suite import prepare as module
from harness.suite.prepare import default_cache, prepare


def arrays(count=12, seed=0, channels=3):
    image = np.random.default_rng(seed).integers(0, 256, (count, channels, 4, 5), dtype=np.uint8)
    return Split({"image": image}, np.arange(count) % 3)


def good(**changes: Any) -> Prepared:
    return Prepared(**{"train": arrays(), "test": arrays(6, 1), "classes": ("a", "b", "c"), **changes})


@dataclass(frozen=True)
class Made(Dataset):
    """Returns, or raises, what the test says."""

    licence = "CC0"
    changes_label = frozenset({"vertical-flip", "horizontal-flip"})

    result: Any

    def prepare(self, root: Path | None) -> Prepared:
        result = self.result(root) if callable(self.result) else self.result
        if isinstance(result, BaseException):
            raise result
        return result


@dataclass
class FakeRegistry:
    """What `prepare` uses of the registry."""

    result: Any = field(default_factory=good)
    source_digest: str = "s1"
    built: int = 0

    def describe(self, kind, normal):
        return [{"full_name": f"toys/{normal['name']}", "source_digest": self.source_digest}]

    def build(self, kind, normal):
        self.built += 1
        return Made(self.result)


NORMAL = {"name": "toy", "params": {"size": 3}, "validation": 0.1}


def test_the_arrays_and_the_manifest_say_the_same(tmp_path):
    data = good(skipped=("file 3: damaged",))
    prepared = prepare(NORMAL, FakeRegistry(data), None, tmp_path)
    manifest = prepared.manifest
    assert manifest == orjson.loads((prepared.folder / "manifest.json").read_bytes())
    for name, split in (("train", data.train), ("test", data.test)):
        image = np.load(prepared.folder / f"{name}.image.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(prepared.folder / f"{name}.labels.npy", mmap_mode="r", allow_pickle=False)
        assert np.array_equal(image, split.inputs["image"])
        assert np.array_equal(labels, split.labels)
        assert (image.dtype, labels.dtype) == (np.uint8, np.int64)
    assert manifest["dataset"] == "toys/toy"
    assert manifest["classes"] == ["a", "b", "c"]
    assert manifest["splits"]["train"]["count"] == 12
    assert manifest["splits"]["train"]["class_counts"] == [4, 4, 4]
    assert manifest["splits"]["test"]["class_counts"] == [2, 2, 2]
    assert manifest["overlap"] == 0
    assert manifest["skipped"] == ["file 3: damaged"]
    assert manifest["licence"] == "CC0"
    assert manifest["changes_label"] == ["horizontal-flip", "vertical-flip"]
    image = manifest["modalities"]["image"]
    assert (image["shape"], image["dtype"]) == ([3, 4, 5], "uint8")


def test_mean_and_deviation_are_those_of_the_training_split_in_parts_or_whole(tmp_path, monkeypatch):
    data = good(train=arrays(500))
    whole = prepare(NORMAL, FakeRegistry(data), None, tmp_path / "whole").manifest
    monkeypatch.setattr("harness.suite.manifest.BYTES_AT_ONCE", 700)
    parts = prepare(NORMAL, FakeRegistry(data), None, tmp_path / "parts").manifest
    assert whole == parts
    scaled = data.train.inputs["image"].astype(np.float64) / 255
    assert np.allclose(whole["modalities"]["image"]["mean"], scaled.mean((0, 2, 3)), rtol=0, atol=1e-14)
    assert np.allclose(whole["modalities"]["image"]["std"], scaled.std((0, 2, 3)), rtol=0, atol=1e-14)


def test_the_hash_covers_the_whole_manifest_and_every_byte_of_the_data(tmp_path):
    def manifest_of(name, data):
        return prepare(NORMAL, FakeRegistry(data), None, tmp_path / name).manifest

    first = manifest_of("first", good())
    rest = {key: value for key, value in first.items() if key != "hash"}
    canonical = orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)
    assert first["hash"] == hashlib.blake2b(canonical, digest_size=16).hexdigest()
    assert manifest_of("again", good())["hash"] == first["hash"]
    changed = good()
    changed.test.inputs["image"][-1, -1, -1, -1] ^= 1
    swapped = good()
    swapped.train.labels[:2] = swapped.train.labels[:2][::-1].copy()
    named = good(classes=("a", "b", "z"))
    hashes = {manifest_of(str(index), data)["hash"] for index, data in enumerate((changed, swapped, named))}
    assert len(hashes | {first["hash"]}) == 4


def test_a_prepared_folder_is_opened_without_a_look_at_data_or_plugin(tmp_path):
    registry = FakeRegistry()
    first = prepare(NORMAL, registry, None, tmp_path)
    second = prepare(NORMAL, registry, None, tmp_path)
    assert registry.built == 1
    assert second == first


def test_what_the_data_is_made_by_decides_the_folder_and_the_validation_share_does_not(tmp_path):
    def folder(normal=NORMAL, registry=None, root=None):
        return prepare(normal, registry or FakeRegistry(), root, tmp_path).folder

    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    first = folder()
    assert folder({**NORMAL, "validation": 0.5}) == first
    others = [
        folder({**NORMAL, "params": {"size": 4}}),
        folder({**NORMAL, "name": "other"}),
        folder(registry=FakeRegistry(source_digest="s2")),
        folder(root=tmp_path / "one"),
    ]
    assert len({first, *others}) == 5
    assert folder(root=tmp_path / "link") == others[-1]


@pytest.mark.parametrize("damage", ["manifest cut", "manifest edited", "array gone", "empty folder"])
def test_a_damaged_folder_is_made_again(tmp_path, damage):
    registry = FakeRegistry()
    prepared = prepare(NORMAL, registry, None, tmp_path)
    manifest = prepared.folder / "manifest.json"
    if damage == "manifest cut":
        manifest.write_bytes(manifest.read_bytes()[:100])
    elif damage == "manifest edited":
        manifest.write_bytes(manifest.read_bytes().replace(b"CC0", b"MIT"))
    elif damage == "array gone":
        (prepared.folder / "test.labels.npy").unlink()
    else:
        for file in prepared.folder.iterdir():
            file.unlink()
    assert prepare(NORMAL, registry, None, tmp_path) == prepared
    assert registry.built == 2
    assert orjson.loads(manifest.read_bytes()) == prepared.manifest


def test_of_several_that_want_the_same_one_makes_it_and_the_others_wait(tmp_path):
    def slowly(root):
        time.sleep(0.2)
        return good()

    registry = FakeRegistry(slowly)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(prepare(NORMAL, registry, None, tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.built == 1
    assert len(results) == 4
    assert all(each == results[0] for each in results)


def die_while_decoding(cache):
    prepare(NORMAL, FakeRegistry(lambda root: os._exit(9)), None, cache)


def die_while_writing(cache):
    module._sync = lambda folder: os._exit(9)  # the arrays are written, the folder has not got its name
    prepare(NORMAL, FakeRegistry(), None, cache)


@pytest.mark.parametrize("die", [die_while_decoding, die_while_writing])
def test_a_crash_frees_the_lock_and_leaves_nothing_that_is_opened(tmp_path, die):
    process = multiprocessing.get_context("fork").Process(target=die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    left = [path.name for path in (tmp_path / "prepared").iterdir()]
    assert all(name.endswith((".lock", ".partial")) for name in left)
    registry = FakeRegistry()
    prepared = prepare(NORMAL, registry, None, tmp_path)
    assert registry.built == 1
    left = sorted(path.name for path in (tmp_path / "prepared").iterdir())
    assert left == [prepared.folder.name, f"{prepared.folder.name}.lock"]


def unfit(split="train", **arrays_changed):
    data = good()
    old = getattr(data, split)
    inputs = {"image": arrays_changed.get("image", old.inputs["image"])}
    return good(**{split: Split(inputs, arrays_changed.get("labels", old.labels))})


def overlapping():
    data = good()
    data.test.inputs["image"][[1, 4]] = data.train.inputs["image"][7]
    return data


UNFIT = {
    "empty set": (unfit(image=arrays(0).inputs["image"], labels=arrays(0).labels), r"train split: 0 samples"),
    "empty test": (unfit("test", image=arrays(0).inputs["image"], labels=arrays(0).labels), r"test split: 0 samples"),
    "empty class": (
        good(classes=("a", "b", "c", "d")),
        r"train split: 1 of 4 classes have no sample \(d\); 12 samples lie in 3",
    ),
    "empty class in test": (unfit("test", labels=np.zeros(6, np.int64)), r"test split: 2 of 3 classes .*\(b, c\)"),
    "one class": (good(classes=("a",)), "1 class, at least 2"),
    "one class of three": (unfit(labels=np.ones(12, np.int64)), r"2 of 3 classes .*12 samples lie in 1 class"),
    "label out of range": (
        unfit(labels=np.array([0, 1, 2, 3, -1, 3] * 2)),
        r"6 of 12 labels are not within 0 to 2: \[-1, 3\]",
    ),
    "labels not int64": (unfit(labels=np.arange(12, dtype=np.int32) % 3), r"labels are int32 \(12,\)"),
    "not uint8": (unfit(image=np.zeros((12, 3, 4, 5), np.float32)), r"image is float32 \(12, 3, 4, 5\)"),
    "channels last": (unfit(image=np.zeros((12, 4, 5, 3), np.uint8)), r"image is uint8 \(12, 4, 5, 3\).*C of 1 or 3"),
    "counts differ": (unfit(image=arrays(11).inputs["image"]), "11 samples of image and 12 labels"),
    "shapes differ": (
        unfit("test", image=np.zeros((6, 3, 4, 4), np.uint8)),
        r"\(3, 4, 5\)\} in the train split and .*\(3, 4, 4\)",
    ),
    "no inputs": (good(train=Split({}, arrays().labels)), "no inputs"),
    "overlap": (
        overlapping(),
        r"2 of 6 test samples are in the train split too, as 1 of its 12 .*test sample 1, train sample 7",
    ),
    "constant channel": (
        unfit(image=arrays().inputs["image"] * np.array([1, 0, 1], np.uint8)[:, None, None]),
        "channel 1 is 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_data_is_refused_with_counts_and_nothing_is_kept(tmp_path, name):
    data, message = UNFIT[name]
    with pytest.raises(DataError, match=message) as caught:
        prepare(NORMAL, FakeRegistry(data), None, tmp_path)
    assert 'dataset "toys/toy"' in str(caught.value)
    assert [path.suffix for path in (tmp_path / "prepared").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("no file matches /x/train*"),
        ValueError("train-0 row 3: truncated"),
        PermissionError("x"),
    ],
)
def test_what_a_dataset_says_of_absent_or_damaged_data_is_passed_on(tmp_path, error):
    with pytest.raises(DataError) as caught:
        prepare(NORMAL, FakeRegistry(error), None, tmp_path)
    assert str(error) in str(caught.value)
    assert "toys/toy" in str(caught.value)


@pytest.mark.parametrize(
    "result", [KeyError("label"), ZeroDivisionError(), SystemExit(0), {"train": None}, lambda _: None]
)
def test_any_other_failure_names_the_plugin(tmp_path, result):
    with pytest.raises(PluginError, match="toys/toy"):
        prepare(NORMAL, FakeRegistry(result), None, tmp_path)


def test_the_data_root_is_handed_on(tmp_path):
    seen = []
    registry = FakeRegistry(lambda root: seen.append(root) or good())
    prepare(NORMAL, registry, tmp_path / "data", tmp_path)
    prepare(NORMAL, registry, None, tmp_path)
    assert seen == [(tmp_path / "data").resolve(), None]


def test_a_full_disk_is_named_with_folder_and_bytes_and_leaves_nothing(tmp_path, monkeypatch):
    def full(file, array):
        file.write(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_save", full)
    bytes_needed = (12 + 6) * (3 * 4 * 5 + 8)
    with pytest.raises(DataError, match=rf"{tmp_path}/prepared/.*\({bytes_needed:,} bytes .*No space left"):
        prepare(NORMAL, FakeRegistry(), None, tmp_path)
    assert [path.suffix for path in (tmp_path / "prepared").iterdir()] == [".lock"]


def test_too_little_room_is_seen_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100}))
    monkeypatch.setattr(module, "_save", lambda file, array: pytest.fail("written"))
    with pytest.raises(DataError, match="1,224 bytes"):
        prepare(NORMAL, FakeRegistry(), None, tmp_path)


def test_a_file_where_a_folder_should_be_is_named_before_data_is_decoded(tmp_path):
    registry = FakeRegistry()
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match="cache/prepared: a file stands where a folder should be"):
        prepare(NORMAL, registry, None, tmp_path / "cache")
    (tmp_path / "prepared").write_text("a file")
    with pytest.raises(DataError, match="prepared: a file stands"):
        prepare(NORMAL, registry, None, tmp_path)
    assert registry.built == 0


def test_a_file_in_the_place_of_the_prepared_folder_is_named(tmp_path):
    folder = prepare(NORMAL, FakeRegistry(), None, tmp_path / "elsewhere").folder
    place = tmp_path / "prepared" / folder.name
    place.parent.mkdir()
    place.write_text("a file")
    with pytest.raises(DataError, match=f"{folder.name}: a file stands"):
        prepare(NORMAL, FakeRegistry(), None, tmp_path)
    assert place.read_text() == "a file"


def test_a_read_only_file_system_is_named_before_data_is_decoded(tmp_path, monkeypatch):
    def read_only(*arguments):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    registry = FakeRegistry()
    monkeypatch.setattr(module.os, "open", read_only)
    with pytest.raises(DataError, match=f"{tmp_path}/prepared: cannot be written: Read-only file system"):
        prepare(NORMAL, registry, None, tmp_path)
    assert registry.built == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_cache_is_named_and_what_is_prepared_in_it_is_opened(tmp_path):
    prepared = prepare(NORMAL, FakeRegistry(), None, tmp_path)
    (tmp_path / "prepared").chmod(0o555)
    try:
        assert prepare(NORMAL, FakeRegistry(), None, tmp_path) == prepared
        with pytest.raises(DataError, match="prepared: cannot be written"):
            prepare({**NORMAL, "name": "other"}, FakeRegistry(), None, tmp_path)
    finally:
        (tmp_path / "prepared").chmod(0o755)


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("HARNESS_CACHE")
    assert default_cache().name == "harness-bench"


def test_first_party_digits_and_a_subset_of_them_come_through_the_registry(tmp_path):
    from harness.registry.discovery import discover

    torch_was_there = "torch" in sys.modules
    registry = discover()
    table = {"name": "subset", "of": "digits", "fraction": 0.25}
    normal, problems = registry.validate("dataset", table, "recipe.dataset")
    assert not problems
    manifest = prepare(normal, registry, None, tmp_path).manifest
    whole, problems = registry.validate("dataset", "digits", "recipe.dataset")
    of = prepare(whole, registry, None, tmp_path).manifest
    assert manifest["splits"]["test"] == of["splits"]["test"]
    assert manifest["splits"]["train"]["count"] == round(0.25 * of["splits"]["train"]["count"])
    assert manifest["licence"] == of["licence"]
    flips = ["alternating-flip", "horizontal-flip", "vertical-flip"]
    assert manifest["changes_label"] == of["changes_label"] == flips
    assert "torch" not in sys.modules or torch_was_there
    bad = registry.validate("dataset", {**table, "samples": 5}, "recipe.dataset")[1]
    assert "exactly one" in bad[0].message

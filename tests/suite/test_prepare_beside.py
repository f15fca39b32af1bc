"""What lies beside data and beside prepared data: logs that are no data, and folders of what data was before."""

import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli import doctor
from harness.cli.prepared_data import prepared_data
from harness.contract import Dataset, Prepared, Split
from harness.suite.prepare import PreparedData, prepare

NORMAL = {"name": "toy", "params": {}, "validation": 0.1}


@dataclass(frozen=True)
class Reads(Dataset):
    """All images of a folder; and of its log file the number of lines, where the test says so."""

    reads_log: bool

    def prepare(self, root: Path | None) -> Prepared:
        assert root is not None
        found = [np.load(path) for path in sorted(root.iterdir()) if path.suffix == ".npy"]
        if self.reads_log:
            found *= len((root / "some.log").read_text().splitlines())
        images = np.stack(found)
        labels = np.arange(len(images)) % 2
        test = np.arange(2 * 48, dtype=np.uint8).reshape(2, 3, 4, 4)
        return Prepared(
            Split({"image": images}, labels), Split({"image": test}, np.array([0, 1])), ("a", "b")
        )


@dataclass
class Registry:
    """What `prepare` uses of the registry; counts how often a dataset was asked."""

    reads_log: bool = False
    asked: int = field(default=0)

    def describe(self, kind: str, normal: Any) -> list[dict[str, str]]:
        return [{"full_name": "toys/toy", "source_digest": f"s{self.reads_log}"}]

    def build(self, kind: str, normal: Any) -> Reads:
        self.asked += 1
        return Reads(self.reads_log)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(4):
        save(folder / f"{number}.npy", number)
    (folder / "some.log").write_text("begun\n")
    return folder


def save(path: Path, seed: int) -> None:
    np.save(path, np.random.default_rng(seed).integers(0, 256, (3, 4, 4), dtype=np.uint8))


def again(root: Path, registry: Any, params: dict[str, int] | None = None) -> PreparedData:
    return prepare({**NORMAL, "params": params or {}}, registry, root, root.parent / "cache")


@pytest.mark.parametrize(
    "name", ["some.log", "other.log", "data.lock", "0.npy.tmp", "labels.cache", "0.npy~"]
)
def test_what_a_program_writes_beside_data_has_nothing_decoded_anew(root: Path, name: str) -> None:
    registry = Registry()
    first = again(root, registry)
    for words in ("a line\n", "a line\nand another\n"):
        (root / name).write_text(words)
        assert (again(root, registry), registry.asked) == (first, 1)
    (root / name).unlink()
    assert (again(root, registry), registry.asked) == (first, 1)


def test_any_other_file_of_a_listed_folder_counts(root: Path) -> None:
    registry = Registry()
    again(root, registry)
    (root / "readme.txt").write_text("new")
    assert again(root, registry).notice == "" and registry.asked == 2


def test_a_log_that_the_dataset_reads_is_data(root: Path) -> None:
    registry = Registry(reads_log=True)
    first = again(root, registry)
    assert again(root, registry) == first and registry.asked == 1
    (root / "some.log").write_text("begun\nended\n")
    second = again(root, registry)
    assert second.manifest["splits"]["train"]["count"] == 8
    assert "1 file changed, some.log" in second.notice


def test_what_data_was_before_is_told_with_its_size_and_what_other_parameters_made_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.cli.prepared_data.gigabytes", lambda count: f"{count} B")
    cache = root.parent / "cache"
    assert prepared_data(cache) is None
    registry = Registry()
    folders = [again(root, registry).folder]
    other = again(root, registry, {"size": 2}).folder
    told = prepared_data(cache)
    assert told is not None and "before it changed" not in told[0] and told[1] == ""
    for seed in (10, 11):
        save(root / "0.npy", seed)
        folders.append(again(root, registry).folder)
    told = prepared_data(cache)
    assert told is not None
    text, fix = told
    sizes = [sum(file.stat().st_size for file in one.iterdir()) for one in (*folders, other)]
    assert (
        text.startswith(f"{sum(sizes)} B in ") and f", {sizes[0] + sizes[1]} B of it data as it was" in text
    )
    command = shlex.split(fix.partition(": ")[2])
    assert command[:2] == ["rm", "-r"] and {*command[2:]} == {str(one) for one in folders[:2]}
    assert str(other) not in fix
    for one in command[2:]:
        shutil.rmtree(one)
    asked = registry.asked
    assert again(root, registry).folder == folders[2] and registry.asked == asked
    told = prepared_data(cache)
    assert told is not None and told[1] == "" and other.is_dir()


def test_the_doctor_tells_it_and_nothing_is_broken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = root.parent / "cache"
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    assert "prepared data" not in {one.name for one in doctor._machine(Path("results"))}
    registry = Registry()
    first = again(root, registry).folder
    found = {one.name: one for one in doctor._machine(Path("results"))}
    assert found["prepared data"].status == "ok"
    save(root / "0.npy", 10)
    again(root, registry)
    found = {one.name: one for one in doctor._machine(Path("results"))}
    assert found["prepared data"].status == "note" and str(first) in found["prepared data"].fix

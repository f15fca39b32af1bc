"""Data whose files changed since it was prepared: noticed, prepared anew, and told."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from harness.contract import Dataset, Prepared, Split
from harness.errors import DataError
from harness.registry.discovery import discover
from harness.suite.prepare import prepare

RANDOM = np.random.default_rng(5)


def arrays(images: np.ndarray) -> Split:
    return Split({"image": images}, np.arange(len(images)) % 2)


def save(path: Path, count: int = 6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, RANDOM.integers(0, 256, (count, 3, 4, 4), dtype=np.uint8))


def prepared_of(train: np.ndarray) -> Prepared:
    test = np.random.default_rng(9).integers(0, 256, (4, 3, 4, 4), dtype=np.uint8)
    return Prepared(arrays(train), arrays(test), ("a", "b"))


@dataclass(frozen=True)
class Reads(Dataset):
    """Does what the test says, with its data root."""

    read: Any

    def prepare(self, root: Path | None) -> Prepared:
        return prepared_of(self.read(root))


@dataclass
class Registry:
    """What `prepare` uses of the registry; counts how often a dataset was asked."""

    read: Any
    asked: int = field(default=0)

    def describe(self, kind, normal):
        return [{"full_name": "toys/toy", "source_digest": "s"}]

    def build(self, kind, normal):
        self.asked += 1
        return Reads(self.read)


NORMAL = {"name": "toy", "params": {}, "validation": 0.1}


def all_below(root: Path) -> np.ndarray:
    return np.concatenate([np.load(path) for path in sorted(root.glob("**/*.npy"))])


@pytest.fixture
def root(tmp_path):
    for name in ("one", "two"):
        save(tmp_path / "data" / "part" / f"{name}.npy")
    return tmp_path / "data"


def again(root: Path, registry: Registry, **options: Any):
    return prepare(NORMAL, registry, root, root.parent / "cache", **options)


def change(root: Path) -> None:
    save(root / "part" / "one.npy")


def grow(root: Path) -> None:
    save(root / "part" / "one.npy", 8)


def add(root: Path) -> None:
    save(root / "part" / "three.npy")


def remove(root: Path) -> None:
    (root / "part" / "two.npy").unlink()


def replace_by_another_that_is_as_old(root: Path) -> None:
    save(root.parent / "other.npy", 8)
    old = (root / "part" / "one.npy").stat()
    os.utime(root.parent / "other.npy", ns=(old.st_atime_ns, old.st_mtime_ns))
    (root.parent / "other.npy").replace(root / "part" / "one.npy")


def add_a_folder(root: Path) -> None:
    save(root / "new" / "three.npy")


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (change, "1 file changed, part/one.npy"),
        (grow, "1 file changed, part/one.npy"),
        (add, "1 file changed, part/three.npy"),
        (remove, "1 file changed, part/two.npy"),
        (replace_by_another_that_is_as_old, "1 file changed, part/one.npy"),
        (add_a_folder, "1 file changed, new"),
    ],
)
def test_what_changed_is_noticed_named_and_prepared_anew(root, alter, named):
    registry = Registry(all_below)
    first = again(root, registry)
    assert first.notice == ""
    was = (first.folder / "train.image.npy").read_bytes()
    alter(root)
    second = again(root, registry)
    assert np.array_equal(np.load(second.folder / "train.image.npy"), all_below(root))
    assert second.manifest["hash"] != first.manifest["hash"]
    assert named in second.notice and str(first.folder) in second.notice and "\n" not in second.notice
    assert (first.folder / "train.image.npy").read_bytes() == was  # a run that goes on reads it
    third = again(root, registry)
    assert (third, third.notice, registry.asked) == (second, "", 2)


def test_what_was_only_touched_stays_what_it_is(root):
    registry = Registry(all_below)
    first = again(root, registry)
    for path in root.glob("**/*.npy"):
        os.utime(path)
    for asked in (2, 2):  # prepared anew once, to see that nothing changed
        second = again(root, registry)
        assert (second, second.notice, registry.asked) == (first, "", asked)


def test_files_that_come_back_are_known_and_told(root):
    registry = Registry(all_below)
    first = again(root, registry)
    add(root)
    again(root, registry)
    (root / "part" / "three.npy").unlink()
    back = again(root, registry)
    assert (back, registry.asked) == (first, 2)
    assert "1 file changed, part/three.npy" in back.notice
    assert again(root, registry).notice == ""


def test_a_file_that_changes_while_it_is_read_is_noticed_next_time(root, tmp_path):
    def slowly(root):
        found = all_below(root)
        if registry.asked == 1:  # by another process: what the dataset writes itself is no change
            subprocess.run(["cp", tmp_path / "other.npy", root / "part" / "one.npy"], check=True)
        return found

    save(tmp_path / "other.npy")
    registry = Registry(slowly)
    again(root, registry)
    second = again(root, registry)
    assert np.array_equal(np.load(second.folder / "train.image.npy"), all_below(root))


def test_a_file_outside_the_data_root_is_noticed_and_one_of_the_cache_is_not(root, tmp_path, monkeypatch):
    def read(root):
        (tmp_path / "cache" / "mine.npy").write_bytes(b"x")
        (tmp_path / "cache" / "mine.npy").read_bytes()
        return np.load(tmp_path / "elsewhere" / "some.npz")["image"]

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "elsewhere" / "some.npz"
    place.parent.mkdir()
    np.savez(place, image=RANDOM.integers(0, 256, (6, 3, 4, 4), dtype=np.uint8))
    registry = Registry(read)
    first = prepare(NORMAL, registry, None, tmp_path / "cache")
    assert prepare(NORMAL, registry, None, tmp_path / "cache") == first and registry.asked == 1
    np.savez(place, image=RANDOM.integers(0, 256, (6, 3, 4, 4), dtype=np.uint8))
    second = prepare(NORMAL, registry, None, tmp_path / "cache")
    assert second.manifest["hash"] != first.manifest["hash"]
    assert f"1 file changed, {place}" in second.notice
    sources = orjson.loads((second.folder / "sources.json").read_bytes())
    assert [[*folders] for folders in sources] == [[], [str(place.parent)]]


def test_a_file_that_was_looked_for_in_vain_is_noticed_when_it_comes(root):
    def read(root):
        try:
            return np.load(root / "better.npy")
        except FileNotFoundError:
            return np.load(root / "part" / "one.npy")

    registry = Registry(read)
    again(root, registry)
    again(root, registry)
    assert registry.asked == 1
    save(root / "better.npy")
    assert "1 file changed, better.npy" in again(root, registry).notice


def test_what_the_dataset_writes_or_makes_for_a_while_is_no_change(root, tmp_path):
    def read(root):
        found = all_below(root)
        (root / "part" / "index.json").write_text("{}")
        temporary = tmp_path / f"unpacked-{registry.asked}"
        temporary.mkdir()
        shutil.copy(root / "part" / "one.npy", temporary)
        np.load(temporary / "one.npy")
        shutil.rmtree(temporary)
        return found

    registry = Registry(read)
    first = again(root, registry)
    assert again(root, registry) == first and registry.asked == 1
    (root / "part" / "index.json").write_text("{1}")
    assert again(root, registry) == first and registry.asked == 2


def test_imports_are_no_sources(root, tmp_path, monkeypatch):
    (root / "helper_of_sources.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(root))

    def read(root):
        import helper_of_sources

        assert helper_of_sources.VALUE
        return np.load(root / "part" / "one.npy")

    registry = Registry(read)
    first = again(root, registry)
    sources = orjson.loads((first.folder / "sources.json").read_bytes())
    assert sources[0] == {} and {name for names in sources[1].values() for name in names} == {"one.npy"}


def part(root: Path) -> np.ndarray:
    """Read one layout or, where it is not there, another."""
    folder = next((root / name for name in ("part", "whole") if (root / name).is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"nothing at {root}")
    return all_below(folder)


def test_data_that_is_not_there_any_more_is_taken_as_it_was_prepared_and_said_so(root):
    registry = Registry(part)
    first = again(root, registry)
    shutil.rmtree(root)
    second = again(root, registry)
    assert second == first
    assert f"no file of the data is left ({root}/part)" in second.notice


def test_data_that_is_there_in_another_place_is_taken_from_there(root):
    registry = Registry(part)
    first = again(root, registry)
    shutil.rmtree(root / "part")
    save(root / "whole" / "one.npy")
    second = again(root, registry)
    assert second.manifest["hash"] != first.manifest["hash"]
    assert "2 files changed, first part/one.npy" in second.notice


def test_data_of_which_a_part_is_left_is_not_taken_as_it_was(root):
    def both(root):
        if len(list((root / "part").iterdir())) < 2:
            raise FileNotFoundError("two.npy is not there")
        return all_below(root)

    registry = Registry(both)
    again(root, registry)
    remove(root)
    with pytest.raises(DataError, match=r"two\.npy is not there"):
        again(root, registry)


def test_damaged_files_are_refused_though_they_were_whole_before(root):
    registry = Registry(all_below)
    again(root, registry)
    (root / "part" / "one.npy").write_bytes(b"torn")
    with pytest.raises(DataError, match="toys/toy"):
        again(root, registry)


@pytest.mark.parametrize("text", [None, b"", b"[1", b"[]", b"{}", b"[[], 1]"])
def test_a_folder_of_an_earlier_version_is_read_through_once_and_kept(root, text):
    registry = Registry(all_below)
    first = again(root, registry)
    sources = first.folder / "sources.json"
    sources.unlink() if text is None else sources.write_bytes(text)
    for _ in range(2):
        second = again(root, registry)
        assert (second, second.notice, registry.asked) == (first, "", 2)
    sources.unlink()
    change(root)
    assert "read from then is not known" in again(root, registry).notice


def test_names_that_are_no_text_are_kept_and_told_on_one_line(root):
    odd = root / "part" / os.fsdecode(b"od\xff\n\x1b[2J.npy")
    save(odd)
    registry = Registry(all_below)
    first = again(root, registry)
    assert again(root, registry) == first and registry.asked == 1
    save(odd)
    second = again(root, registry)
    assert second.manifest["hash"] != first.manifest["hash"]
    assert r"1 file changed, part/od\udcff\n\x1b[2J.npy;" in second.notice and second.notice.isprintable()


def picture(path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(path)


def pictures(root: Path) -> None:
    for split, count in (("train", 4), ("test", 2)):
        for name in ("ant", "bee"):
            for number in range(count):
                picture(root / split / name / f"{number}.png")


def of(registry, table):
    normal, problems = registry.validate("dataset", table, "recipe.dataset")
    assert not problems
    return normal


@pytest.mark.parametrize("mode", ["auto", "stream"])
def test_an_image_folder_a_csv_list_and_what_is_around_them_notice_a_picture(tmp_path, mode):
    pictures(tmp_path / "data")
    names = sorted(path.relative_to(tmp_path / "data") for path in (tmp_path / "data").glob("*/*/*.png"))
    rows = [f"{name},{name.parts[1]},{name.parts[0]}" for name in names]
    (tmp_path / "data" / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    registry = discover()
    tables = ["image-folder", {"name": "csv", "file": "list.csv"}]
    tables.append({"name": "subset", "of": "image-folder", "samples": 4})
    before = [
        prepare(of(registry, t), registry, tmp_path / "data", tmp_path / "c", mode=mode) for t in tables
    ]
    for name in ("train/ant/2.png", "test/bee/1.png", "train/bee/0.png", "train/ant/0.png"):
        picture(tmp_path / "data" / name)
    picture(tmp_path / "data" / "train" / "bee" / "1.png")
    for table, old in zip(tables, before, strict=True):
        new = prepare(of(registry, table), registry, tmp_path / "data", tmp_path / "c", mode=mode)
        assert new.manifest["hash"] != old.manifest["hash"]
        assert "5 files changed, first test/bee/1.png" in new.notice


def test_files_that_a_library_opens_by_itself_are_noticed(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def write(name: str, count: int) -> None:
        cells = []
        for number in range(count):
            picture(tmp_path / f"{number}.png")
            cells.append({"bytes": (tmp_path / f"{number}.png").read_bytes(), "path": None})
        table = pyarrow.table({"image": cells, "label": [number % 2 for number in range(count)]})
        parquet.write_table(table, tmp_path / "data" / name)

    (tmp_path / "data").mkdir()
    write("train.parquet", 6)
    write("test.parquet", 4)
    registry = discover()
    normal = of(registry, {"name": "parquet", "train": "train.parquet", "test": "test.parquet"})
    first = prepare(normal, registry, tmp_path / "data", tmp_path / "cache")
    assert prepare(normal, registry, tmp_path / "data", tmp_path / "cache").notice == ""
    write("test.parquet", 4)
    second = prepare(normal, registry, tmp_path / "data", tmp_path / "cache")
    assert second.manifest["hash"] != first.manifest["hash"]
    assert "1 file changed, test.parquet" in second.notice


SUITE = """
schema = 1
name = "changes"
baseline = "plain"
replicates = 2
[budget]
epochs = 1
[recipe]
dataset = { name = "image-folder", validation = 0.5 }
backbone = { name = "simple-cnn", width = 4 }
optimizer = { name = "sgd", lr = 0.1 }
schedule = { name = "cosine" }
batch_size = 4
[arms.plain]
"""


def test_the_user_is_told_in_one_line_and_trials_get_new_ids_only_for_new_content(
    tmp_path, monkeypatch, capsys
):
    from harness.cli.running import Settings, make_ready

    def trials():
        settings = Settings(tmp_path / "results", tmp_path / "data", None, None, 1, "cpu", False, 600.0)
        ids = [trial.id for trial in make_ready(tmp_path / "suite.toml", settings).plan.trials]
        said = [line for line in capsys.readouterr().err.splitlines() if "data changed" in line]
        return ids, said

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    pictures(tmp_path / "data")
    (tmp_path / "suite.toml").write_text(SUITE)
    first, said = trials()
    assert not said
    os.utime(tmp_path / "data" / "train" / "ant" / "0.png")
    assert trials() == (first, [])
    picture(tmp_path / "data" / "train" / "ant" / "0.png")
    second, said = trials()
    assert not set(first) & set(second) and len(said) == 1
    assert said[0].startswith("note: data changed since it was prepared")
    assert "1 file changed, train/ant/0.png" in said[0]
    assert trials() == (second, [])

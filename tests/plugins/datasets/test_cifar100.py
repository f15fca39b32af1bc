"""CIFAR-100 in torchvision's layout and the hub's, against torchvision's own reader."""

import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR100

from harness_plugins.datasets import cifar100
from harness_plugins.datasets.cifar100 import Cifar100

FINE = [f"class {number:02d}" for number in range(100)]
COARSE = [f"group {number:02d}" for number in range(20)]


def dump(content):
    """As Python 3 writes bytes, and under the module's name that the official file has."""
    return pickle.dumps(content, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write(folder, changes=None):
    """A hundred images to train on and twenty to test on."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    files = {}
    for name, count in (("train", 100), ("test", 20)):
        fine = generator.permutation(100)[:count].tolist()
        files[name] = {
            b"filenames": [b"a.png"] * count,
            b"batch_label": name.encode(),
            b"fine_labels": fine,
            b"coarse_labels": [label // 5 for label in fine],
            b"data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
        }
    names = {
        b"fine_label_names": [n.encode() for n in FINE],
        b"coarse_label_names": [n.encode() for n in COARSE],
    }
    files["meta"] = names
    for name, content in {**files, **(changes or {})}.items():
        (folder / name).write_bytes(dump(content))
    return files


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(cifar100, "TRAIN_COUNT", 100)
    monkeypatch.setattr(cifar100, "TEST_COUNT", 20)


class Reference(CIFAR100):
    """Torchvision's reader, without the digests of the official files."""

    def _check_integrity(self):
        return True

    def _load_meta(self):
        with Path(self.root, self.base_folder, "meta").open("rb") as file:
            self.classes = [
                name.decode() for name in pickle.load(file, encoding="bytes")[b"fine_label_names"]
            ]


@pytest.mark.parametrize("place", ["cifar100", "."])
def test_it_reads_what_torchvision_reads(tmp_path, place):
    files = write(tmp_path / place / "cifar-100-python")
    # torchvision reads strings where Python 2 wrote them; ours holds bytes under the same keys
    for name in ("train", "test"):
        other = tmp_path / "reference" / "cifar-100-python"
        other.mkdir(parents=True, exist_ok=True)
        text = {key.decode(): value for key, value in files[name].items()}
        (other / name).write_bytes(pickle.dumps(text, 2))
    (other / "meta").write_bytes((tmp_path / place / "cifar-100-python" / "meta").read_bytes())
    prepared = Cifar100().prepare(tmp_path)
    for split, is_train in ((prepared.train, True), (prepared.test, False)):
        reference = Reference(str(tmp_path / "reference"), train=is_train)
        assert np.array_equal(split.inputs["image"].transpose(0, 2, 3, 1), reference.data)
        assert split.labels.tolist() == reference.targets
        assert split.labels.dtype == np.int64
    assert list(prepared.classes) == reference.classes


def test_coarse_labels_are_the_superclasses(tmp_path):
    files = write(tmp_path / "cifar-100-python")
    prepared = Cifar100(labels="coarse").prepare(tmp_path)
    assert prepared.classes == tuple(COARSE)
    assert prepared.train.labels.tolist() == [label // 5 for label in files["train"][b"fine_labels"]]


@pytest.mark.parametrize(("labels", "names"), [("fine", FINE), ("coarse", COARSE)])
def test_the_hubs_files_are_read(tmp_path, encoded, write_rows, labels, names):
    files = write(tmp_path / "elsewhere")
    for name in ("train", "test"):
        pixels = files[name][b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        write_rows(
            tmp_path / "cifar100" / f"{name}-00000-of-00001.parquet",
            [encoded(np.ascontiguousarray(image)) for image in pixels],
            files[name][f"{labels}_labels".encode()],
            names,
            columns=("img", f"{labels}_label"),
        )
    prepared = Cifar100(labels=labels).prepare(tmp_path)
    assert prepared.classes == tuple(names)
    assert np.array_equal(prepared.test.inputs["image"].reshape(20, -1), files["test"][b"data"])
    assert prepared.test.labels.tolist() == files["test"][f"{labels}_labels".encode()]


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_malicious_pickle_calls_nothing(tmp_path, name):
    trace = tmp_path / "called"
    write(tmp_path / "cifar-100-python", {name: {b"data": Call(os.mkdir, str(trace))}})
    with pytest.raises(
        ValueError, match=rf"{name}: UnpicklingError: it would call .*mkdir.* no CIFAR-100 file"
    ):
        Cifar100().prepare(tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train",
            {b"data": np.zeros((3, 3072), np.uint8), b"fine_labels": [1]},
            r"train: expected uint8 \(1, 3072\)",
        ),
        ("train", {b"data": np.zeros((1, 3072), np.uint8)}, "train: KeyError"),
        (
            "test",
            {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [b"x"]},
            "test: expected a list of whole",
        ),
        (
            "test",
            {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [1]},
            "1 test images, CIFAR-100 has 20",
        ),
        ("meta", {b"fine_label_names": [b"one"]}, "1 fine classes, CIFAR-100 has 100"),
        ("meta", {b"fine_label_names": [1]}, "meta: expected the names"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    write(tmp_path / "cifar-100-python", {name: content})
    with pytest.raises(ValueError, match=message):
        Cifar100().prepare(tmp_path)


def test_a_truncated_file_is_named(tmp_path):
    write(tmp_path / "cifar-100-python")
    path = tmp_path / "cifar-100-python" / "test"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"cifar-100-python/test: "):
        Cifar100().prepare(tmp_path)


def test_what_is_absent_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="HARNESS_DATA"):
        Cifar100().prepare(None)
    with pytest.raises(FileNotFoundError, match=r"cifar-100-python.*www\.cs\.toronto\.edu.*download = true"):
        Cifar100().prepare(tmp_path)


FAKE = """
import os, shutil
class CIFAR100:
    def __init__(self, root, train, download):
        assert download is True
        with open(os.environ["ASKED"], "a") as file:
            file.write(f"{root} {train}\\n")
        if os.environ.get("FAILS") == "half":
            os.makedirs(os.path.join(root, "cifar-100-python"))
        if "FAILS" in os.environ:
            raise RuntimeError("no way there")
        shutil.copytree(os.environ["SOURCE"], os.path.join(root, "cifar-100-python"), dirs_exist_ok=True)
"""


@pytest.fixture
def torchvision_of_another_process(tmp_path, monkeypatch):
    """A stand-in that copies local files, for the process that downloads; says what it was asked for."""
    package = tmp_path / "stand-in" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "datasets.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("SOURCE", str(tmp_path / "source"))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    write(tmp_path / "source")
    return tmp_path / "asked"


def test_it_is_downloaded_only_when_the_suite_says_so_and_it_is_not_there(
    tmp_path, torchvision_of_another_process
):
    asked = torchvision_of_another_process
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(FileNotFoundError):
        Cifar100().prepare(root)
    assert not asked.exists()
    assert len(Cifar100(download=True).prepare(root).train.labels) == 100
    partial = f"{root}/cifar100/.cifar-100-python.partial"
    assert asked.read_text() == f"{partial} True\n{partial} False\n"
    Cifar100(download=True).prepare(root)
    assert len(asked.read_text().splitlines()) == 2


def test_a_download_that_ends_half_way_leaves_nothing_and_of_two_at_once_one_brings_the_set(
    tmp_path, torchvision_of_another_process, monkeypatch
):
    root = tmp_path / "root"
    monkeypatch.setenv("FAILS", "half")
    with pytest.raises(OSError, match="no way there"):
        Cifar100(download=True).prepare(root)
    assert [path.name for path in (root / "cifar100").iterdir()] == [".cifar-100-python.lock"]
    # what a killed process leaves
    (root / "cifar100" / ".cifar-100-python.partial" / "cifar-100-python").mkdir(parents=True)
    monkeypatch.delenv("FAILS")
    asked = torchvision_of_another_process
    asked.unlink()
    with ThreadPoolExecutor(2) as pool:
        made = list(
            pool.map(lambda labels: Cifar100(labels, download=True).prepare(root), ("fine", "coarse"))
        )
    assert [len(each.train.labels) for each in made] == [100, 100]
    assert len(asked.read_text().splitlines()) == 2


def test_a_download_that_fails_says_why(tmp_path, torchvision_of_another_process, monkeypatch):
    monkeypatch.setenv("FAILS", "1")
    with pytest.raises(OSError, match=r"could not download CIFAR100 into .*RuntimeError: no way there"):
        Cifar100(download=True).prepare(tmp_path / "root")


def test_torchvision_is_asked_as_it_wants_to_be():
    """The stand-in's signature is the library's."""
    import inspect

    for name in ("CIFAR100", "MNIST", "FashionMNIST"):
        parameters = inspect.signature(getattr(sys.modules["torchvision"].datasets, name)).parameters
        assert {"root", "train", "download"} <= parameters.keys()

"""`harness doctor`: short, aligned, and 1 only where something is broken."""

import importlib.metadata
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import doctor, requirements


@pytest.fixture
def no_torch(monkeypatch):
    """Answer for torch's child, which takes seconds to import it."""
    told = {"version": "2.9.0", "built_for": "13.0", "cards": ["A card"]}
    monkeypatch.setattr(doctor, "_ask_torch", lambda: (told, ""))


def findings(data=None, results=Path("results")):
    return {(one.group, one.name): one for one in doctor.examine(data, results)}


def test_all_groups_are_looked_at_and_nothing_is_broken_here(no_torch, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "not" / "yet"))
    found = findings(results=tmp_path / "results")
    assert {group for group, _ in found} == {"environment", "devices", "machine", "data", "plugins", "extras"}
    assert [one for one in found.values() if one.status == "broken"] == []
    assert found["devices", "CUDA"].text == "A card"
    assert not (tmp_path / "not").exists() and not (tmp_path / "results").exists()


def test_data_sets_are_told_by_their_folders(no_torch, tmp_path):
    for folder in ("cifar-10-batches-py", "MNIST/raw", "my-images"):
        (tmp_path / folder).mkdir(parents=True)
    found = findings(tmp_path)
    assert (found["data", "cifar10"].status, found["data", "cifar10"].text) == ("ok", "cifar-10-batches-py")
    assert found["data", "mnist"].status == "ok"
    assert (
        found["data", "imagenet"].status == "note" and found["data", "imagenet"].fix == "put it in imagenet"
    )
    assert found["data", "other folders"].text.startswith("my-images (")
    assert findings(tmp_path / "nowhere")["data", "data root"].status == "broken"
    assert findings(None)["data", "data root"].status == "note"


def test_the_folders_are_those_that_the_plugins_look_for(tmp_path):
    from harness.registry.discovery import discover

    registry = discover(allow="first-party")
    for name in doctor._PLACES:
        normal, problems = registry.validate("dataset", name, "dataset")
        assert not problems
        (tmp_path / name).mkdir(exist_ok=True)
        with pytest.raises((OSError, ValueError)) as missing:
            registry.build("dataset", normal).prepare(tmp_path / "empty")
        assert doctor._PLACES[name][0] in str(missing.value)


def test_broken_plugins_and_a_torch_that_does_not_import_are_broken(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_ask_torch", lambda: (None, "libcudart.so: not found"))
    entry = SimpleNamespace(
        status="broken", name="bad", summary="ImportError: x", source="bad-dist", kind="plugin"
    )
    registry = SimpleNamespace(entries=lambda: [entry])
    monkeypatch.setattr("harness.cli.listing.installed", lambda: registry)
    found = findings(results=tmp_path)
    assert found["devices", "torch"].status == "broken"
    assert "libcudart" in found["devices", "torch"].text
    assert found["plugins", "bad"].status == "broken"
    assert found["plugins", "bad"].fix == "mend or remove bad-dist"


@pytest.mark.parametrize(
    ("free", "status", "text"),
    [
        (979_000, "broken", "1 MB free"),
        (900_000_000, "note", "900 MB free"),
        (1_500_000_000, "note", "1.5 GB free"),
        (57_000_000_000, "ok", "57 GB free"),
    ],
)
def test_a_full_disk_is_told_before_a_run_refuses_it(monkeypatch, tmp_path, free, status, text):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    found = doctor._folder("machine", "results", tmp_path)
    assert found.status == status and found.text.startswith(text)
    assert found.fix == ("" if status == "ok" else "make room, or name another: --results DIR")


def test_every_extra_is_told_with_what_it_is_for():
    names = importlib.metadata.metadata(requirements.DISTRIBUTION).get_all("Provides-Extra")
    assert set(names) == set(requirements.EXTRAS)


def test_an_unwritable_folder_is_broken(no_torch, tmp_path):
    (tmp_path / "file").write_text("")
    assert findings(results=tmp_path / "file" / "results")["machine", "results"].status == "broken"


def test_missing_and_old_requirements_are_told_with_the_command_that_gets_them(monkeypatch, no_torch):
    written = [
        "numpy>=2.0",
        "nowhere-to-be-found>=1.0",
        "rich>=999",
        "mlflow>=3; extra == 'track'",
        "absent-too[x]>=1 ; extra == 'track'",
    ]
    versions = {"numpy": "2.4.6", "rich": "15.0.0", "torch": "2.9.0+cu130"}

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "requires", lambda name: written)
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(
        importlib.metadata,
        "metadata",
        lambda name: SimpleNamespace(get_all=lambda key: ["track"]),
    )
    found = {one.name: one for one in (*doctor._environment(), *doctor._extras())}
    told = found["requirements"]
    assert told.status == "broken"
    assert told.text == "nowhere-to-be-found is not installed; rich 15.0.0 is older than 999"
    assert found["track"].text == (
        'missing for trackers = ["tensorboard", "mlflow"] in a suite: mlflow, absent-too'
    )
    assert found["track"].fix.startswith("cd ") and found["track"].fix.endswith(
        "&& pip install -c constraints.txt -e '.[track]'"
    )
    monkeypatch.setattr(requirements, "PINS", Path("no-such-file"))
    assert requirements.install_command("track") == "pip install -U 'harness-bench[track]'"
    assert list(requirements.differing("numpy==2.4.6\ntorch==2.9.0\nrich==14.0\nother==1\n# x\n")) == [
        "rich 15.0.0 (14.0)"
    ]


@pytest.mark.parametrize(
    ("installed", "lowest", "old"),
    [("2.10", "2.9", False), ("2.9.0+cu1", "2.9", False), ("2.9rc1", "2.10", True), ("3", "3.0.0", False)],
)
def test_versions_are_compared_by_number(monkeypatch, installed, lowest, old):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installed)
    assert bool(requirements.problem_of(("x", lowest))) == old


def test_the_command_prints_json_and_imports_no_torch_itself(harness, tmp_path):
    done = harness("doctor", "--json", "--data", tmp_path / "nowhere", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["broken"] == 1
    assert not done.torch
    (broken,) = (one for one in told["findings"] if one["status"] == "broken")
    assert broken["name"] == "data root"


def test_names_from_elsewhere_do_not_steer_the_terminal(no_torch, tmp_path, capsys):
    (tmp_path / "a\x1b[31m\u202eb").mkdir()
    doctor._show(list(doctor._data(tmp_path)))
    text = capsys.readouterr().out
    assert "\x1b" not in text and "\u202e" not in text and "\\x1b[31m" in text

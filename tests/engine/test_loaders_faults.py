"""What goes wrong in a loader is named, in the trial's record, and nothing hangs or is left over."""

import dataclasses
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from harness.engine.check import check_arm
from harness.engine.trial import run_trial
from harness.errors import PluginError
from harness.registry.discovery import discover
from harness.suite.plan import Job
from harness.suite.prepare import prepare
from harness.testing.jobs import TOYS, component, toy_job

PLUGIN = str(Path(__file__).parent / "encoded_toys.py")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def make(root: Path, tmp_path: Path) -> Callable[..., Job]:
    normal = {**component("encoded", samples=96, skip_damaged=False), "validation": 0.1}
    registry = discover([Path(TOYS), Path(PLUGIN)])
    made = prepare(normal, registry, root, tmp_path / "cache", mode="stream")
    (tmp_path / "trial").mkdir()

    def job(workers: int, mode: str = "stream", **changes: Any) -> Job:
        plain = toy_job(
            made.folder,
            made.manifest,
            tmp_path / "trial",
            plugins=(TOYS, PLUGIN),
            **{"dataset": normal, **changes},
        )
        return dataclasses.replace(plain, data_root=str(root), loader={"mode": mode, "workers": workers})

    return job


def failed(job: Job) -> dict[str, Any]:
    outcome = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert outcome["status"] == "failed", outcome["status"]
    assert multiprocessing.active_children() == []
    culprit: dict[str, Any] = outcome["culprit"]
    return culprit


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_cannot_be_read_is_named_with_its_dataset(
    make: Callable[..., Job], root: Path, workers: int
) -> None:
    job = make(workers)
    (root / "fault").write_text(
        "in_training raise train-1.parquet: row group 3 (rows 3000 to 3999) is damaged"
    )
    culprit = failed(job)
    assert (culprit["plugin"], culprit["slot"], culprit["step"]) == ("dataset encoded", "read", 0)
    assert "ValueError: train-1.parquet: row group 3 (rows 3000 to 3999) is damaged" in culprit["error"]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("gives", "text"),
    [
        ("error", "AttributeError: 'Tensor' object has no attribute 'missing'"),
        ("floats", r"expected images uint8 \(8, 1, height, width\) on cpu, got float32 \(8, 1, 8, 8\)"),
        ("fewer", r"got uint8 \(7, 1, 8, 8\)"),
    ],
)
def test_an_augmentation_that_fails_in_the_loader_is_the_culprit(
    make: Callable[..., Job], workers: int, gives: str, text: str
) -> None:
    culprit = failed(make(workers, augmentations=[component("shrink", gives=gives)]))
    assert (culprit["plugin"], culprit["slot"]) == ("augmentation shrink", "batch")
    assert re.search(text, culprit["error"])


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("exit 3", "exited with code 3"),
        pytest.param("kill SIGKILL", "was killed by SIGKILL", marks=pytest.mark.slow),
        pytest.param("kill SIGSEGV", "was killed by SIGSEGV", marks=pytest.mark.slow),
        pytest.param("kill SIGBUS", "shared memory is full", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_dies_fails_the_trial_by_name(
    make: Callable[..., Job], root: Path, fault: str, ending: str
) -> None:
    job = make(2)
    (root / "fault").write_text(f"in_worker {fault}")
    before = signal.getsignal(signal.SIGCHLD)
    culprit = failed(job)
    assert culprit["plugin"] is None
    assert "WorkerDied: loader worker" in culprit["error"]
    assert ending in culprit["error"]
    assert signal.getsignal(signal.SIGCHLD) == before


@pytest.mark.slow
@pytest.mark.parametrize("how", ["the trial alone", "the group"])
def test_hanging_workers_are_of_the_trials_group_and_end_with_it(
    make: Callable[..., Job], root: Path, tmp_path: Path, how: str
) -> None:
    job = make(2)
    hanging = tmp_path / "hanging"
    hanging.mkdir()
    (root / "fault").write_text(f"in_worker hang {hanging}")
    (tmp_path / "job.json").write_bytes(orjson.dumps(job.to_json()))
    code = textwrap.dedent(
        """
        import os, signal, sys, json
        os.setsid()
        signal.signal(signal.SIGTERM, lambda *_: None)  # as a trial's own process has it
        from harness.engine.trial import run_trial
        from harness.suite.plan import Job
        job = Job.from_json(json.load(open(sys.argv[1])))
        run_trial(job, report=lambda _: None, stop=lambda: False)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "job.json")])
    # Whoever reads has taken leave of the trial's signals before.
    assert comes(lambda: len(list(hanging.iterdir())) == 2, within=60)
    workers = [int(file.name) for file in hanging.iterdir()]
    assert sorted(workers) == sorted(children(process.pid))
    assert {os.getpgid(worker) for worker in workers} == {process.pid}
    if how == "the group":
        os.killpg(process.pid, signal.SIGTERM)  # the trial heeds it in its own way, its workers end
    else:
        process.kill()
    assert comes(lambda: not any(map(is_running, workers)))
    process.kill()
    process.wait()


def comes(is_so: Callable[[], bool], within: float = 30.0) -> bool:
    """Return whether something comes to be so."""
    deadline = time.monotonic() + within
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_so()


def children(process: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_mixing_in_the_loader_is_refused_by_check_and_by_the_trial(make: Callable[..., Job]) -> None:
    job = make(0, augmentations=[component("mixing")])
    with pytest.raises(PluginError, match='augmentation mixing: placement "loader" in stage MIX'):
        check_arm(job)
    assert 'placement "loader" in stage MIX' in failed(job)["error"]


def test_check_takes_a_step_with_what_runs_in_the_loader(make: Callable[..., Job]) -> None:
    assert check_arm(make(2, augmentations=[component("jitter", strength=40)])) == []
    with pytest.raises(PluginError, match=r"augmentation shrink, slot batch: .*missing"):
        check_arm(make(2, augmentations=[component("shrink", gives="error")]))


def test_data_that_has_changed_since_it_was_prepared_is_refused(make: Callable[..., Job]) -> None:
    job = make(1)
    rows = Path(job.data) / "train.rows.npy"
    np.save(rows, np.arange(96) + 30)  # there are no longer so many
    assert "it has changed since it was prepared" in failed(job)["error"]
    more = {**job.recipe["dataset"], "params": {"samples": 99, "skip_damaged": False}}
    other = dataclasses.replace(job, recipe={**job.recipe, "dataset": more})
    np.save(rows, np.arange(96) + 1)  # other labels
    assert "it has changed since it was prepared" in failed(other)["error"]
    np.save(rows, np.arange(96) + 3)  # the same labels, other images
    error = failed(other)["error"]
    assert 'dataset "encoded", train split: it has changed since it was prepared' in error

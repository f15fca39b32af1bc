"""A job on toy data, made by hand: the engine is tested without suite, launcher or store."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine import loaders, trial, windows
from harness.engine.data import Part
from harness.engine.loop import Step
from harness.suite.plan import Job
from harness.testing.jobs import toy_job, write_toy_data

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("prepared")
    return folder, write_toy_data(folder)


@pytest.fixture
def make_job(prepared: tuple[Path, dict[str, Any]], tmp_path: Path) -> Callable[..., Job]:
    folder, manifest = prepared
    place = tmp_path / "trial"
    place.mkdir(exist_ok=True)
    return lambda **changes: toy_job(folder, manifest, place, **changes)


class Machine:
    """A machine on which a step and the wait for its batch take what they are told to, and nothing else takes time.

    Attributes:
        now: What its clock shows.
        step_seconds: What a step takes.
        wait_seconds: What its batch is waited for.
    """

    def __init__(self) -> None:
        self.now, self.step_seconds, self.wait_seconds = 0.0, 0.01, 0.0

    def clock(self) -> float:
        return self.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """What trials and timings of this process run on: whatever else runs here, each step takes the same."""
    machine = Machine()
    batches, step = Part.batches, Step.__call__

    def waited(self: Part, *arguments: Any) -> Iterator[Any]:
        for batch in batches(self, *arguments):
            machine.now += machine.wait_seconds
            yield batch

    def stepped(self: Step, *arguments: Any) -> Any:
        machine.now += machine.step_seconds
        return step(self, *arguments)

    monkeypatch.setattr(Part, "batches", waited)
    monkeypatch.setattr(Step, "__call__", stepped)
    monkeypatch.setattr(loaders, "perf_counter", machine.clock)
    monkeypatch.setattr(windows, "perf_counter", machine.clock)
    monkeypatch.setattr(trial, "monotonic", machine.clock)
    return machine

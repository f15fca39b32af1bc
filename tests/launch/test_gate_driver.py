"""What one sample of a gate is made of: the turns that `gate_driver` cuts out of a real timing."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.engine import timing, windows
from harness.launch import gate_driver
from harness.testing.jobs import toy_job, write_toy_data


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "data").mkdir()
    manifest = write_toy_data(tmp_path / "data")
    return toy_job(tmp_path / "data", manifest, tmp_path, timing_seconds=0.3).to_json()


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPORT_SECONDS", "WINDOW_SECONDS", "WINDOW_SHARE"):
        monkeypatch.setattr(windows, name, getattr(windows, name))
    monkeypatch.setattr(timing, "TRIES", timing.TRIES)


def sample(job: Mapping[str, Any], take_turn: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    answer = gate_driver._time(
        {"job": job, "take_turn": take_turn}, lambda message: told.append(dict(message))
    )
    assert answer["timing"]["status"] == "completed", answer["timing"]["culprit"]
    return answer, told


@pytest.mark.usefixtures("as_before")
def test_the_turns_are_the_steady_steps_each_once_and_nothing_else(job: dict[str, Any]) -> None:
    answer, told = sample(job, lambda: None)
    turns, measured = answer["turns"], answer["timing"]
    assert sum(turn["steps"] for turn in turns) == measured["steady_steps"]
    # A turn holds its windows and the little between them: a stretch of anything else would stand out.
    assert sum(turn["seconds"] for turn in turns) == pytest.approx(measured["seconds"]["steady"], rel=0.25)
    a_step = measured["step_seconds"]["median"]
    assert statistics.median(turn["seconds"] / turn["steps"] for turn in turns) == pytest.approx(
        a_step, rel=0.25
    )
    assert min(turn["seconds"] / turn["steps"] for turn in turns) > 0.2 * a_step
    # One edge a window: the turns are as short as they are meant to be.
    assert len(turns) == len(measured["window_seconds"])
    assert sum(message["kind"] == "waits" for message in told) > len(turns)


@pytest.mark.usefixtures("as_before")
def test_in_turns_the_windows_are_short(job: dict[str, Any]) -> None:
    sample(job, lambda: None)
    assert windows.WINDOW_SECONDS == gate_driver.TURN_SECONDS < 0.1
    # However long a gate measures: five seconds would have windows of half a second.
    assert windows.window_steps(0.001, 5.0) == 50
    assert windows.REPORT_SECONDS == 0.0
    assert timing.steady is windows.steady

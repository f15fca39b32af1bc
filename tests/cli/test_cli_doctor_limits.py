"""A container's limits: told by `harness doctor`, and taken wherever room is asked for."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import doctor
from harness.record import limits
from harness.record.limits import Memory


@pytest.fixture
def container(monkeypatch):
    monkeypatch.setattr(limits, "usable_memory", lambda: Memory(1_500_000_000, 4_000_000_000, 64_000_000_000))
    monkeypatch.setattr(limits, "core_limit", lambda *places: 2.5)
    monkeypatch.setattr(limits.os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


def machine() -> dict[str, doctor.Finding]:
    return {one.name: one for one in doctor._machine(Path("results"))}


def test_the_doctor_tells_of_both(container):
    found = machine()
    assert found["threads"].text.startswith("2 usable cores; the control group allows 2.5")
    assert found["memory"].text == "1.5 GB free of 4.0 GB, the control group's limit; the machine has 64 GB"
    assert found["memory"].status == "note" and "--jobs 1" in found["memory"].fix


def test_without_limits_the_doctor_says_nothing_of_groups(monkeypatch):
    monkeypatch.setattr(limits, "usable_memory", lambda: Memory(*[64_000_000_000] * 3))
    monkeypatch.setattr(limits, "core_limit", lambda *places: None)
    found = machine()
    assert "group" not in found["threads"].text + found["memory"].text
    assert (found["memory"].status, found["memory"].text) == ("ok", "64 GB free of 64 GB")


def test_room_for_trials_and_for_data_is_the_groups(container):
    import torch

    from harness.engine.loader_choice import free_bytes
    from harness.launch.gate_measures import trials_at_a_time
    from harness.launch.options import Options, cores_over_threads, make_places

    plan = SimpleNamespace(arms=[])
    assert cores_over_threads(plan) == trials_at_a_time([], "cpu") == 2
    assert free_bytes(torch.device("cpu")) == 1_500_000_000
    assert vars(make_places(plan, Options(), "cpu"))["_free_host"] == 1_500_000_000

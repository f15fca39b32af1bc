"""Memory by phase and by process tree, and leaks: against arithmetic by hand and planted faults."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from harness.engine.leak import growth, leak_of
from harness.engine.memory import Peaks, has_children, tree_bytes
from harness.engine.trial import run_trial
from harness.suite.plan import Job
from harness.testing.jobs import TOYS

MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel sets no peak back")

PLANTED = """
import subprocess, sys
from mmap import mmap
from dataclasses import dataclass, replace
import torch
from harness.contract import Slots, Trick, hookimpl

KEPT = []

@dataclass(frozen=True)
class Planted(Trick):
    def plan(self, plan):
        {plan}
        return plan
    def bind(self, ctx):
        {bind}
        def batch(batch):
            {batch}
            return batch
        def eval_model(model):
            {judge}
            return model
        return Slots(phase=lambda: None, batch=batch, eval_model=eval_model)

@hookimpl
def harness_register(registry):
    registry.add("trick", "planted", Planted, summary="a fault")
"""


@pytest.fixture
def outcome_with(make_job: Callable[..., Job], tmp_path: Path) -> Callable[..., dict]:
    def run(epochs: int = 2, device: str = "cpu", **statements: str) -> dict:
        file = tmp_path / "planted.py"
        file.write_text(
            PLANTED.format(**{"plan": "pass", "bind": "pass", "batch": "pass", "judge": "pass", **statements})
        )
        job = make_job(
            plugins=(TOYS, str(file)),
            tricks=[{"name": "planted", "params": {}}],
            budget={"unit": "epochs", "amount": epochs},
        )
        return run_trial(replace(job, device=device), report=lambda _: None, stop=lambda: False)

    return run


def test_growth_by_hand() -> None:
    # 25 epochs: the first 5 do not count. 100 bytes an epoch from 10,500 on: 2,000 over 20 epochs.
    steady = [10_000 + 100 * epoch for epoch in range(25)]
    assert growth(steady) == {
        "bytes_per_epoch": 100.0,
        "growth_share": pytest.approx(2000 / 10_500),
        "epochs": 25,
    }
    assert growth(steady[:19]) is None
    assert growth([None] * 30) is None
    assert growth([*steady, None]) is None


@pytest.mark.parametrize(
    "samples",
    [
        [1000] * 12 + [1500] * 18,  # one that took more, once
        [1000] * 19 + [1500] * 11,
        [1000 + 500 * min(epoch, 6) for epoch in range(30)],  # caches that fill
        [1000 + (40 if epoch % 2 else 0) for epoch in range(30)],  # a pulse
        [1000 - epoch for epoch in range(30)],
    ],
)
def test_what_does_not_go_on_is_no_leak(samples: list[int]) -> None:
    assert leak_of({"resident": growth(samples)}) is None


def test_the_limit_is_one_per_cent_over_twenty_epochs() -> None:
    def leak(bytes_per_epoch: int) -> object:
        return leak_of({"resident": growth([100_000 + bytes_per_epoch * epoch for epoch in range(40)])})

    assert leak(45) is None
    assert leak(60) is not None
    both = {"resident": growth([2 * b for b in range(50, 90)]), "allocated": growth(list(range(50, 90)))}
    assert (leak_of(both) or {})["kind"] == "allocated"


@linux
def test_a_planted_leak_is_reported_and_a_clean_trial_is_not(outcome_with: Callable[..., dict]) -> None:
    # 2 MiB an epoch of 10 steps, mapped anew: what earlier tests of this process have freed would serve a tensor.
    leaking = outcome_with(24, batch="KEPT.append(mmap(-1, 2**21 // 10)); KEPT[-1].write(bytes(2**21 // 10))")
    assert leaking["status"] == "completed", leaking["culprit"]
    leak = leaking["leak"]
    assert (leak["kind"], leak["epochs"]) == ("resident", 24)
    assert leak["bytes_per_epoch"] == pytest.approx(2 * MIB, rel=0.25)
    clean = outcome_with(24)
    assert clean["leak"] is None
    assert abs(clean["memory"]["growth"]["resident"]["growth_share"]) < 0.01


def test_epochs_ahead_of_a_phase_are_not_compared_with_those_behind_it(
    outcome_with: Callable[..., dict],
) -> None:
    # What a phase trains anew takes memory once, and is no leak: of 44 epochs the 22 behind the boundary count.
    outcome = outcome_with(44, plan="plan = replace(plan, boundaries=(0.5,))")
    assert outcome["status"] == "completed", outcome["culprit"]
    assert outcome["memory"]["growth"]["resident"]["epochs"] == 22


def test_a_trial_of_fewer_epochs_says_nothing_of_growth(outcome_with: Callable[..., dict]) -> None:
    outcome = outcome_with(19)
    assert (outcome["leak"], outcome["memory"]["growth"]) == (None, {})


@linux
@pytest.mark.parametrize(("place", "phase"), [("bind", "build"), ("batch", "train"), ("judge", "evaluate")])
def test_a_peak_is_told_of_the_phase_in_which_it_was(
    outcome_with: Callable[..., dict], place: str, phase: str
) -> None:
    outcome = outcome_with(**{place: "torch.ones(96 * 2**20, dtype=torch.uint8)"})
    assert outcome["status"] == "completed", outcome["culprit"]
    memory = outcome["memory"]
    resident = {name: peaks["resident"] for name, peaks in memory["phases"].items()}
    assert list(resident) == ["build", "train", "evaluate"]
    others = max(bytes_ for name, bytes_ in resident.items() if name != phase)
    assert resident[phase] > others + 64 * MIB
    assert memory["peak_resident_bytes"] == memory["peak_tree_bytes"] == resident[phase]
    assert memory["peak_allocated_bytes"] is None


CHILD = """
import sys
kept = b"x" * (100 * 2**20)
print("there", flush=True)
sys.stdin.read()
"""


@linux
def test_a_child_process_counts_in_the_tree_and_not_in_the_process(
    outcome_with: Callable[..., dict],
) -> None:
    before = {child.pid for child in psutil.Process().children()}
    start = (
        f"p = subprocess.Popen([sys.executable, '-c', {CHILD!r}], stdin=subprocess.PIPE, "
        "stdout=subprocess.PIPE); KEPT.append(p); p.stdout.readline()"
    )
    try:
        memory = outcome_with(bind=start)["memory"]
    finally:
        for child in psutil.Process().children():
            if child.pid not in before:
                child.kill()
                child.wait(10)
    alone = outcome_with()["memory"]
    assert memory["peak_tree_bytes"] > alone["peak_tree_bytes"] + 60 * MIB
    assert memory["peak_resident_bytes"] < alone["peak_resident_bytes"] + 60 * MIB


@linux
def test_what_a_child_shares_counts_once_in_the_tree() -> None:
    kept = b"x" * (200 * MIB)
    alone = tree_bytes()
    child = os.fork()  # it shares everything with this process until either writes
    if not child:
        time.sleep(60)
        os._exit(0)
    try:
        assert has_children()
        assert tree_bytes() < alone + 100 * MIB
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert len(kept) == 200 * MIB


def test_where_the_peak_cannot_be_set_back_later_phases_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engine.memory.reset_peaks", lambda device: False)
    peaks = Peaks()
    peaks.begin("build", torch.device("cpu"))
    peaks.begin("train")
    told = peaks.to_json()
    assert told["phases"]["build"]["resident"] > MIB
    assert told["phases"]["train"]["resident"] is None
    assert told["peak_resident_bytes"] == told["phases"]["build"]["resident"]


def test_without_children_nobody_walks_the_process_table(monkeypatch: pytest.MonkeyPatch) -> None:
    if has_children():
        pytest.skip("this test process has children")
    monkeypatch.setattr("harness.engine.memory.tree_bytes", lambda: pytest.fail("walked"))
    peaks = Peaks()
    peaks.sample()
    assert peaks.tree is None
    assert tree_bytes() > MIB


@pytest.mark.gpu
def test_on_a_gpu_the_peaks_of_its_allocator_are_told_by_phase_and_a_leak_there_is_seen(
    outcome_with: Callable[..., dict],
) -> None:
    kept = "KEPT.append(torch.ones(2**20, dtype=torch.uint8, device='cuda'))"
    outcome = outcome_with(24, device="cuda:0", batch=kept, judge="torch.ones(2**26, device='cuda')")
    assert outcome["status"] == "completed", outcome["culprit"]
    phases = outcome["memory"]["phases"]
    assert phases["evaluate"]["allocated"] > phases["train"]["allocated"] > 0
    assert phases["evaluate"]["reserved"] >= phases["evaluate"]["allocated"]
    # 10 steps an epoch.
    assert outcome["leak"]["kind"] == "allocated"
    assert outcome["leak"]["bytes_per_epoch"] == pytest.approx(10 * MIB, rel=0.01)

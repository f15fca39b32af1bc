"""`kill -9` while a run starts and trains, and Ctrl-C: nothing runs on, the same command ends with the same weights."""

import os
import random
import signal
import time

import psutil
import pytest

pytestmark = pytest.mark.slow

ARMS = """
[arms.averaged]
augmentations = ["toy-noise"]
tricks = ["ema", "sam"]
"""
SUITE = {"arms": ARMS, "epochs": 25, "samples": 1600}
RUN = ("run", "toy.toml", "--jobs", "2")


def busiest(place):
    """Return the most CPU time that any trial has used by now."""
    most = 0.0
    for process in place.trial_processes():
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        most = max(most, times.user + times.system)
    return most


@pytest.fixture(scope="module")
def uninterrupted(new_place):
    """Return what no interrupt has disturbed: the completed records, and the CPU time of the longest trial."""
    place = new_place()
    place.suite(**SUITE)
    process, cpu_seconds = place.start(*RUN), 0.0
    while process.poll() is None:
        cpu_seconds = max(cpu_seconds, busiest(place))
        time.sleep(0.05)
    assert process.returncode == 0
    completed = place.completed()
    assert set(completed) == {("plain", 0), ("averaged", 0)}
    print(f"uninterrupted: {cpu_seconds:.1f} s of CPU time for the longest trial")
    return completed, cpu_seconds


@pytest.fixture
def moments(request):
    """Return draws of a test's own, the same each time: a kill that costs something can be tried again."""
    return random.Random(request.node.name)


STARTS = {
    "a plan": lambda place: any(place.results.glob("plans/*.json")),
    "two trials": lambda place: len(place.trial_processes()) == 2,
}
"""What there is of a run before a step is taken: at first, and at last."""


def wait_for_start(place, process, has_begun):
    """Wait until there is so much of a run."""
    deadline = time.monotonic() + 240
    while not has_begun(place):
        assert process.poll() is None, "the run ended before its moment had come"
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(0.01)


def wait_for_share(place, process, share, cpu_seconds):
    """Wait until the longest trial has used so much of the CPU time that it takes in all."""
    deadline = time.monotonic() + 240
    while busiest(place) < share * cpu_seconds:
        assert process.poll() is None, "the run ended before its moment had come"
        assert time.monotonic() < deadline, "the moment did not come"
        time.sleep(0.02)


def assert_ends_as_if_nothing_had_happened(place, uninterrupted):
    completed, _ = uninterrupted
    assert place.completed().keys() == completed.keys()
    for key, record in place.completed().items():
        for field in ("digests", "results", "curves", "parameters", "observables"):
            assert record[field] == completed[key][field], (key, field)
        assert record["budget"] == completed[key]["budget"]
    assert place.board()["set_aside"] == []
    assert not list(place.results.rglob("checkpoint.*"))
    assert not list(place.results.rglob(".tmp*"))


@pytest.mark.parametrize("when", [*STARTS, "training"])
@pytest.mark.parametrize("victim", ["launcher", "group"])
def test_a_kill_leaves_nothing_running_and_costs_no_bit(place, uninterrupted, moments, victim, when):
    place.suite(**SUITE)
    process = place.start(*RUN)
    if when in STARTS:
        wait_for_start(place, process, STARTS[when])
    else:
        share = moments.uniform(0.05, 0.5)
        print(f"killed at {share:.0%} of the longest trial")
        wait_for_share(place, process, share, uninterrupted[1])
    assert process.poll() is None
    (os.kill if victim == "launcher" else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()
    assert place.all_gone()
    place.run(*RUN)
    assert place.all_gone()
    assert_ends_as_if_nothing_had_happened(place, uninterrupted)


def test_a_killed_trial_is_lost_and_run_again_with_the_same_seed(place, uninterrupted, moments):
    place.suite(**SUITE)
    process = place.start(*RUN)
    share = moments.uniform(0.05, 0.4)
    wait_for_share(place, process, share, uninterrupted[1])
    trials = sorted(place.trial_processes(), key=lambda trial: trial.pid)
    victim = moments.choice(trials)
    print(f"killed one of {len(trials)} at {share:.0%} of the longest trial")
    victim.kill()
    assert process.wait(timeout=240) == 0
    assert place.all_gone()
    statuses = sorted(record["status"] for record in place.records().values())
    assert statuses == ["completed", "completed", "lost"]
    assert_ends_as_if_nothing_had_happened(place, uninterrupted)


def test_an_interrupt_then_a_kill_then_the_same_command_resumes_from_the_checkpoint(
    place, uninterrupted, moments
):
    place.suite(**SUITE)
    process = place.start(*RUN)
    wait_for_share(place, process, moments.uniform(0.1, 0.25), uninterrupted[1])
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert place.all_gone()
    preempted = [key for key, record in place.records().items() if record["status"] == "preempted"]
    assert ("averaged", 0, 0) in preempted
    assert list(place.results.rglob("checkpoint.safetensors"))

    # A kill while it trains on from the checkpoint: the checkpoint serves once more.
    process = place.start(*RUN)
    wait_for_share(place, process, moments.uniform(0.1, 0.25), uninterrupted[1])
    process.kill()
    process.wait()
    assert place.all_gone()

    place.run(*RUN)
    resumed = place.completed()["averaged", 0]["resumed_from_step"]
    print(f"resumed from step {resumed} of {uninterrupted[0]['averaged', 0]['budget']['steps']}")
    assert resumed == place.records()["averaged", 0, 0]["budget"]["steps"] > 0
    assert_ends_as_if_nothing_had_happened(place, uninterrupted)

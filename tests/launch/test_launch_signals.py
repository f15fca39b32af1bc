"""Kills and interrupts, against a launcher in a process of its own."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.record.store import Store

CONFTEST = Path(__file__).parent / "conftest.py"


@pytest.fixture
def launcher(tmp_path):
    """Return a function that starts a launcher as the head of a group, and the folder that it works in."""
    started = []

    def start(function="slow", replicates=3, rounds=0):
        command = [sys.executable, str(CONFTEST), str(tmp_path), function, str(replicates), str(rounds)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def the_store(tmp_path):
    store = Store(tmp_path / "results" / "fake")
    return store, store.read_plan()


def descendants_once_running(process, trials=2):
    """Return all processes below the launcher, once so many of them are heads of sessions: the trials."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        below = psutil.Process(process.pid).children(recursive=True)
        if sum(_is_head(child) for child in below) >= trials:
            return below
        time.sleep(0.05)
    pytest.fail("the trials did not start")


def _is_head(child):
    try:
        return os.getsid(child.pid) == child.pid
    except ProcessLookupError:
        return False


def wait_until_it_says(process, text):
    """Wait until the launcher has written a text to its error stream; what it wrote till then is taken from it."""
    stream, told = process.stderr.fileno(), ""
    deadline = time.monotonic() + 30
    while text not in told and time.monotonic() < deadline:
        if select.select([stream], [], [], 0.05)[0]:
            more = os.read(stream, 4096).decode()
            assert more, f"it ended, and said {told!r}"
            told += more
    assert text in told


def all_gone(processes, within=30.0):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        left = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        if not left:
            return True
        time.sleep(0.05)
    return False


def has_no_corrupt_record(store, plan):
    return store.read(plan).set_aside == []


@pytest.mark.parametrize("whole_group", [False, True])
def test_nothing_runs_on_after_a_kill_of_the_launcher(launcher, tmp_path, whole_group):
    process = launcher()
    below = descendants_once_running(process)
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert all_gone(below)
    # The same command again takes the lock and finishes.
    assert launcher("run_trial").wait(timeout=30) == 0
    store, plan = the_store(tmp_path)
    assert len(store.read(plan).good()) == 3
    assert has_no_corrupt_record(store, plan)


def test_a_kill_of_the_process_server_ends_its_trials_and_they_run_again(launcher, tmp_path):
    process = launcher(replicates=2)
    below = descendants_once_running(process)
    server = next(
        child for child in below if "forkserver" in " ".join(child.cmdline()) and not _is_head(child)
    )
    trials = [child for child in below if _is_head(child)]
    server.kill()
    assert all_gone([server, *trials])
    descendants_once_running(process)
    store, plan = the_store(tmp_path)
    assert {record["status"] for record in store.read(plan).records} == {"lost"}


def test_one_interrupt_lets_trials_checkpoint_and_the_same_command_goes_on(launcher, tmp_path):
    process = launcher(replicates=3)
    below = descendants_once_running(process)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert all_gone(below)
    store, plan = the_store(tmp_path)
    records = store.read(plan).records
    # Two ran at a time and have left a checkpoint; the third had no turn.
    assert [record["status"] for record in records] == ["preempted"] * 2
    assert (
        "stopping: 2 under way are checkpointed; asked once more, they end at once" in process.stderr.read()
    )
    assert launcher("resumes", replicates=3).wait(timeout=30) == 0
    store, plan = the_store(tmp_path)
    resumed = [r for r in store.read(plan).records if r.get("resumed_from_step") == 1]
    assert len(resumed) == 2
    assert has_no_corrupt_record(store, plan)


def test_an_interrupt_of_the_whole_group_reaches_the_launcher_alone(launcher, tmp_path):
    process = launcher(replicates=2)
    descendants_once_running(process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    store, plan = the_store(tmp_path)
    assert [record["status"] for record in store.read(plan).records] == ["preempted"] * 2
    assert "Traceback" not in process.stderr.read()


def test_sigterm_is_one_interrupt(launcher, tmp_path):
    process = launcher(replicates=2)
    descendants_once_running(process)
    process.terminate()
    assert process.wait(timeout=30) == 130
    store, plan = the_store(tmp_path)
    assert [record["status"] for record in store.read(plan).records] == ["preempted"] * 2


def test_two_interrupts_end_everything_now(launcher, tmp_path):
    process = launcher("deaf", replicates=2)
    below = descendants_once_running(process)
    os.kill(process.pid, signal.SIGINT)
    wait_until_it_says(process, "asked once more, they end at once")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert all_gone(below)
    store, plan = the_store(tmp_path)
    assert store.read(plan).records == []
    assert has_no_corrupt_record(store, plan)


def test_what_a_closed_terminal_did_not_take_is_no_exit_code():
    """Without a place to go, what a stream still holds makes the interpreter end with 120."""
    says = "import sys; from harness.launch.progress import Lines; lines = Lines()"
    code = f"{says}; input(); lines.say('one'); sys.stderr.write('half a line')"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stderr.close()
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def test_a_closed_terminal_does_not_end_the_run(launcher, tmp_path):
    process = launcher("until_told", replicates=3)
    descendants_once_running(process)
    process.stderr.close()
    os.kill(process.pid, signal.SIGHUP)
    (tmp_path / "results" / "fake" / "trials" / "go-on").touch()
    assert process.wait(timeout=30) == 0
    store, plan = the_store(tmp_path)
    assert len(store.read(plan).good()) == 3


def test_a_second_run_on_the_folder_is_refused(launcher, tmp_path):
    process = launcher(replicates=2)
    descendants_once_running(process)
    second = launcher(replicates=2)
    assert second.wait(timeout=30) != 0
    assert f"in use by process {process.pid}" in second.stderr.read()

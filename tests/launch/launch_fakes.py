"""What the tests' children run in place of the engine: no torch, and every way to behave badly."""

import os
import signal
import sys
import time
from pathlib import Path


def outcome(job, status="completed", **more):
    return {
        "status": status,
        "culprit": None,
        "initial_parameters": {"weight": "0" * 32},
        "pipeline": "fake",
        "results": {"test": {"count": 10, "top1": 10.0 * job.replicate, "nll": 1.0}},
        "seconds": {"total": 0.0},
        "changes": [],
        **more,
    }


def run_trial(job, *, report, stop):
    report({"kind": "first_step", "seconds": 0.0})
    return outcome(job)


def time_arm(job, *, report):
    time.sleep(0.05)
    return {"status": "completed", "culprit": None, "images_per_second": 100.0}


def steps(job, report, stop, seconds=30.0, resumed=None):
    """Step for a while; checkpoint and give way when asked to."""
    checkpoint = Path(job.folder) / "checkpoint"
    for step in range(int(seconds / 0.05)):
        report({"kind": "step", "step": step, "total": int(seconds / 0.05)})
        if stop():
            checkpoint.write_text(str(step))
            return outcome(job, "preempted")
        time.sleep(0.05)
    return outcome(job)


def slow(job, *, report, stop):
    if (Path(job.folder) / "checkpoint").exists():
        return outcome(job, resumed_from_step=1)
    return steps(job, report, stop)


def resumes(job, *, report, stop):
    is_resumed = (Path(job.folder) / "checkpoint").exists()
    return outcome(job, resumed_from_step=1 if is_resumed else None)


def by_arm(job, *, report, stop):
    """Behave as the arm is named."""
    report({"kind": "step", "step": 7, "total": 10})
    match job.arm:
        case "exits":
            sys.exit(3)
        case "exits-255":
            sys.exit(255)
        case "exits-hard":
            os._exit(0)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed-once":
            if job.attempt == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "raises":
            raise RuntimeError("what a mess")
        case "hangs":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            hang_in_here()
        case "talks":
            for _ in range(400):
                print("x" * 10_000)
        case "leaks":
            if os.fork() == 0:
                (Path(job.folder) / "leaked").write_text(str(os.getpid()))
                time.sleep(600)
            while not (Path(job.folder) / "leaked").exists():
                time.sleep(0.01)
    return outcome(job)


def hang_in_here():
    while True:
        time.sleep(1)


def disk_full(job, *, report, stop):
    from harness.errors import StoreError

    if job.replicate == 0:
        raise StoreError(f"{job.folder}: cannot be written (4,096 bytes to write): No space left on device")
    return steps(job, report, stop)


def tells_process(job, *, report, stop):
    (Path(job.folder) / "process").write_text(str(os.getpid()))
    return outcome(job)


def until_told(job, *, report, stop):
    """Step until the test has left a file beside the trials' folders."""
    while not (Path(job.folder).parent / "go-on").exists():
        report({"kind": "step", "step": 0, "total": 1})
        time.sleep(0.05)
    return outcome(job)


def deaf(job, *, report, stop):
    return steps(job, report, lambda: False)

"""What the tests' children run in place of replicates trained at once."""

import os
import signal
import time
from pathlib import Path

from launch_fakes import outcome, steps

AT_ONCE = {"together": 4, "probe_ratio": 2.5, "probe_loss_difference": 1e-7, "reason": None}
SLOW = {"together": 1, "probe_ratio": 0.5, "probe_loss_difference": 1e-7, "reason": "slower in the probe"}


def note(job, what):
    """Leave a line beside the trials' folders: what was called, in which process, and for which replicates."""
    with (Path(job.folder).parent / "calls").open("a") as file:
        file.write(f"{what} {os.getpid()}\n")


def wait_for(is_so):
    """Wait until something is so, half a minute at the most."""
    deadline = time.monotonic() + 30
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.02)


def run_trial(job, *, report, stop):
    note(job, f"alone {job.arm} {job.replicate} {job.attempt}")
    return outcome(job)


def all_at_once(jobs, *, mode, report, stop, finished):
    note(jobs[0], f"together {jobs[0].arm} {','.join(str(job.replicate) for job in jobs)} {mode is None}")
    found = mode or {**AT_ONCE, "together": len(jobs)}
    report({"kind": "mode", "mode": found})
    for number, job in enumerate(jobs):
        finished(number, outcome(job, mode=found))


def too_slow(jobs, *, mode, report, stop, finished):
    note(jobs[0], f"together {jobs[0].arm} {','.join(str(job.replicate) for job in jobs)} {mode is None}")
    report({"kind": "mode", "mode": SLOW})


def killed_half_way(jobs, *, mode, report, stop, finished):
    note(jobs[0], f"together {jobs[0].arm} {','.join(str(job.replicate) for job in jobs)} {mode is None}")
    report({"kind": "mode", "mode": AT_ONCE})
    for number, job in enumerate(jobs):
        if number == 2 and job.attempt == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        finished(number, outcome(job, mode=AT_ONCE))


def crashes(jobs, *, mode, report, stop, finished):
    report({"kind": "step", "step": 3, "total": 9})
    os.kill(os.getpid(), signal.SIGSEGV)


def waits(jobs, *, mode, report, stop, finished):
    note(jobs[0], f"together {jobs[0].arm}")
    for number, job in enumerate(jobs):
        finished(number, steps(job, report, stop))


def crowded(job, *, report, stop):
    """Run out of memory, as replicate 1, where another trial runs beside: at first replicate 0, which waits for it."""
    note(job, f"alone {job.arm} {job.replicate} {job.attempt}")
    folder = Path(job.folder).parent
    mine, has_met = folder / f"running-{job.replicate}", folder / "has-met"
    mine.touch()
    others = []
    if job.replicate == 1:
        wait_for(lambda: has_met.exists() or (folder / "running-0").exists())
        others = [path for path in folder.glob("running-*") if path != mine]
    if others:
        has_met.touch()
        mine.unlink()
        culprit = {"plugin": None, "slot": None, "step": 1, "error": "CUDA out of memory", "traceback": ""}
        return outcome(job, "oom", culprit=culprit)
    wait_for(has_met.exists)
    time.sleep(0.3)  # so that one that should be alone and is not meets it
    mine.unlink()
    return outcome(job)


def out_of_memory(job, *, report, stop):
    return outcome(job, "oom", culprit=None)

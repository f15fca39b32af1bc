"""Trials that write weights and read their parents', in place of the engine."""

import os
import signal
import time
from pathlib import Path

from launch_fakes import outcome

from harness.registry.digests import digest_bytes


def run_trial(job, *, report, stop):
    """Fail where a parent's weights are not there, or not what the job says; behave as the arm is named."""
    report({"kind": "first_step", "seconds": 0.0})
    for parent in job.parents.values():
        data = Path(parent["weights"]).read_bytes()
        if digest_bytes(data) != parent["digest"]:
            raise RuntimeError("not the parent's weights")
    if job.arm == "diverges":
        return outcome(job, "diverged")
    if job.arm == "machine-ended":
        return outcome(job, "preempted")
    if job.arm == "killed-once" and job.attempt == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.arm == "diverges-again" and job.attempt:
        return outcome(job, "diverged")
    cost = {"budget": {"training_flops": 100.0 + job.replicate}, "seconds": {"total": 0.0, "train": 0.5}}
    if job.weights is None:
        return outcome(job, **cost)
    file = Path(job.weights)
    file.parent.mkdir(parents=True, exist_ok=True)
    data = f"weights of {job.trial}".encode()
    file.write_bytes(data)
    told = {"digest": digest_bytes(data), "bytes": len(data), "judged": True}
    return outcome(job, **cost, weights=told)


def time_arm(job, *, report):
    """Read the parents' weights, as the engine would."""
    time.sleep(0.02)
    for parent in job.parents.values():
        Path(parent["weights"]).read_bytes()
    assert job.weights is None
    return {"status": "completed", "culprit": None, "images_per_second": 100.0}

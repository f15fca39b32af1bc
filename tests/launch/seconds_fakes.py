"""Trials with a budget in seconds in place of the engine: each tells what it was handed, or measures 100 steps."""

from pathlib import Path

from launch_fakes import outcome

from harness.registry.digests import digest_bytes


def run_trial(job, *, report, stop):
    """Come to as many steps as the job says, else to a hundred and some more each time; leave a note of what came."""
    report({"kind": "first_step", "seconds": 0.0})
    handed = dict(job.measured)
    measured = handed or {"asked": 60.0, "step_seconds": 0.5, "total_steps": 100 + job.attempt}
    if job.arm == "stopped-once" and job.attempt == 0:
        return outcome(job, "preempted", budget={"steps": 3, "seconds": measured})
    told = {"budget": {"steps": measured["total_steps"], "seconds": measured}, "handed": handed}
    if job.weights is None:
        return outcome(job, **told)
    file = Path(job.weights)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    return outcome(job, **told, weights={"digest": digest_bytes(b"weights"), "bytes": 7, "judged": True})


def time_arm(job, *, report):
    """Say what was handed over."""
    return {"status": "completed", "culprit": None, "images_per_second": 100.0, "handed": dict(job.measured)}

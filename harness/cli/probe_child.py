"""What `harness plan --probe` runs in a child: one job comes in as JSON, its timing and parameter count go out."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Time the arm on standard input."""
    # What a plugin prints goes elsewhere than the answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from harness.engine.culprit import Owners
    from harness.engine.timing import time_arm
    from harness.engine.trial import open_run
    from harness.suite.plan import Job

    job = Job.from_json(json.load(sys.stdin))
    timing = time_arm(job, report=lambda _: None)
    if timing["status"] == "completed":
        run = open_run(job, Owners())
        timing["parameters"] = sum(parameter.numel() for parameter in run.model.parameters())
        run.loader.close()
    answers.write(json.dumps(timing))
    answers.flush()
    # A plugin's thread that is left over must not hold the answer up.
    os._exit(0)

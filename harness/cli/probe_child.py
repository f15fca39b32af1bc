"""What `harness plan --probe` runs in a child: one job comes in as JSON, its timing goes out."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Time the arm on standard input."""
    # What a plugin prints goes elsewhere than the answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from harness.engine.timing import time_arm
    from harness.suite.plan import Job

    timing = time_arm(Job.from_json(json.load(sys.stdin)), report=lambda _: None)
    answers.write(json.dumps(timing))
    answers.flush()
    # A plugin's thread that is left over must not hold the answer up.
    os._exit(0)

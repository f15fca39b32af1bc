"""What `harness check` runs in a child: jobs come in as lines of JSON, one answer goes out for each."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Check the arms on standard input."""
    # What a plugin prints goes elsewhere than the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from harness.engine.check import check_arm
    from harness.suite.plan import Job

    for line in sys.stdin:
        job = Job.from_json(json.loads(line))
        answer: dict[str, Any] = {"arm": job.arm, "error": None, "warnings": []}
        try:
            answer["warnings"] = check_arm(job)
        except Exception as error:
            answer["error"] = str(error) or type(error).__name__
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    # A plugin's thread that is left over must not hold the answer up.
    os._exit(0)

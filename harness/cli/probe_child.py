"""What `harness plan --probe` runs in a child: jobs come in as lines of JSON, one answer goes out for each.

Importing torch takes longer than the steps of a small model do, so it is imported once, and each arm is timed in a
fork of its own: one that dies takes no other with it, and its peak of memory is its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.suite.plan import Job


def main() -> None:
    """Time the arms on standard input: an answer is a timing with the model's `parameters`."""
    answers = os.dup(1)
    os.dup2(2, 1)
    import harness.engine.warm  # noqa: F401
    from harness.suite.plan import Job

    for line in sys.stdin.read().splitlines():
        answer = _in_a_fork(Job.from_json(json.loads(line)))
        _write(answers, json.dumps(answer).encode() + b"\n")
    # A plugin's thread that is left over must not hold the answers up.
    os._exit(0)


def _in_a_fork(job: Job) -> dict[str, Any]:
    """Return an arm's timing; of a fork that died, the status "crashed" and the last line that it said as `error`."""
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            # What a plugin prints goes elsewhere than the answer.
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            try:
                _write(answer.fileno(), json.dumps(_timing(job)).encode())
                os._exit(0)
            except BaseException as error:
                _write(2, f"\n{type(error).__name__}: {error}\n".encode())
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answer.seek(0)
        if code == 0 and (written := answer.read()):
            found: dict[str, Any] = json.loads(written)
            return found
        said.seek(0)
        last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
        return {"status": "crashed", "error": f"the process exited with code {code}" + (last and f": {last}")}


def _timing(job: Job) -> dict[str, Any]:
    from harness.engine.culprit import Owners
    from harness.engine.timing import time_arm
    from harness.engine.trial import open_run

    timing = time_arm(job, report=lambda _: None)
    if timing["status"] == "completed":
        run = open_run(job, Owners())
        timing["parameters"] = sum(parameter.numel() for parameter in run.model.parameters())
        run.loader.close()
    return timing


def _write(file: int, data: bytes) -> None:
    """Write all of it, past the buffers that a fork would copy."""
    while data:
        data = data[os.write(file, data) :]

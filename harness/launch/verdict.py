"""Why a child's process is gone without a record: by its own doing, or by the machine's."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from harness.record.record import culprit

_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP}


def oom_kills() -> int:
    """Return how often the kernel has killed for memory in this control group; 0 where it does not tell."""
    for path in (_group_folder() / "memory.events", Path("/sys/fs/cgroup/memory/memory.oom_control")):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def of_death(
    exit_code: int | None, *, server: int | None, oom: bool, step: int, end_of_log: str, stacks: str
) -> tuple[str, dict[str, Any]]:
    """Return the status and the culprit of a process that ended without a record.

    Args:
        exit_code: As multiprocessing gives it: negative for a signal.
        server: Process id of the process server, as the child told it; None where it never came to that.
        oom: Whether the kernel has killed for memory in the meantime.
        step: The last step that was heard of.
        end_of_log: The end of what it printed.
        stacks: What it dumped as it crashed.
    """
    code = 0 if exit_code is None else exit_code
    trace = (stacks or end_of_log).strip()
    if code == _SERVER_GONE and _ends_soon(server):
        return "lost", culprit("the process server ended", trace, step=step)
    if code >= 0:
        text = f"the process exited with code {code} and left no record (sys.exit in a plugin does that)"
        return "crashed", culprit(text, trace, step=step)
    name = _signal_name(-code)
    if -code == signal.SIGKILL and oom:
        return "oom", culprit("killed by the kernel: the host is out of memory", trace, step=step)
    if -code in _FROM_OUTSIDE:
        return "lost", culprit(f"killed from outside by {name}", trace, step=step)
    return "crashed", culprit(f"killed by {name}", trace, step=step)


_DYING_SECONDS = 1.0
_SERVER_GONE = 255
"""What multiprocessing gives for a child whose server has gone; a plugin may exit with it as well."""


def _ends_soon(process: int | None) -> bool:
    """Return whether a process is gone, or goes within a moment: a killed one closes its pipes before it dies."""
    deadline = time.monotonic() + _DYING_SECONDS
    while _is_running(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_running(process: int | None) -> bool:
    if process is None:
        return False
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _group_folder() -> Path:
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return root
    for line in lines:
        if line.startswith("0::"):
            folder = root / line[3:].lstrip("/")
            # Inside a container the path is the host's; the group's own files then stand at the root.
            return folder if (folder / "memory.events").exists() else root
    return root

"""What of a machine this process may use: cores and memory, its control group's limits included.

In a container, and under batch systems, the machine's files tell of the whole machine; what may be taken of it stands
in the control group of the process and in those around it (Linux, cgroup v2 and v1).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")

_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of v2 and of v1: the limit, what is used, and the line of `memory.stat` with what of that are files in the page
cache which the kernel gives up when it has to."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory that this process may use.

    Attributes:
        free_bytes: What can be had now: the machine's, or what the control groups leave of their limits.
        total_bytes: The machine's, or the least limit.
        machine_bytes: The machine's.
    """

    free_bytes: int
    total_bytes: int
    machine_bytes: int


def usable_memory(groups: Path = GROUPS, own: Path = OWN_GROUPS) -> Memory:
    """Return the memory that this process may use.

    Args:
        groups: Where control groups are mounted.
        own: The file that names this process's.
    """
    import psutil

    machine = psutil.virtual_memory()
    limits = [found for folder in _folders("memory", groups, own) for found in _memory_limits(folder)]
    return Memory(
        free_bytes=min([int(machine.available), *(free for _, free in limits)]),
        total_bytes=min([int(machine.total), *(limit for limit, _ in limits)]),
        machine_bytes=int(machine.total),
    )


def free_host_bytes() -> int:
    """Return the memory that can be had: the machine's, or what the control groups leave of their limits."""
    return usable_memory().free_bytes


def usable_cores(groups: Path = GROUPS, own: Path = OWN_GROUPS) -> int:
    """Return how many cores this process can keep busy: at least one.

    A share of a core is none: trials that wait for each other's share are slow, and their times say little.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = core_limit(groups, own)
    return cores if limit is None else max(1, min(cores, int(limit)))


def core_limit(groups: Path = GROUPS, own: Path = OWN_GROUPS) -> float | None:
    """Return the least share of processor time that a control group allows, in cores; None where none sets any."""
    found = [limit for folder in _folders("cpu", groups, own) for limit in _core_limits(folder)]
    return min(found, default=None)


def _folders(controller: str, groups: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups, inner ones and those around them.

    Inside a container the group's path may be the host's: then the group's own files stand at the root.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # v2, alone or beside v1
            tops = (groups, groups / "unified")
        elif controller in controllers.split(","):
            tops = (groups / controller, groups / controllers)
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))
        for top in tops:
            yield from (top / one for one in (inner, *inner.parents))


def _memory_limits(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield a group's limit and what is left of it, in bytes."""
    for limit_name, used_name, files_name in _MEMORY_FILES:
        limit, used = _numbers(folder / limit_name), _numbers(folder / used_name)
        if limit and used:
            lines = (line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
            files = sum(int(words[1]) for words in lines if words[0] == files_name)
            yield limit[0], max(0, min(limit[0], limit[0] - used[0] + files))


def _core_limits(folder: Path) -> Iterator[float]:
    """Yield a group's processor time by the time that passes."""
    # v2: "200000 100000", or "max 100000"; v1: a quota of -1, no whole number here, where there is no limit.
    together = _numbers(folder / "cpu.max")
    quota, period = _numbers(folder / "cpu.cfs_quota_us"), _numbers(folder / "cpu.cfs_period_us")
    for found in (together, [*quota, *period]):
        if len(found) == 2 and all(found):
            yield found[0] / found[1]


def _numbers(path: Path) -> list[int]:
    """Return the whole numbers that a file holds; no words, and nothing where it is not there."""
    return [int(word) for word in _text(path).split() if word.isdecimal()]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

"""Memory of a trial's processes and of its device, phase by phase. Absent is None, never 0."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic  # bound before any plugin is loaded, which may put another in its place
from typing import Any

import psutil
import torch

SAMPLE_SECONDS = 1.0
"""Between two looks at child processes, at the least: each takes milliseconds."""

Bytes = dict[str, int | None]


@dataclass(slots=True)
class Peaks:
    """The peaks of the phases of a trial or a timing.

    Attributes:
        device: Of the trial.
        phases: By phase, `{resident, allocated, reserved}` in bytes: this process in the host's memory, and what
            torch's allocator used and held of the device.
        tree: The largest sum seen of this process and its descendants, in bytes; None where there never was one.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    phases: dict[str, Bytes] = field(default_factory=dict)
    tree: int | None = None
    _phase: str | None = None
    _exact: bool = True
    _sampled: float = -SAMPLE_SECONDS

    def begin(self, phase: str, device: torch.device | None = None) -> None:
        """End the phase under way, and begin another or go on with an earlier one."""
        self._end()
        self.device = device or self.device
        # Where the system cannot set the resident peak back, a later phase would show that of the first.
        self._exact = reset_peaks(self.device) or not self.phases
        self._phase = phase

    def sample(self) -> None:
        """Look at the process tree, where there are children: at window edges, outside the clock."""
        if monotonic() - self._sampled < SAMPLE_SECONDS:
            return
        if has_children():
            self.tree = _larger(self.tree, tree_bytes())
        self._sampled = monotonic()

    def of(self, phase: str) -> Bytes:
        """Return the peaks of a phase, up to now where it is under way, and `tree`."""
        self._end()
        found = self.phases.get(phase) or dict.fromkeys(("resident", "allocated", "reserved"))
        return {**found, "tree": _larger(self.tree, found["resident"])}

    def to_json(self) -> dict[str, Any]:
        """Return what an outcome holds: the peaks over all phases, of the process tree, and by phase."""
        self._end()
        over_all = {
            f"peak_{kind}_bytes": _largest(peaks[kind] for peaks in self.phases.values())
            for kind in ("resident", "allocated", "reserved")
        }
        tree = _larger(self.tree, over_all["peak_resident_bytes"])
        return {**over_all, "peak_tree_bytes": tree, "phases": self.phases}

    def _end(self) -> None:
        if self._phase is None:
            return
        now = peak_memory(self.device)
        if not self._exact:
            now["resident"] = None
        earlier = self.phases.get(self._phase)
        self.phases[self._phase] = (
            {kind: _larger(earlier[kind], value) for kind, value in now.items()} if earlier else now
        )


def reset_peaks(device: torch.device) -> bool:
    """Start counting peaks anew; return whether the resident one could be set back."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if sys.platform != "linux":
        return False
    try:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): 5 resets the peak resident set
    except OSError:
        return False  # a sandbox that forbids it
    return True


def peak_memory(device: torch.device) -> Bytes:
    """Return the peaks since `reset_peaks`, in bytes."""
    cuda = device.type == "cuda"
    return {
        "resident": _peak_resident(),
        "allocated": torch.cuda.max_memory_allocated(device) if cuda else None,
        "reserved": torch.cuda.max_memory_reserved(device) if cuda else None,
    }


def memory_now(device: torch.device) -> Bytes:
    """Return what this process holds at the moment, in bytes: resident, and allocated on the device."""
    cuda = device.type == "cuda"
    return {
        "resident": int(psutil.Process().memory_info().rss),
        "allocated": torch.cuda.memory_allocated(device) if cuda else None,
    }


def device_bytes(device: torch.device) -> int | None:
    """Return what is in use of a GPU, by whomever: in the timing pass that is this process, its context included."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def has_children() -> bool:
    """Return whether this process has child processes; in a tenth of a millisecond, for it is asked often."""
    try:
        return any((thread / "children").read_bytes() for thread in Path("/proc/self/task").iterdir())
    except OSError:  # no Linux, a kernel without that file, or a thread that has just ended
        return bool(multiprocessing.active_children())


def tree_bytes() -> int:
    """Return the memory of this process and its descendants, in bytes.

    Where the kernel tells it, a descendant counts with what it alone has written: the rest it shares with this
    process or with the page cache, and a sum of resident sets would count a memory-mapped data set, or torch
    itself, once a worker. (The proportional set size would depend on what else the machine runs.)
    """
    process = psutil.Process()
    total = int(process.memory_info().rss)
    for child in process.children(recursive=True):
        try:
            written = _written(child.pid)
            total += int(child.memory_info().rss) if written is None else written
        except psutil.Error:
            continue  # it has ended meanwhile
    return total


def _written(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty:")), None)


def _peak_resident() -> int | None:
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _larger(left: int | None, right: int | None) -> int | None:
    return _largest((left, right))


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)

"""Peak memory of this process and of its device. Absent is None, never 0."""

from __future__ import annotations

import sys
from pathlib import Path

import torch


def reset_peaks(device: torch.device) -> None:
    """Start counting peaks anew, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): 5 resets the peak resident set
        except OSError:
            return  # a sandbox that forbids it: the peak then includes the start


def peak_memory(device: torch.device) -> dict[str, int | None]:
    """Return the peaks since `reset_peaks`, in bytes."""
    cuda = device.type == "cuda"
    return {
        "peak_resident_bytes": _resident(),
        "peak_allocated_bytes": torch.cuda.max_memory_allocated(device) if cuda else None,
        "peak_reserved_bytes": torch.cuda.max_memory_reserved(device) if cuda else None,
    }


def _resident() -> int | None:
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

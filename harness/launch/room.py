"""How many trials fit beside each other, by the memory that the first ones were seen to need."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

SHARE = 0.9
"""The part of the free memory that trials may fill: what is left is for what they share and for what grows."""

CONTEXT_BYTES = 2**30
"""What a process takes of a GPU beside torch's allocator: the CUDA context, and the workspaces of cuBLAS and cuDNN.
Half a GiB to nearly one, by card and driver; the larger is the safer."""

PLENTY_BYTES = 4 * 2**30
"""Host memory for each trial with which nobody waits for the first one's peak."""


def how_many_fit(need_bytes: int | None, free_bytes: int | None, most: int) -> int:
    """Return how many trials run at a time in some memory: at least one, whatever it needs.

    Args:
        need_bytes: The largest peak of a trial; None where nothing was measured.
        free_bytes: What is free while no trial runs; None where nobody tells.
        most: The most there may be: cores over threads.
    """
    if not need_bytes or free_bytes is None:
        return 1
    return max(1, min(most, int(SHARE * free_bytes / need_bytes)))


def free_host_bytes() -> int:
    """Return the memory that can be had: the machine's, or what the control group leaves of its limit."""
    available = int(psutil.virtual_memory().available)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        cached = _cached(Path("/sys/fs/cgroup/memory.stat").read_text())
    except (OSError, ValueError):
        return available
    return available if not limit.isdecimal() else max(0, min(available, int(limit) - used + cached))


def needs(outcome: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return what a trial that has just ended in this process needed, as its child tells the launcher.

    Returns:
        `{host_bytes, device_bytes, free_device_bytes}`: its peaks, and what this process could have had of its
        device; None where it was not measured.
    """
    memory = outcome.get("memory") or {}
    found: dict[str, Any] = {
        "host_bytes": memory.get("peak_tree_bytes") or memory.get("peak_resident_bytes"),
        "device_bytes": None,
        "free_device_bytes": None,
    }
    torch = sys.modules.get("torch")
    reserved = memory.get("peak_reserved_bytes")
    if device.startswith("cuda") and torch is not None and reserved is not None:
        free, _ = torch.cuda.mem_get_info(device)
        found["device_bytes"] = reserved + CONTEXT_BYTES
        found["free_device_bytes"] = free + torch.cuda.memory_reserved(device)
    return found


def usable_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cached(text: str) -> int:
    """Return the bytes of files in a control group's memory, which the kernel gives up when it has to."""
    for line in text.splitlines():
        name, _, count = line.partition(" ")
        if name == "inactive_file":
            return int(count)
    return 0

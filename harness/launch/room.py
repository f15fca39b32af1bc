"""How many trials fit beside each other, by the memory that the first ones were seen to need."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

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

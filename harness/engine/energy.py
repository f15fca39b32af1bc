"""What a GPU has used, by NVML's counter, where the package `nvidia-ml-py` is there and the device counts."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import torch

SOURCE = "nvml"
SHORTEST_SECONDS = 0.5
"""The counter moves about ten times a second: over less than this it says little."""


def energy_counter(device: torch.device) -> Callable[[], float] | None:
    """Return a function that gives the joules a device has used since its driver was loaded, or None."""
    if device.type != "cuda":
        return None
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:
        # The package, its library or the driver is absent; each has an error class of its own.
        return None
    # By its own name: CUDA_VISIBLE_DEVICES gives devices other numbers than NVML does.
    name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"

    def joules() -> float:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000

    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(name)
        joules()
    except nvml.NVMLError:
        return None  # a slice of a GPU, or one before Volta
    return joules


def energy_of(joules: float | None, images: int, seconds: float) -> dict[str, float | str] | None:
    """Return `{joules_per_image, seconds, source}`; None where nothing was counted or for too short a time.

    Args:
        joules: By which the counter moved.
        images: Trained on meanwhile.
        seconds: For how long.
    """
    if not joules or joules < 0 or seconds < SHORTEST_SECONDS:
        return None
    return {"joules_per_image": joules / images, "seconds": seconds, "source": SOURCE}

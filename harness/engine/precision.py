"""Numerics of the recipe, put into force."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from harness.errors import HarnessError


def apply_numerics(numerics: Mapping[str, Any], device: torch.device) -> None:
    """Set threads, TF32 and determinism as the recipe says; nothing else changes them.

    Raises:
        HarnessError: Where the device cannot do what is asked for.
    """
    if device.type == "cuda" and not torch.cuda.is_available():
        raise HarnessError("the device is cuda, and torch sees no CUDA device; use --device cpu")
    if device.type == "cuda":
        # A plugin that says "cuda" means the trial's own.
        torch.cuda.set_device(device.index or 0)
    torch.set_num_threads(numerics["threads"])
    tf32 = numerics["precision"] == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    deterministic = numerics["deterministic"]
    if deterministic:
        # cuBLAS reads it when its first handle is made; torch refuses matrix products without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a forward pass runs."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()

"""What a plugin could have changed in the process, compared with its value at the start and put back."""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Flag:
    """One global setting: how to read it and how to put it back."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _attribute(owner: Any, name: str, label: str) -> Flag:
    return Flag(label, lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _global_numpy_state() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return (kind, np.asarray(keys).tobytes(), *rest)


def _restore_numpy(state: tuple[Any, ...]) -> None:
    kind, keys, *rest = state
    np.random.set_state((kind, np.frombuffer(keys, dtype=np.uint32), *rest))


FLAGS: tuple[Flag, ...] = (
    Flag("torch.set_num_threads", torch.get_num_threads, torch.set_num_threads),
    Flag("torch.set_default_dtype", torch.get_default_dtype, torch.set_default_dtype),
    Flag("torch.set_grad_enabled", torch.is_grad_enabled, torch.set_grad_enabled),
    Flag(
        "torch.set_float32_matmul_precision",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    Flag(
        "torch.use_deterministic_algorithms",
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    Flag("torch.autograd.set_detect_anomaly", torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    Flag("torch.set_default_device", torch.get_default_device, torch.set_default_device),
    _attribute(torch.backends.cudnn, "enabled", "torch.backends.cudnn.enabled"),
    _attribute(torch.backends.cudnn, "benchmark", "torch.backends.cudnn.benchmark"),
    _attribute(torch.backends.cudnn, "deterministic", "torch.backends.cudnn.deterministic"),
    _attribute(torch.backends.cudnn, "allow_tf32", "torch.backends.cudnn.allow_tf32"),
    _attribute(time, "perf_counter", "time.perf_counter"),
    _attribute(time, "monotonic", "time.monotonic"),
    _attribute(time, "time", "time.time"),
    _attribute(torch.nn.functional, "cross_entropy", "torch.nn.functional.cross_entropy"),
    _attribute(torch.nn.Module, "__call__", "torch.nn.Module.__call__"),
    _attribute(torch.Tensor, "backward", "torch.Tensor.backward"),
    _attribute(torch, "manual_seed", "torch.manual_seed"),
    Flag("the global state of Python's random", random.getstate, random.setstate),
    Flag("the global state of numpy.random", _global_numpy_state, _restore_numpy),
)


def read_flags() -> list[Any]:
    """Return the values of all flags."""
    # The first optimizer imports it, and it wraps torch.manual_seed: that is nobody's doing.
    importlib.import_module("torch._dynamo")
    return [_value(flag) for flag in FLAGS]


def changed_flags(before: list[Any]) -> list[str]:
    """Return the names of those that differ from `before`."""
    return [flag.name for flag, value in zip(FLAGS, before, strict=True) if _value(flag) != value]


def restore_flags(before: list[Any]) -> list[str]:
    """Put back what differs from `before` and return its names."""
    changed = changed_flags(before)
    for flag, value in zip(FLAGS, before, strict=True):
        if flag.name in changed:
            flag.write(value)
    return changed


def _value(flag: Flag) -> Any:
    try:
        return flag.read()
    except RuntimeError as error:  # torch refuses to read TF32 flags once its old and new names disagree
        return str(error)

"""Numerics of the recipe, put into force.

| precision | weights | forward pass | loss scale |
| --- | --- | --- | --- |
| fp32, tf32 | float32 | float32; matrix products of 10-bit mantissas with tf32, on CUDA | none |
| bf16 | float32 | torch.autocast to bfloat16 | none |
| fp16 | float32 | torch.autocast to float16 | `scaler` |
| pure-bf16, pure-fp16 | themselves half, norm layers' float32 | inputs cast | none |

Logits are float32 before the loss in all of them. Gradients have their weights' type.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from harness.contract import Batch
from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Forward = Callable[[Batch], "Tensor"]

WIDENED = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Norm layers whose kernels take no half input beside float32 weights on every device; batch norm's do."""


@dataclass(frozen=True, slots=True)
class Precision:
    """What a precision asks for.

    Attributes:
        autocast: Type of torch.autocast; None for none.
        weights: Type of the weights themselves; None for float32.
        scaled: Whether the loss is scaled.
    """

    autocast: torch.dtype | None = None
    weights: torch.dtype | None = None
    scaled: bool = False


PRECISIONS: Mapping[str, Precision] = {
    "fp32": Precision(),
    "tf32": Precision(),
    "bf16": Precision(autocast=torch.bfloat16),
    "fp16": Precision(autocast=torch.float16, scaled=True),
    "pure-bf16": Precision(weights=torch.bfloat16),
    "pure-fp16": Precision(weights=torch.float16),
}


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
        _refuse_old_device(numerics["precision"], device)
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


def _refuse_old_device(precision: str, device: torch.device) -> None:
    # Volta and older compute bfloat16 in software, and take TF32 for float32: neither is what was asked for.
    major, minor = torch.cuda.get_device_capability(device)
    if precision in ("tf32", "bf16", "pure-bf16") and major < 8:
        raise HarnessError(
            f'numerics.precision = "{precision}" needs compute capability 8.0 or above; '
            f'{torch.cuda.get_device_name(device)} has {major}.{minor}; use "fp32" or "fp16"'
        )


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a forward pass runs."""
    dtype = PRECISIONS[precision].autocast
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def forward_of(model: Callable[..., Tensor], takes: str, precision: str, device: torch.device) -> Forward:
    """Return Batch -> logits (B, K), float32 where the precision is lower."""
    kind = PRECISIONS[precision]

    def forward(batch: Batch) -> Tensor:
        return model(batch if takes == "batch" else batch.inputs[takes])

    def forward_autocast(batch: Batch) -> Tensor:
        with autocast(precision, device):
            logits = forward(batch)
        return logits.float()

    def forward_cast(batch: Batch) -> Tensor:
        return forward(_cast_inputs(batch, kind.weights)).float()

    if kind.autocast is not None:
        return forward_autocast
    return forward if kind.weights is None else forward_cast


def cast_weights(model: Module, precision: str) -> Module:
    """Return the model with its weights in the type that the precision asks for, in place.

    Parameters and statistics of norm layers stay float32: a running mean in half precision stops moving.
    """
    dtype = PRECISIONS[precision].weights
    if dtype is None:
        return model
    model.to(dtype)
    for module in model.modules():
        if isinstance(module, (_NormBase, *WIDENED)):
            module.float()
        if isinstance(module, WIDENED):
            module.register_forward_pre_hook(_widen)
            module.register_forward_hook(partial(_narrow, dtype))
    return model


def _cast_inputs(batch: Batch, dtype: torch.dtype | None) -> Batch:
    inputs = {name: t.to(dtype) if t.is_floating_point() else t for name, t in batch.inputs.items()}
    return Batch(inputs, batch.target, batch.ids)


def _widen(module: Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    del module
    return tuple(input.float() for input in inputs)


def _narrow(dtype: torch.dtype, module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    del module, inputs
    return output.to(dtype)

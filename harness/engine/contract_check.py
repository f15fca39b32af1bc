"""What a plugin promised, checked on the first batch: what was expected and what came."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any

import torch

from harness.contract import Batch, StepResult
from harness.errors import PluginError


class ContractError(PluginError):
    """A slot gave something that the contract does not allow."""

    def __init__(self, plugin: str, slot: str, message: str) -> None:
        super().__init__(f"{plugin}, slot {slot}: {message}")
        self.plugin = plugin
        self.slot = slot


def describe(value: object) -> str:
    """Return shape, type and device of a tensor, or the type of anything else."""
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)} on {value.device}"
    return "None" if value is None else type(value).__name__


def checked_batch(
    plugin: str, function: Callable[[Batch], Batch], batch: Batch, *, num_classes: int
) -> Batch:
    """Apply a batch function and hold it to the contract."""

    def fail(message: str) -> ContractError:
        return ContractError(plugin, "batch", message)

    before = {id(t): t._version for t in (*batch.inputs.values(), batch.target, batch.ids)}
    after = function(batch)
    for name, tensor in (*batch.inputs.items(), ("target", batch.target), ("ids", batch.ids)):
        if tensor._version != before[id(tensor)]:
            raise fail(f"it wrote into the batch's {name} in place; expected a new tensor")
    if not isinstance(after, Batch):
        raise fail(f"expected a Batch, got {describe(after)}")
    if after.inputs.keys() != batch.inputs.keys():
        raise fail(f"expected the inputs {sorted(batch.inputs)}, got {sorted(after.inputs)}")
    for name, tensor in after.inputs.items():
        was = batch.inputs[name]
        if (
            tensor.dtype != was.dtype
            or tensor.device != was.device
            or tensor.ndim != was.ndim
            or len(tensor) != len(was)
        ):
            raise fail(f"expected {name} like {describe(was)}, got {describe(tensor)}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise fail(f"{name} holds NaN or infinite values")
    if after.ids is not batch.ids and not torch.equal(after.ids, batch.ids):
        raise fail("it changed the sample ids")
    target, size = after.target, len(batch)
    if target.dtype == torch.int64 and tuple(target.shape) == (size,) and batch.target.ndim == 1:
        return after
    if tuple(target.shape) != (size, num_classes) or not target.is_floating_point():
        wanted = "dense targets stay dense: " if batch.target.ndim == 2 else f"int64 ({size},) or "
        raise fail(f"expected targets {wanted}float ({size}, {num_classes}), got {describe(target)}")
    if not bool(((target.sum(1) - 1).abs() < 1e-3).all()):
        raise fail("a row of the dense targets does not sum to one")
    return after


def check_objective(plugin: str, slot: str, outcome: object, size: int, num_classes: int) -> None:
    """Hold (loss, logits) of a micro-batch to the contract."""
    if not (isinstance(outcome, tuple) and len(outcome) == 2):
        raise ContractError(plugin, slot, f"expected (loss, logits), got {describe(outcome)}")
    loss, logits = outcome
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != (size, num_classes):
        raise ContractError(plugin, slot, f"expected logits ({size}, {num_classes}), got {describe(logits)}")
    if not bool(torch.isfinite(logits).all()):
        raise ContractError(plugin, slot, "the logits hold NaN or infinite values on the first batch")
    check_loss(plugin, slot, loss)


def check_loss(plugin: str, slot: str, loss: object) -> None:
    """Hold a loss to the contract: one number."""
    if not isinstance(loss, torch.Tensor) or loss.ndim != 0:
        raise ContractError(
            plugin, slot, f"expected the loss as a tensor of one number, got {describe(loss)}"
        )


def check_result(plugin: str, result: object) -> None:
    """Hold the result of an update to the contract."""
    if not isinstance(result, StepResult):
        raise ContractError(plugin, "update", f"expected a StepResult, got {describe(result)}")
    check_loss(plugin, "update", result.loss)


@dataclass(frozen=True, slots=True)
class Owners:
    """Which plugin a piece of code belongs to.

    Attributes:
        files: Source file to the plugin's label.
        code: Code object of a slot's function to (label, slot).
    """

    files: dict[str, str]
    code: dict[CodeType, tuple[str, str]]

    def own(self, label: str, slot: str, function: Any) -> None:
        """Remember whose function this is."""
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            self.code[code] = (label, slot)

    def culprit(self, error: BaseException, step: int | None) -> dict[str, Any]:
        """Return who is to blame: the innermost frame that a plugin owns."""
        plugin, slot = getattr(error, "plugin", None), getattr(error, "slot", None)
        if plugin is None:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                owner = self.files.get(frame.f_code.co_filename)
                if frame.f_code in self.code:
                    plugin, slot = self.code[frame.f_code]
                elif owner is not None and owner != plugin:
                    plugin, slot = owner, None
        tail = traceback.format_exception(type(error), error, error.__traceback__)[-6:]
        text = str(error) or type(error).__name__
        return {
            "plugin": plugin,
            "slot": slot,
            "step": step,
            "error": f"{type(error).__name__}: {text}"[:2000],
            "traceback": "".join(tail)[-4000:],
        }

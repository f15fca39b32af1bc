"""What a plugin promised, checked where it is cheap: what was expected and what came."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import torch

from harness.contract import Batch, StepPlan, StepResult
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


def check_call(plugin: str, slot: str, function: object, *given: str) -> None:
    """Hold a function to what it is called with, once, when it is bound: its own frame is in no traceback otherwise.

    Args:
        plugin: Whose it is.
        slot: Where it acts.
        function: What the plugin gave.
        given: Names of the arguments, by place.

    Raises:
        ContractError: Where it is none, or cannot be called so.
    """
    call = f"({', '.join(given)})"
    if not callable(function):
        raise ContractError(plugin, slot, f"expected a function of {call}, got {describe(function)}")
    inner = function.forward if isinstance(function, torch.nn.Module) else function
    try:
        # Not that of what a decorator wraps: the decorator's own function is called.
        signature = inspect.signature(inner, follow_wrapped=False)
    except (TypeError, ValueError):  # compiled ones have none
        return
    try:
        signature.bind(*given)
    except TypeError as error:
        bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
        takes = signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
        name = getattr(function, "__name__", None) or type(function).__name__
        raise ContractError(plugin, slot, f"{name} takes {takes} and is given {call}: {error}") from error


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
    check_logits(plugin, slot, logits, size, num_classes)
    if not bool(torch.isfinite(logits).all()):
        raise ContractError(plugin, slot, "the logits hold NaN or infinite values on the first batch")
    check_loss(plugin, slot, loss)


def check_logits(plugin: str, slot: str, logits: object, size: int, num_classes: int) -> None:
    """Hold logits to the contract: a number for each sample and class."""
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != (size, num_classes):
        raise ContractError(plugin, slot, f"expected logits ({size}, {num_classes}), got {describe(logits)}")


def check_metric(name: str, value: object) -> float:
    """Return a metric's value as a number."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ContractError(f"metric {name}", "compute", f"expected a number, got {describe(value)}")
    return float(value)


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
    applied = result.applied
    known = isinstance(applied, bool)
    if not known and not (
        isinstance(applied, torch.Tensor) and applied.dtype == torch.bool and applied.ndim == 0
    ):
        raise ContractError(
            plugin, "update", f"expected `applied` as a bool or a tensor bool (), got {describe(applied)}"
        )


def check_plan(plugin: str, plan: object, batch_size: int) -> None:
    """Hold the plan of a step to the contract."""
    if not isinstance(plan, StepPlan):
        raise ContractError(plugin, "plan", f"expected a StepPlan, got {describe(plan)}")
    if not 1 <= plan.micro_batches <= batch_size:
        raise ContractError(
            plugin, "plan", f"a batch of {batch_size} cannot be split into {plan.micro_batches} parts"
        )
    if outside := [share for share in plan.boundaries if not 0 < share < 1]:
        raise ContractError(plugin, "plan", f"boundaries are shares within (0, 1), not {outside}")


def check_order(plugin: str, order: object, count: int) -> None:
    """Hold the order of an epoch to the contract."""
    if not isinstance(order, np.ndarray) or order.shape != (count,) or order.dtype.kind not in "iu":
        found = f"{order.dtype} {order.shape}" if isinstance(order, np.ndarray) else describe(order)
        raise ContractError(plugin, "order", f"expected int64 ({count},), got {found}")
    if count and not 0 <= order.min() <= order.max() < count:
        raise ContractError(plugin, "order", f"expected numbers from 0 to {count - 1}, got others")

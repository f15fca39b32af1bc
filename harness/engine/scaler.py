"""The loss scale of fp16: small gradients do not vanish, and a step whose gradients overflow is skipped.

torch.amp.GradScaler does the work: the scale starts at 65,536, doubles after 2,000 steps without an overflow
and halves at each one. All optimizers of a step are one to it: a step is taken whole or not at all.

torch's SGD, Adam, AdamW and Adagrad are taken in their fused form, which skips on the device: whether a step
was applied is then known there alone, and nobody waits for it. Any other optimizer asks the device once a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

if TYPE_CHECKING:
    from torch import Tensor

FUSED = (SGD, Adam, AdamW, Adagrad)
"""Optimizers of torch that have a fused form; classes derived from them are left as they are."""


class LossScaler:
    """Scales losses and unscales gradients, and takes the optimizers' steps where no gradient overflowed.

    Args:
        optimizers: Those of the step, as `skipping` returned them.
        device: Where the scale lives.
    """

    def __init__(self, optimizers: Sequence[Optimizer], device: torch.device) -> None:
        self._scaler = torch.amp.GradScaler(device.type)
        self._all = _AllOptimizers(optimizers)

    def backward(self, loss: Tensor) -> None:
        """Run the backward pass of the scaled loss."""
        self._scaler.scale(loss).backward()

    def unscale(self) -> None:
        """Divide all gradients by the scale, once a step; what is not finite is noted on the device.

        Raises:
            RuntimeError: Where the step looks from a second point.
        """
        self._scaler.unscale_(cast(Optimizer, self._all))

    def step(self) -> bool | Tensor:
        """Take the optimizers' steps unless a gradient overflowed, and move the scale.

        Returns:
            Whether the steps were taken: bool () on the device where only the device knows.
        """
        self._all.applied = False
        self._scaler.step(cast(Optimizer, self._all))
        self._scaler.update()
        return self._all.applied

    def state(self) -> dict[str, Any]:
        """Return the scale and what moves it, as JSON."""
        return self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._scaler.load_state_dict(state)


class _AllOptimizers:
    """All optimizers of a step as the one that GradScaler asks for."""

    grad_scale: Tensor | None
    found_inf: Tensor

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self.optimizers = optimizers
        self.applied: bool | Tensor = False
        # What GradScaler looks for: with it, the overflow is handed on as `found_inf`, a tensor.
        self._step_supports_amp_scaling = all(map(_skips, optimizers))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self) -> None:
        if not self._step_supports_amp_scaling:
            for optimizer in self.optimizers:
                optimizer.step()
            self.applied = True
            return
        for optimizer in cast(Sequence[Any], self.optimizers):
            optimizer.grad_scale, optimizer.found_inf = None, self.found_inf
            optimizer.step()
            del optimizer.grad_scale, optimizer.found_inf
        self.applied = self.found_inf == 0


def _skips(optimizer: Optimizer) -> bool:
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def skipping(optimizer: Optimizer) -> Optimizer:
    """Return an optimizer that can skip a step on the device, where torch has it in that form."""
    if type(optimizer) in FUSED and not _skips(optimizer):
        groups = [
            {name: value for name, value in group.items() if name not in ("fused", "foreach")}
            for group in optimizer.param_groups
        ]
        optimizer = cast(Any, type(optimizer))(groups, fused=True)
    if isinstance(optimizer, SGD) and _skips(optimizer):
        _begin_momentum(optimizer)
    return optimizer


def _begin_momentum(optimizer: SGD) -> None:
    # Fused SGD leaves its buffers as memory happened to be when the very first step is skipped. From nought,
    # the first step gives what torch gives without a buffer: the gradient; not so with dampening.
    for group in optimizer.param_groups:
        if group["momentum"] and not group["dampening"]:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

"""Gradient norms by layer, added up on the device; there only where a suite asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.engine.keys import Moment


class GradientNorms:
    """The mean L2 norm of each layer's gradient in each epoch.

    A layer is a module that has parameters of its own; its norm is that of all of them taken as one vector, of
    the gradient as the backward pass left it: unscaled, and before any `gradients` slot. A step whose norm is
    not finite (a loss scale that overflowed) counts for nothing. A step adds some ten small operations.

    Args:
        model: The model, on its device.
        epochs: Epochs of the budget; one begun counts whole.
        moment: Where the trial stands.
    """

    def __init__(self, model: Module, epochs: int, moment: Moment) -> None:
        named = list(model.named_parameters())
        layers = [name.rpartition(".")[0] for name, _ in named]
        self.layers = list(dict.fromkeys(layers))
        self._parameters = [parameter for _, parameter in named]
        self._moment = moment
        device = self._parameters[0].device
        self._layer_of = torch.tensor([self.layers.index(layer) for layer in layers], device=device)
        self._none = torch.zeros((), device=device)
        # By epoch and layer: the sum of norms, and how many.
        self._sums = torch.zeros(epochs, len(self.layers), device=device)
        self._counts = torch.zeros_like(self._sums)

    @property
    def state(self) -> Mapping[str, list[Tensor]]:
        """The tensors that a checkpoint has to hold."""
        return {"gradient norms/sums": [self._sums], "gradient norms/counts": [self._counts]}

    def add(self, gradients: list[Tensor]) -> None:
        """Add this step's norms; a `gradients` function."""
        del gradients  # which has no place for a parameter without a gradient
        present = [self._none if p.grad is None else p.grad for p in self._parameters]
        norms = torch.stack([norm.float() for norm in torch._foreach_norm(present)])
        squares = torch.zeros_like(self._sums[0]).index_add_(0, self._layer_of, norms.square())
        finite = squares.isfinite()
        epoch = self._moment.epoch
        self._sums[epoch].add_(squares.sqrt().where(finite, self._none))
        self._counts[epoch].add_(finite)

    def read(self) -> dict[str, list[float | None]]:
        """Return each layer's mean norm in the epochs so far; None where no step counted."""
        begun = self._moment.epoch + 1
        sums, counts = self._sums[:begun].T.tolist(), self._counts[:begun].T.tolist()
        return {
            layer: [total / count if count else None for total, count in zip(*of_layer, strict=True)]
            for layer, *of_layer in zip(self.layers, sums, counts, strict=True)
        }


def with_norms(
    norms: GradientNorms | None, functions: list[Callable[[list[Tensor]], None]]
) -> list[Callable[[list[Tensor]], None]]:
    """Return the `gradients` functions, the measurement ahead of them where it is asked for."""
    return functions if norms is None else [norms.add, *functions]

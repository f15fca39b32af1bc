"""The optimizers of a stack of replicates as one: one step over the stack gives what a step over each row gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.run import Run

_BY_ELEMENT: tuple[type[torch.optim.Optimizer], ...] = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimizers that treat each element by itself, so that over a stack they give the bits of the steps over its rows."""


class Ineligible(Exception):
    """Replicates cannot be trained at once; the text says why."""


class JoinedOptimizers:
    """One optimizer for each of the recipe's, over stacked parameters.

    Args:
        own: For each of the recipe's optimizers, those of the replicates.
        leaves: By the identity of the first replicate's parameter, the stacked one.
    """

    def __init__(self, own: Sequence[Sequence[torch.optim.Optimizer]], leaves: dict[int, Tensor]) -> None:
        self._own = own
        self._whole = [_joined(replicates, leaves) for replicates in own]
        self._groups = [
            pair
            for replicates, whole in zip(own, self._whole, strict=True)
            for pair in zip(replicates[0].param_groups, whole.param_groups, strict=True)
        ]

    @classmethod
    def of(
        cls, runs: Sequence[Run], trained: Sequence[tuple[Tensor, Sequence[Tensor]]]
    ) -> JoinedOptimizers | None:
        """Return them, or None where a replicate's own code has to see its own step.

        Args:
            runs: The replicates.
            trained: Each stacked leaf and the replicates' parameters that are its rows.

        Raises:
            Ineligible: Where the replicates' optimizers stand at different points.
        """
        steps = [run.step for run in runs]
        if any(run.feedback is not None for run in runs):
            return None  # each replicate's rate is its own
        for step in steps:
            if step.update != step.plain_update or step.gradient_functions:
                return None
            if any(type(optimizer) not in _BY_ELEMENT for optimizer in step.optimizers):
                return None
        own = list(zip(*(step.optimizers for step in steps), strict=True))
        return cls(own, {id(rows[0]): leaf for leaf, rows in trained})

    def step(self) -> None:
        """Step them all, at the rates that the schedule has set for the first replicate, which are everyone's."""
        for own, whole in self._groups:
            whole["lr"] = own["lr"]
        for optimizer in self._whole:
            optimizer.step()

    def hand_back(self) -> None:
        """Give the replicates' own optimizers the state that these have come to."""
        for replicates, whole in zip(self._own, self._whole, strict=True):
            leaves = [leaf for group in whole.param_groups for leaf in group["params"]]
            for number, optimizer in enumerate(replicates):
                rows = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
                for row, leaf in zip(rows, leaves, strict=True):
                    for name, value in whole.state[leaf].items():
                        is_stacked = _is_by_element(name, value, leaf)
                        optimizer.state[row][name] = value[number].clone() if is_stacked else _copy(value)


def _joined(own: Sequence[torch.optim.Optimizer], leaves: dict[int, Tensor]) -> torch.optim.Optimizer:
    groups = [
        {**group, "params": [leaves[id(p)] for p in group["params"] if id(p) in leaves]}
        for group in own[0].param_groups
    ]
    kind: Any = type(own[0])
    whole: torch.optim.Optimizer = kind(groups)
    for index, group in enumerate(own[0].param_groups):
        rows = zip(*(optimizer.param_groups[index]["params"] for optimizer in own), strict=True)
        for parameter, of_replicates in zip(group["params"], rows, strict=True):
            if id(parameter) not in leaves:
                continue
            states = [opt.state.get(row, {}) for opt, row in zip(own, of_replicates, strict=True)]
            if any(state.keys() != states[0].keys() for state in states):
                raise Ineligible("its replicates' optimizers stand at different points")
            for name, value in states[0].items():
                is_stacked = _is_by_element(name, value, parameter)
                joined = torch.stack([state[name] for state in states]) if is_stacked else _copy(value)
                whole.state[leaves[id(parameter)]][name] = joined
    return whole


def _is_by_element(name: str, value: Any, of: Tensor) -> bool:
    return name != "step" and isinstance(value, torch.Tensor) and value.shape == of.shape


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value

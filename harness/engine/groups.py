"""Optimizers and their parameter groups: who updates which parameter, and at what multiple of the recipe's settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.contract import Scale, Trick
from harness.engine.contract_check import ContractError, describe
from harness.engine.parameters import groups_by_selector
from harness.errors import HarnessError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

    from harness.contract import Context
    from harness.registry.registry import Registry

PLAIN = Scale()

Part = tuple[Scale, list["Tensor"]]
"""Parameters of one optimizer with equal factors, in the parameters' order."""


@dataclass(frozen=True, slots=True)
class Optimizers:
    """The recipe's optimizers, built.

    Attributes:
        built: One for each entry of the recipe's list.
        base_rate: The first one's base rate, ahead of any factor.
        text: The groups as the pipeline tells them, one text for each optimizer; empty where no factor is in force.
    """

    built: list[torch.optim.Optimizer]
    base_rate: float
    text: list[str]


def collect_scales(tricks: Iterable[tuple[str, Trick, Context]], model: Module) -> dict[str, Scale]:
    """Return each parameter's factors, those of several tricks multiplied; a parameter without any is not in it.

    Args:
        tricks: (label, trick, its context), in the order of stages.
        model: The model whose parameters they name.

    Raises:
        ContractError: For a name that no parameter has, with the nearest, or a factor that is no number from 0 on.
    """
    names = [name for name, _ in model.named_parameters()]
    known = set(names)
    collected: dict[str, Scale] = {}
    for label, trick, ctx in tricks:
        given = trick.scales(ctx)
        if not isinstance(given, Mapping):
            raise ContractError(
                label, "scales", f"expected a mapping from names to Scale, got {describe(given)}"
            )
        for name, scale in given.items():
            if name not in known:
                found = f'the model has no parameter "{name}"{nearest(str(name), names)}'
                raise ContractError(label, "scales", found)
            _check(label, name, scale)
            so_far = collected.get(name, PLAIN)
            collected[name] = Scale(so_far.lr * scale.lr, so_far.weight_decay * scale.weight_decay)
    return collected


def _check(label: str, name: str, scale: object) -> None:
    if not isinstance(scale, Scale):
        raise ContractError(label, "scales", f"expected a Scale for {name}, got {describe(scale)}")
    for field, factor in (("lr", scale.lr), ("weight_decay", scale.weight_decay)):
        if not 0 <= factor < math.inf:
            found = f"{name}: {field} is {factor}; expected a finite number, 0 or above"
            raise ContractError(label, "scales", found)


def build_optimizers(
    registry: Registry, entries: Sequence[Mapping[str, Any]], model: Module, scales: Mapping[str, Scale]
) -> Optimizers:
    """Return the recipe's optimizers over the model's parameters.

    A group's factors are applied to `lr` and `weight_decay` of torch's parameter groups once they are there, so
    that an optimizer plugin knows nothing of them. A factor of a weight decay that is 0 has nothing to act on.

    Raises:
        HarnessError: For a weight decay that is in force and cannot be told apart by group.
        ContractError: Where an optimizer plugin made other groups of those that it was given.
    """
    by_tensor = {id(p): scales.get(name, PLAIN) for name, p in model.named_parameters()}
    built: list[torch.optim.Optimizer] = []
    text: list[str] = []
    base_rate = 0.0
    for normal, group in zip(entries, groups_by_selector(model, entries), strict=True):
        parts = _split(group["params"], by_tensor)
        optimizer = registry.build("optimizer", normal).build([{"params": part} for _, part in parts])
        base_rate = base_rate or optimizer.param_groups[0]["lr"]
        if any(scale != PLAIN for scale, _ in parts):
            _apply(optimizer, parts, normal)
            text.append(_told(normal, parts))
        built.append(optimizer)
    return Optimizers(built, base_rate, text)


def _split(parameters: Sequence[Tensor], scales: Mapping[int, Scale]) -> list[Part]:
    parts: dict[Scale, list[Tensor]] = {}
    for parameter in parameters:
        parts.setdefault(scales[id(parameter)], []).append(parameter)
    return list(parts.items())


def _apply(optimizer: torch.optim.Optimizer, parts: Sequence[Part], normal: Mapping[str, Any]) -> None:
    label = f"optimizer {normal['name']}"
    if len(optimizer.param_groups) != len(parts):
        found = (
            f"it made {len(optimizer.param_groups)} parameter groups of the {len(parts)} that it was given"
        )
        raise ContractError(label, "build", found)
    for group, (scale, _) in zip(optimizer.param_groups, parts, strict=True):
        group["lr"] *= scale.lr
        if group.get("weight_decay") is not None:
            group["weight_decay"] *= scale.weight_decay
        elif scale.weight_decay != 1 and normal["params"].get("weight_decay"):
            raise HarnessError(
                f"{label}: a trick of this arm scales the weight decay of some parameters, and this optimizer keeps "
                "one weight decay for all, outside its parameter groups; leave the trick or the weight decay out"
            )


def _told(normal: Mapping[str, Any], parts: Sequence[Part]) -> str:
    told = []
    for scale, parameters in parts:
        factors = {"lr": scale.lr, "weight decay": scale.weight_decay}
        named = [f"{name} x {factor:g}" for name, factor in factors.items() if factor != 1]
        told.append(f"{len(parameters)} tensors {', '.join(named) or 'as they are'}")
    return f"{normal['name']}[{normal['parameters']}] {'; '.join(told)}"

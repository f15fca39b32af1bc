"""The slots of all tricks, put together in the order of their stages, and told as text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from harness.contract import Batch, Slots, Stage, StepPlan, Trick
from harness.engine.contract_check import ContractError, describe
from harness.engine.culprit import Owners
from harness.engine.loop import Objective, Step
from harness.errors import nearest

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract import Context
    from harness.engine.precision import Forward

Bound = list[tuple[str, Trick, Slots]]
"""(label, trick, its slots), in the order of stages."""

BatchFunctions = list[tuple[Stage, str, Callable[[Batch], Batch]]]
"""(stage, label, function), in the order of stages."""


def bind(label: str, trick: Trick, ctx: Context) -> Slots:
    """Return the slots of a trick.

    Raises:
        ContractError: For a slot that does not exist, with the nearest that does, or for no `Slots` at all.
    """
    try:
        slots = trick.bind(ctx)
    except TypeError as error:
        misspelt = re.search(r"Slots\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
        if misspelt is None:
            raise
        names = [field.name for field in dataclasses.fields(Slots)]
        found = f'there is no slot "{misspelt[1]}"{nearest(misspelt[1], names)} (slots: {", ".join(names)})'
        raise ContractError(label, "bind", found) from error
    if not isinstance(slots, Slots):
        raise ContractError(label, "bind", f"expected Slots, got {describe(slots)}")
    return slots


def compose_objective(
    forward: Forward, bound: Bound, owners: Owners, model_owner: tuple[str, str]
) -> tuple[Objective, tuple[str, str]]:
    """Return the objective, and (label, slot) of whoever gives its outermost function."""
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    owner = model_owner
    for label, _, slots in bound:
        if slots.loss is not None:
            if loss is not F.cross_entropy:
                raise ContractError(label, "loss", "another component gives the loss; it is exclusive")
            loss, owner = slots.loss, (label, "loss")
            owners.own(label, "loss", loss)

    def plain_objective(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = forward(batch)
        return loss(logits, batch.target), logits

    objective: Objective = plain_objective
    # Targets have been checked by then: what the loss cannot take is the logits.
    owners.own(*model_owner, objective)
    for label, _, slots in bound:
        if slots.objective is not None:
            objective, owner = slots.objective(objective), (label, "objective")
            owners.own(label, "objective", objective)
    return objective, owner


def wrap_update(step: Step, bound: Bound, owners: Owners) -> str:
    """Put the tricks' updates around the plain one; return the label of the outermost."""
    owners.own(None, None, step.plain_update)
    owners.own(None, None, step.closure)
    outermost = "update"
    for label, _, slots in bound:
        if slots.update is not None:
            step.update, outermost = slots.update(step.update), label
            owners.own(label, "update", step.update)
        for name in ("phase", "gradients", "eval_model", "observe"):
            owners.own(label, name, getattr(slots, name))
    return outermost


def freezes_by_step(bound: Bound, total_steps: int) -> dict[int, list[Tensor]]:
    """Return, by step, the parameters that are not trained from there on."""
    frozen: dict[int, list[Tensor]] = {}
    for _, _, slots in bound:
        for share, parameters in (slots.freezes or {}).items():
            frozen.setdefault(round(share * total_steps), []).extend(parameters)
    return frozen


def phases_by_step(
    plan: StepPlan, bound: Bound, freezes: Mapping[int, Sequence[Tensor]], total_steps: int
) -> dict[int, list[Callable[[], None]]]:
    """Return, by step, what is called ahead of it."""
    phases: dict[int, list[Callable[[], None]]] = {}
    functions = [slots.phase for _, _, slots in bound if slots.phase]
    if functions:
        steps = {0, *(round(share * total_steps) for share in plan.boundaries)}
        phases = {step: list(functions) for step in steps}
    for step, parameters in freezes.items():
        phases.setdefault(step, []).append(partial(freeze, parameters))
    return phases


def freeze(parameters: Sequence[Tensor]) -> None:
    """Train some parameters no more."""
    for parameter in parameters:
        parameter.requires_grad_(False)


def pipeline_text(
    recipe: Mapping[str, Any], batch_functions: BatchFunctions, bound: Bound, plan: StepPlan
) -> str:
    """Return the composed step as text, one line a slot."""

    def named(slot: str) -> list[str]:
        return [f"{label} ({trick.stage.name})" for label, trick, slots in bound if getattr(slots, slot)]

    optimizers = " + ".join(f"{normal['name']}[{normal['parameters']}]" for normal in recipe["optimizer"])
    lines = {
        "phase": named("phase"),
        "freezes": named("freezes"),
        "batch": [f"{label} ({stage.name})" for stage, label, _ in batch_functions],
        "micro-batches": [str(plan.micro_batches)] if plan.micro_batches > 1 else [],
        "loss": named("loss") or ["cross-entropy"],
        "objective": named("objective"),
        "gradients": named("gradients"),
        "update": [optimizers, *named("update")],
        "judged": named("eval_model") or ["the raw model"],
    }
    return "\n".join(f"{slot}: {' -> '.join(entries)}" for slot, entries in lines.items() if entries)


def state_tensors(bound: Bound) -> dict[str, Sequence[Tensor]]:
    """Return the tensors of tricks that a checkpoint holds."""
    return {f"{label}/{name}": t for label, _, slots in bound for name, t in (slots.state or {}).items()}

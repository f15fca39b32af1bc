"""The slots of all tricks, put together in the order of their stages, and told as text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from harness.contract import Batch, Slots, Stage, StepPlan, Trick
from harness.engine.contract_check import ContractError, check_call, describe
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


_GIVEN: Mapping[str, tuple[str, ...]] = {
    "phase": (),
    "batch": ("batch",),
    "loss": ("logits", "target"),
    "objective": ("objective",),
    "gradients": ("gradients",),
    "update": ("update",),
    "eval_model": ("model",),
    "observe": (),
}
"""What the function of a slot is called with."""


def bind(label: str, trick: Trick, ctx: Context) -> Slots:
    """Return the slots of a trick.

    Raises:
        ContractError: For a slot that does not exist, with the nearest that does, for no `Slots` at all, or for a
            function that cannot be called as its slot is.
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
    for name, given in _GIVEN.items():
        if (function := getattr(slots, name)) is not None:
            check_call(label, name, function, *given)
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
            check_call(*owner, objective, "batch")
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
            check_call(label, "update", step.update, "closure")
            owners.own(label, "update", step.update)
        for name in ("phase", "gradients", "eval_model", "observe"):
            owners.own(label, name, getattr(slots, name))
    return outermost


@dataclass(frozen=True, slots=True)
class Trained:
    """Which of the parameters that tricks freeze are trained from a step on, whatever was before.

    Attributes:
        frozen: They take no gradient; their optimizer leaves them and what it keeps for them as they are.
        free: They do, and go on from what their optimizer keeps for them.
    """

    frozen: Sequence[Tensor]
    free: Sequence[Tensor]

    def apply(self) -> None:
        """Make it so."""
        for parameter in self.frozen:
            parameter.requires_grad_(False)
        for parameter in self.free:
            parameter.requires_grad_(True)


def freezes_by_step(bound: Bound, total_steps: int) -> dict[int, Trained]:
    """Return, by step, which parameters are trained from there on; step 0 is among them where there are any.

    A parameter is trained where no trick holds it; one that took no gradient to begin with never is.

    Raises:
        ContractError: For a share outside [0, 1).
    """
    events: dict[int, list[tuple[float, bool, int, Sequence[Tensor]]]] = {}
    for number, (label, _, slots) in enumerate(bound):
        for name, lets, given in (("freezes", False, slots.freezes), ("unfreezes", True, slots.unfreezes)):
            for share, parameters in (given or {}).items():
                step = _step_of(share, total_steps, label, name)
                events.setdefault(step, []).append((share, lets, number, parameters))
    held: dict[int, tuple[Tensor, set[int]]] = {}
    for happened in events.values():
        held |= {id(p): (p, set()) for *_, parameters in happened for p in parameters if p.requires_grad}
    states: dict[int, Trained] = {}
    for step in sorted({0, *events}) if held else ():
        for _, lets, number, parameters in sorted(events.get(step, ()), key=lambda event: event[:3]):
            for parameter in parameters:
                _, holders = held.get(id(parameter), (parameter, set()))
                (holders.discard if lets else holders.add)(number)
        states[step] = Trained(
            [parameter for parameter, holders in held.values() if holders],
            [parameter for parameter, holders in held.values() if not holders],
        )
    return states


def sizes_by_step(bound: Bound, total_steps: int) -> dict[int, int]:
    """Return, by step, the side in pixels that images have from there on.

    Raises:
        ContractError: For a second trick that tells sizes, a share outside [0, 1), or a side of no pixel.
    """
    told = [(label, slots.sizes) for label, _, slots in bound if slots.sizes]
    if len(told) > 1:
        raise ContractError(told[1][0], "sizes", f"{told[0][0]} sets the size of images; it is exclusive")
    sizes: dict[int, int] = {}
    for label, by_share in told:
        for share, side in sorted(by_share.items()):
            if not isinstance(side, int) or side < 1:
                raise ContractError(label, "sizes", f"expected a side in pixels, 1 or above, got {side!r}")
            sizes[_step_of(share, total_steps, label, "sizes")] = side
    return sizes


def parts_of_batch(plan: StepPlan, bound: Bound, batch_size: int) -> int:
    """Return the parts that a batch is split into: the plan's, or those of a trick that the built model decides for.

    Raises:
        ContractError: For a second trick that decides, or a number of parts that the batch does not have.
    """
    decided = [(label, slots.micro_batches) for label, _, slots in bound if slots.micro_batches is not None]
    if not decided:
        return plan.micro_batches
    label, parts = decided[-1]
    if len(decided) > 1 or plan.micro_batches > 1:
        raise ContractError(label, "micro_batches", "another trick splits the batch; leave one of them out")
    if not isinstance(parts, int) or not 1 <= parts <= batch_size:
        found = f"a batch of {batch_size} cannot be split into {parts!r} parts"
        raise ContractError(label, "micro_batches", found)
    return parts


def _step_of(share: float, total_steps: int, label: str, slot: str) -> int:
    if not 0 <= share < 1:
        raise ContractError(label, slot, f"expected shares of the budget within [0, 1), got {share}")
    return round(share * total_steps)


def phases_by_step(
    plan: StepPlan,
    bound: Bound,
    freezes: Mapping[int, Trained],
    sizes: Mapping[int, int],
    total_steps: int,
) -> dict[int, list[Callable[[], None]]]:
    """Return, by step, what is called ahead of it; nothing where a phase only begins: what a step costs has changed."""
    phases: dict[int, list[Callable[[], None]]] = {}
    functions = [slots.phase for _, _, slots in bound if slots.phase]
    if functions:
        steps = {0, *(round(share * total_steps) for share in plan.boundaries)}
        phases = {step: list(functions) for step in steps}
    for step, trained in freezes.items():
        phases.setdefault(step, []).append(trained.apply)
    for step in sizes:
        phases.setdefault(step, [])
    return phases


def pipeline_text(
    recipe: Mapping[str, Any],
    batch_functions: BatchFunctions,
    bound: Bound,
    micro_batches: int,
    groups: Sequence[str] = (),
) -> str:
    """Return the composed step as text, one line a slot.

    Args:
        recipe: The recipe, in normal form.
        batch_functions: The functions on the whole batch.
        bound: The slots of all tricks.
        micro_batches: Parts that a batch is split into.
        groups: The optimizers' parameter groups, where factors are in force.
    """

    def named(slot: str) -> list[str]:
        return [f"{label} ({trick.stage.name})" for label, trick, slots in bound if getattr(slots, slot)]

    parts = named("micro_batches")
    if parts or micro_batches > 1:
        parts = [str(micro_batches), *parts]
    sizes = [
        f"{label} ({', '.join(f'{side} from {share:g}' for share, side in sorted(slots.sizes.items()))})"
        for label, _, slots in bound
        if slots.sizes
    ]
    optimizers = " + ".join(f"{normal['name']}[{normal['parameters']}]" for normal in recipe["optimizer"])
    lines = {
        "phase": named("phase"),
        "freezes": named("freezes"),
        "unfreezes": named("unfreezes"),
        "sizes": sizes,
        "batch": [f"{label} ({stage.name})" for stage, label, _ in batch_functions],
        "micro-batches": parts,
        "loss": named("loss") or ["cross-entropy"],
        "objective": named("objective"),
        "gradients": named("gradients"),
        "groups": groups,
        "update": [optimizers, *named("update")],
        "judged": named("eval_model") or ["the raw model"],
    }
    return "\n".join(f"{slot}: {' -> '.join(entries)}" for slot, entries in lines.items() if entries)


def state_tensors(bound: Bound) -> dict[str, Sequence[Tensor]]:
    """Return the tensors of tricks that a checkpoint holds."""
    return {f"{label}/{name}": t for label, _, slots in bound for name, t in (slots.state or {}).items()}

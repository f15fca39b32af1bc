"""From a job to a run: components built, slots put in order, the step composed once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.contract import Batch, DataInfo, Slots, Stage, StepPlan, Trick
from harness.engine.contract_check import ContractError, check_plan, describe
from harness.engine.culprit import Owners, labels_for
from harness.engine.data import TrialData
from harness.engine.keys import Draws, Keys, Moment
from harness.engine.loop import Objective, Step
from harness.engine.parameters import groups_by_selector, parameter_digests, tracking_norms
from harness.engine.run import Forward, Run, TrialContext, forward_of
from harness.errors import nearest

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract import Context, Schedule
    from harness.registry import Registry
    from harness.suite.plan import Job

    Bound = list[tuple[str, Trick, Slots]]
    BatchFunctions = list[tuple[Stage, str, Callable[[Batch], Batch]]]


def compile_run(job: Job, registry: Registry, data: TrialData, owners: Owners) -> Run:
    """Compose the run of a job; `owners` learns whose functions are in it.

    Raises:
        PluginError: From a component that cannot be built or breaks the contract.
        ValueError: From a plugin, with its own words.
    """
    recipe, device = job.recipe, torch.device(job.device)
    numerics, batch_size = recipe["numerics"], recipe["batch_size"]
    steps_per_epoch = len(data.train) // batch_size
    total_steps = budget_steps(recipe["budget"], batch_size, steps_per_epoch)
    keys, moment = Keys(job.seed, job.replicate, job.salt), Moment()
    draws = Draws(keys, data.samples, steps_per_epoch, device, moment)
    generators = torch_generators(device)

    def seed(name: str) -> None:
        (value,) = keys.torch_seeds(name, 0, 1)
        for generator in generators:
            generator.manual_seed(value)

    def context(label: str) -> TrialContext:
        # What a trick builds with plain constructors draws from torch's global generators: from a stream of
        # the trick's own there, too, whoever comes before it.
        seed(label)
        return TrialContext(
            data.num_classes,
            total_steps,
            steps_per_epoch,
            device,
            model,
            label,
            keys,
            draws,
            moment,
            training_batches,
            backbone.blocks,
        )

    def training_batches(count: int) -> Iterator[Batch]:
        order = keys.generator("training batches").permutation(len(data.train))
        rows = torch.from_numpy(order).to(device)
        made = 0
        while made < count:
            for batch in data.train.batches(data.train.ids[rows], data.train.labels[rows], batch_size):
                yield batch
                made += 1
                if made == count:
                    return

    seed("initial weights")
    backbone = registry.build("backbone", recipe["backbone"])
    model = backbone.build(DataInfo(data.num_classes, data.shapes))
    tricks = _tricks(registry, recipe["tricks"])
    plan = StepPlan()
    for label, trick in tricks:
        plan = trick.plan(plan)
        check_plan(label, plan, batch_size)
        model = trick.model(model, context(label))
        if not isinstance(model, torch.nn.Module):
            raise ContractError(label, "model", f"expected a Module, got {describe(model)}")
    initial_parameters = parameter_digests(model)
    layout = torch.channels_last if numerics["channels_last"] else torch.preserve_format
    model = model.to(device=device, memory_format=layout).train()
    optimizers = [
        registry.build("optimizer", normal).build([group])
        for normal, group in zip(
            recipe["optimizer"], groups_by_selector(model, recipe["optimizer"]), strict=True
        )
    ]

    bound = [(label, trick, bind(label, trick, context(label))) for label, trick in tricks]
    batch_functions: BatchFunctions = [
        (trick.stage, label, slots.batch) for label, trick, slots in bound if slots.batch
    ]
    names = labels_for("augmentation", recipe["augmentations"])
    for label, normal in zip(names, recipe["augmentations"], strict=True):
        augmentation = registry.build("augmentation", normal)
        function = augmentation.bind(context(label))
        if function is not None:
            batch_functions.append((augmentation.stage, label, function))
    batch_functions.sort(key=lambda entry: entry[0])

    executable: Any = torch.compile(model) if numerics["compile"] else model
    forward = forward_of(executable, backbone.takes, numerics["precision"], device)
    model_owner = (f"backbone {recipe['backbone']['name']}", "forward")
    owners.own(*model_owner, forward)
    objective, objective_owner = _objective(forward, bound, owners, model_owner)
    step = Step(
        parameters=list(model.parameters()),
        optimizers=optimizers,
        objective=objective,
        batch_functions=[function for _, _, function in batch_functions],
        gradient_functions=[slots.gradients for _, _, slots in bound if slots.gradients],
        norms=tracking_norms(model),
        generators=generators,
        micro_batches=plan.micro_batches,
    )
    update_label = _wrap_update(step, bound, owners)
    for _, label, function in batch_functions:
        owners.own(label, "batch", function)

    return Run(
        job=job,
        device=device,
        data=data,
        keys=keys,
        draws=draws,
        moment=moment,
        sampler=(f"sampler {recipe['sampler']['name']}", registry.build("sampler", recipe["sampler"])),
        model=model,
        takes=backbone.takes,
        step=step,
        groups=[(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups],
        rates=rate_table(
            registry.build("schedule", recipe["schedule"]), recipe["schedule"]["warmup"], total_steps
        ),
        phases=_phases(plan, [slots.phase for _, _, slots in bound if slots.phase], total_steps),
        eval_functions=[(label, slots.eval_model) for label, _, slots in bound if slots.eval_model],
        state={f"{label}/{name}": t for label, _, slots in bound for name, t in (slots.state or {}).items()},
        observers={
            label: (trick.observable, slots.observe) for label, trick, slots in bound if slots.observe
        },
        metrics={
            label.removeprefix("metric "): registry.build("metric", normal)
            for label, normal in zip(labels_for("metric", recipe["metrics"]), recipe["metrics"], strict=True)
        },
        exact_resume=all(trick.resume == "exact" for _, trick in tricks),
        has_ascent=any(trick.stage is Stage.ASCENT for _, trick in tricks),
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        initial_parameters=initial_parameters,
        pipeline=_pipeline(recipe, batch_functions, bound, plan),
        batch_labels=[label for _, label, _ in batch_functions],
        objective_owner=objective_owner,
        update_label=update_label,
    )


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


def torch_generators(device: torch.device) -> list[torch.Generator]:
    """Return the global generators that a step on this device may draw from."""
    if device.type != "cuda":
        return [torch.default_generator]
    torch.cuda.init()
    return [torch.default_generator, torch.cuda.default_generators[device.index or 0]]


def budget_steps(budget: Mapping[str, Any], batch_size: int, steps_per_epoch: int) -> int:
    """Return the steps of a budget in epochs, samples or steps; at least one."""
    per_unit = {"epochs": float(steps_per_epoch), "samples": 1 / batch_size, "steps": 1.0}
    amount: float = budget["amount"]
    return max(1, round(amount * per_unit[budget["unit"]]))


def rate_table(schedule: Schedule, warmup: float, total_steps: int) -> list[float]:
    """Return the multiple of the base rate for each step.

    Warm-up rises linearly over its share of the steps and reaches the schedule's first rate at its last
    step (Goyal et al. 2017); the schedule then runs over the rest.
    """
    rising = round(warmup * total_steps)
    first = schedule.rate(0.0)
    climb = [first * (step + 1) / rising for step in range(rising)]
    rest = total_steps - rising
    return climb + [schedule.rate(step / rest) for step in range(rest)]


def _tricks(registry: Registry, recipe: Sequence[Mapping[str, Any]]) -> list[tuple[str, Trick]]:
    """Return (label, trick) in the order of stages, and within a stage in that of the suite file."""
    built = [registry.build("trick", normal) for normal in recipe]
    return sorted(zip(labels_for("trick", recipe), built, strict=True), key=lambda pair: pair[1].stage)


def _objective(
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


def _wrap_update(step: Step, bound: Bound, owners: Owners) -> str:
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


def _phases(
    plan: StepPlan, functions: Sequence[Callable[[], None]], total_steps: int
) -> dict[int, list[Callable[[], None]]]:
    if not functions:
        return {}
    return {step: list(functions) for step in {0, *(round(share * total_steps) for share in plan.boundaries)}}


def _pipeline(
    recipe: Mapping[str, Any], batch_functions: BatchFunctions, bound: Bound, plan: StepPlan
) -> str:
    """Return the composed step as text, one line a slot."""

    def named(slot: str) -> list[str]:
        return [f"{label} ({trick.stage.name})" for label, trick, slots in bound if getattr(slots, slot)]

    optimizers = " + ".join(f"{normal['name']}[{normal['parameters']}]" for normal in recipe["optimizer"])
    lines = {
        "phase": named("phase"),
        "batch": [f"{label} ({stage.name})" for stage, label, _ in batch_functions],
        "micro-batches": [str(plan.micro_batches)] if plan.micro_batches > 1 else [],
        "loss": named("loss") or ["cross-entropy"],
        "objective": named("objective"),
        "gradients": named("gradients"),
        "update": [optimizers, *named("update")],
        "judged": named("eval_model") or ["the raw model"],
    }
    return "\n".join(f"{slot}: {' -> '.join(entries)}" for slot, entries in lines.items() if entries)

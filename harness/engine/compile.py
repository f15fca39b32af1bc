"""From a job to a run: components built, slots put in order, the step composed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.contract import DataInfo, Scale, Stage, StepPlan, Trick
from harness.engine.compiled import compile_model, uses_graphs
from harness.engine.contract_check import ContractError, check_call, check_plan, describe
from harness.engine.culprit import Owners, labels_for
from harness.engine.data import TrialData
from harness.engine.foundation import Foundation, lay_foundation, rate_table
from harness.engine.gradient_norms import GradientNorms, with_norms
from harness.engine.groups import build_optimizers, collect_scales
from harness.engine.loaders import Loader, Orders
from harness.engine.loop import Objective, Step
from harness.engine.parameters import parameter_digests, tracking_norms
from harness.engine.parents import load_start, refuse_other_tensors, tensor_shapes
from harness.engine.precision import PRECISIONS, Forward, cast_weights, forward_of
from harness.engine.rates import Feedback
from harness.engine.run import Run
from harness.engine.scaler import LossScaler, skipping
from harness.engine.seconds import is_in_seconds
from harness.engine.slots import (
    BatchFunctions,
    Bound,
    bind,
    compose_objective,
    freezes_by_step,
    parts_of_batch,
    phases_by_step,
    pipeline_text,
    sizes_by_step,
    state_tensors,
    wrap_update,
)
from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch.nn import Module

    from harness.contract import Metric, Schedule
    from harness.registry.registry import Registry
    from harness.suite.plan import Job


def compile_run(job: Job, registry: Registry, data: TrialData, owners: Owners) -> Run:
    """Compose the run of a job; `owners` learns whose functions are in it.

    Raises:
        PluginError: From a component that cannot be built or breaks the contract.
        HarnessError: For what cannot go together.
        ValueError: From a plugin, with its own words.
    """
    base = lay_foundation(job, registry, data)
    network = _build_network(base)
    _refuse_scaled_ascent(base, network)
    scales = _scales(base, network)
    made = build_optimizers(registry, job.recipe["optimizer"], network.model, scales)
    optimizers = [skipping(one) for one in made.built] if _is_scaled(base) else made.built
    bound = [
        (label, trick, bind(label, trick, base.context(label, network.model)))
        for label, trick in network.tricks
    ]
    batch_functions = _batch_functions(base, network.model, bound)
    forward = _training_forward(base, network.model)
    owners.own(*_model_owner(base), forward)
    objective, objective_owner = compose_objective(forward, bound, owners, _model_owner(base))
    norms = _gradient_norms(base, network.model)
    freezes = freezes_by_step(bound, base.total_steps)
    sizes = sizes_by_step(bound, base.total_steps)
    step = _step(base, network, optimizers, objective, bound, batch_functions, norms)
    update_label = wrap_update(step, bound, owners)
    for _, label, function in batch_functions:
        owners.own(label, "batch", function)
    schedule = registry.build("schedule", job.recipe["schedule"])
    sampler = (
        f"sampler {job.recipe['sampler']['name']}",
        registry.build("sampler", job.recipe["sampler"]),
    )
    loader = Loader(base, Orders(sampler, data.train, base.keys))
    return Run(
        job=job,
        device=base.device,
        data=data,
        keys=base.keys,
        draws=base.draws,
        moment=base.moment,
        loader=loader,
        model=network.model,
        takes=base.backbone.takes,
        step=step,
        forward=forward,
        groups=[(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups],
        base_rate=made.base_rate,
        rates=rate_table(schedule, job.recipe["schedule"]["warmup"], base.total_steps),
        feedback=_feedback(base, schedule),
        phases=phases_by_step(network.plan, bound, freezes, sizes, base.total_steps),
        freezes=freezes,
        sizes=sizes,
        eval_functions=[(label, slots.eval_model) for label, _, slots in bound if slots.eval_model],
        state={**state_tensors(bound), **(norms.state if norms else {})},
        observers={
            label: (trick.observable, slots.observe) for label, trick, slots in bound if slots.observe
        },
        metrics=_metrics(base),
        training_batches=base.training_batches,
        exact_resume=not is_in_seconds(job.recipe)
        and all(trick.resume == "exact" for _, trick in network.tricks),
        has_ascent=network.has_ascent,
        batch_size=job.recipe["batch_size"],
        steps_per_epoch=base.steps_per_epoch,
        total_steps=base.total_steps,
        initial_parameters=network.initial_parameters,
        pipeline=loader.pipeline
        + pipeline_text(job.recipe, batch_functions, bound, step.micro_batches, made.text),
        batch_labels=[label for _, label, _ in batch_functions],
        objective_owner=objective_owner,
        update_label=update_label,
        norms=norms,
    )


@dataclass(frozen=True, slots=True)
class Network:
    """The model as the tricks want it, on the device in the recipe's precision, and what they want of the step.

    Attributes:
        tricks: (label, trick) in the order of stages.
        initial_parameters: A digest for each parameter, as it was initialised: in float32.
    """

    model: Module
    tricks: list[tuple[str, Trick]]
    plan: StepPlan
    initial_parameters: dict[str, str]

    @property
    def has_ascent(self) -> bool:
        """Whether the update looks from a second point."""
        return any(trick.stage is Stage.ASCENT for _, trick in self.tricks)


def _build_network(base: Foundation) -> Network:
    recipe, numerics = base.recipe, base.recipe["numerics"]
    base.seed("initial weights")
    model = base.backbone.build(DataInfo(base.data.num_classes, base.data.shapes))
    load_start(base.job, base.registry, base.backbone, model)
    built = tensor_shapes(model)
    tricks = _tricks(base.registry, recipe["tricks"])
    plan = StepPlan()
    for label, trick in tricks:
        plan = trick.plan(plan)
        check_plan(label, plan, recipe["batch_size"])
        model = trick.model(model, base.context(label, model))
        if not isinstance(model, torch.nn.Module):
            raise ContractError(label, "model", f"expected a Module, got {describe(model)}")
    refuse_other_tensors(base.job, built, model)
    initial_parameters = parameter_digests(model)
    layout = torch.channels_last if numerics["channels_last"] else torch.preserve_format
    model = model.to(base.device).to(memory_format=layout).train()
    return Network(cast_weights(model, numerics["precision"]), tricks, plan, initial_parameters)


def _scales(base: Foundation, network: Network) -> dict[str, Scale]:
    """Return each parameter's factors of all tricks that have any."""
    given = [
        (label, trick, base.context(label, network.model))
        for label, trick in network.tricks
        if type(trick).scales is not Trick.scales
    ]
    return collect_scales(given, network.model)


def _feedback(base: Foundation, schedule: Schedule) -> Feedback | None:
    """Return how the schedule goes by the validation losses; None where it does not.

    Raises:
        HarnessError: Where there are none.
    """
    if not schedule.observes:
        return None
    name, warmup = base.recipe["schedule"]["name"], base.recipe["schedule"]["warmup"]
    if not base.recipe["dataset"]["validation"]:
        raise HarnessError(
            f'schedule "{name}" goes by the validation loss, and dataset.validation is 0: there is no such split; '
            "give it a share of the training data, or take another schedule"
        )
    rising = round(warmup * base.total_steps)
    return Feedback(f"schedule {name}", schedule.rate_after, rising, base.steps_per_epoch)


def _is_scaled(base: Foundation) -> bool:
    return PRECISIONS[base.recipe["numerics"]["precision"]].scaled


def _refuse_scaled_ascent(base: Foundation, network: Network) -> None:
    if _is_scaled(base) and network.has_ascent:
        (label,) = [label for label, trick in network.tricks if trick.stage is Stage.ASCENT]
        precision = base.recipe["numerics"]["precision"]
        raise HarnessError(
            f'numerics.precision = "{precision}" scales the loss, and {label} looks from a second point before '
            'it steps: an overflow in one of the passes cannot be taken back; use "bf16", or leave it out'
        )


def _batch_functions(base: Foundation, model: Module, bound: Bound) -> BatchFunctions:
    """Return the functions on the whole batch, in the order of their stages."""
    functions: BatchFunctions = [
        (trick.stage, label, slots.batch) for label, trick, slots in bound if slots.batch
    ]
    names = labels_for("augmentation", base.recipe["augmentations"])
    for label, normal in zip(names, base.recipe["augmentations"], strict=True):
        # One that wraps another stands where that one stands.
        role = base.registry.role("augmentation", normal)
        if role.placement == "loader":
            continue  # ahead of the batch that a step sees: the loader's
        function = base.registry.build("augmentation", normal).bind(base.context(label, model))
        if function is not None:
            check_call(label, "batch", function, "batch")
            functions.append((role.stage, label, function))
    return sorted(functions, key=lambda entry: entry[0])


def _training_forward(base: Foundation, model: Module) -> Forward:
    numerics = base.recipe["numerics"]
    mode = numerics["compile"]
    executable = compile_model(model, mode, base.device) if mode else model
    return forward_of(executable, base.backbone.takes, numerics["precision"], base.device)


def _model_owner(base: Foundation) -> tuple[str, str]:
    return f"backbone {base.recipe['backbone']['name']}", "forward"


def _gradient_norms(base: Foundation, model: Module) -> GradientNorms | None:
    if not base.job.measure["gradient_norms"]:
        return None
    return GradientNorms(model, -(-base.total_steps // base.steps_per_epoch), base.moment)


def _step(
    base: Foundation,
    network: Network,
    optimizers: list[torch.optim.Optimizer],
    objective: Objective,
    bound: Bound,
    batch_functions: BatchFunctions,
    norms: GradientNorms | None,
) -> Step:
    gradient_functions = [slots.gradients for _, _, slots in bound if slots.gradients]
    graphs = uses_graphs(base.recipe["numerics"]["compile"], base.device)
    return Step(
        parameters=list(network.model.parameters()),
        optimizers=optimizers,
        objective=objective,
        batch_functions=[function for _, _, function in batch_functions],
        gradient_functions=with_norms(norms, gradient_functions),
        norms=tracking_norms(network.model),
        generators=base.generators,
        micro_batches=parts_of_batch(network.plan, bound, base.recipe["batch_size"]),
        scaler=LossScaler(optimizers, base.device) if _is_scaled(base) else None,
        announce=torch.compiler.cudagraph_mark_step_begin if graphs else None,
    )


def _metrics(base: Foundation) -> dict[str, Metric]:
    normals = base.recipe["metrics"]
    return {
        label.removeprefix("metric "): base.registry.build("metric", normal)
        for label, normal in zip(labels_for("metric", normals), normals, strict=True)
    }


def _tricks(registry: Registry, recipe: Sequence[Mapping[str, Any]]) -> list[tuple[str, Trick]]:
    """Return (label, trick) in the order of stages, and within a stage in that of the suite file."""
    built = [registry.build("trick", normal) for normal in recipe]
    return sorted(zip(labels_for("trick", recipe), built, strict=True), key=lambda pair: pair[1].stage)

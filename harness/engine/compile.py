"""From a job to a run: components built, slots put in order, the step composed once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from harness.contract import Batch, DataInfo, Slots, Stage, StepPlan, Trick
from harness.engine.contract_check import ContractError, Owners, describe
from harness.engine.data import TrialData
from harness.engine.keys import Draws, Keys, Moment
from harness.engine.loop import Objective, Step
from harness.engine.parameters import groups_by_selector, parameter_digests, tracking_norms
from harness.engine.precision import autocast

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.contract import Metric, Sampler, Schedule
    from harness.registry import Registry
    from harness.suite.plan import Job

Forward = Callable[[Batch], "Tensor"]


@dataclass(slots=True)
class TrialContext:
    """`harness.contract.Context` for one component."""

    num_classes: int
    total_steps: int
    steps_per_epoch: int
    device: torch.device
    model: Module
    label: str
    _keys: Keys
    _draws: Draws
    _moment: Moment

    @property
    def step(self) -> int:
        """The step that is under way."""
        return self._moment.step

    @property
    def progress(self) -> float:
        """Share of the budget done when this step started."""
        return self._moment.step / self.total_steps

    def draws(self, name: str, n: int) -> Callable[[Tensor], Tensor]:
        """Return a function from sample ids to uniform numbers."""
        return self._draws.per_sample(f"{self.label}/{name}", n)

    def step_draws(self, name: str, n: int) -> Callable[[], Tensor]:
        """Return a function that gives this step's uniform numbers."""
        return self._draws.per_step(f"{self.label}/{name}", n)

    def generator(self, name: str) -> torch.Generator:
        """Return a generator for what is added to the model."""
        return self._keys.torch_generator(f"{self.label}/{name}")


@dataclass(slots=True)
class Run:
    """A trial, composed and ready to step."""

    job: Job
    device: torch.device
    data: TrialData
    keys: Keys
    draws: Draws
    moment: Moment
    sampler: Sampler
    model: Module
    takes: str
    step: Step
    groups: list[tuple[dict[str, Any], float]]
    rates: list[float]
    phases: dict[int, list[Callable[[], None]]]
    eval_functions: list[tuple[str, Callable[[Module], Module]]]
    state: dict[str, Sequence[Tensor]]
    observers: dict[str, tuple[str, Callable[[], float]]]
    metrics: dict[str, Metric]
    owners: Owners
    exact_resume: bool
    has_ascent: bool
    batch_size: int
    steps_per_epoch: int
    total_steps: int
    initial_parameters: dict[str, str]
    pipeline: str
    batch_labels: list[str]
    objective_label: str
    objective_slot: str
    update_label: str
    order_digests: dict[int, str]

    def begin_epoch(self, epoch: int) -> tuple[Iterator[Batch], list[int]]:
        """Return the batches of an epoch and the seeds of its micro-batches."""
        train = self.data.train
        labels = train.labels.cpu().numpy()
        order = self.sampler.order(labels, self.keys.generator("order", epoch))
        rows = torch.from_numpy(order).to(self.device)
        ids, targets = train.ids[rows], train.labels[rows]
        self.order_digests[epoch] = hashlib.blake2b(order.tobytes(), digest_size=16).hexdigest()
        self.draws.begin_epoch(epoch)
        seeds = self.keys.torch_seeds("step", epoch, self.steps_per_epoch * self.step.micro_batches)
        return train.batches(ids, targets, self.batch_size), seeds

    def judged(self) -> Module:
        """Return the model that is judged: the raw one, or what `eval_model` makes of it."""
        model = self.model
        for label, function in self.eval_functions:
            model = function(model)
            if not isinstance(model, torch.nn.Module):
                raise ContractError(label, "eval_model", f"expected a Module, got {describe(model)}")
        return model

    def predict(self, model: Module) -> Forward:
        """Return the forward pass of a model, under the recipe's precision, logits in float32."""
        return forward_of(model, self.takes, self.job.recipe["numerics"]["precision"], self.device)


def forward_of(model: Module, takes: str, precision: str, device: torch.device) -> Forward:
    """Return Batch -> logits float32 (B, K)."""
    plain: Forward = model if takes == "batch" else lambda batch: model(batch.inputs[takes])
    if precision != "bf16":
        return plain

    def forward(batch: Batch) -> Tensor:
        with autocast(precision, device):
            logits = plain(batch)
        return logits.float()

    return forward


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


def labels_for(kind: str, components: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name components by kind and name; the second of one name is `#2`, wherever it stands."""
    seen: dict[str, int] = {}
    labels = []
    for component in components:
        count = seen[component["name"]] = seen.get(component["name"], 0) + 1
        labels.append(f"{kind} {component['name']}" + (f"#{count}" if count > 1 else ""))
    return labels


def compile_run(job: Job, registry: Registry, data: TrialData, owners: Owners) -> Run:
    """Compose the run of a job; `owners` learns whose functions are in it.

    Raises:
        PluginError: From a component that cannot be built.
        ValueError: From a plugin, with its own words.
    """
    recipe, device = job.recipe, torch.device(job.device)
    keys, moment = Keys(job.seed, job.replicate, job.salt), Moment()
    batch_size = recipe["batch_size"]
    steps_per_epoch = len(data.train) // batch_size
    total_steps = budget_steps(recipe["budget"], batch_size, steps_per_epoch)
    draws = Draws(keys, data.samples, steps_per_epoch, device, moment)

    generators = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()
        generators.append(torch.cuda.default_generators[device.index or 0])
    for generator in generators:
        generator.manual_seed(keys.torch_seeds("initial weights", 0, 1)[0])

    backbone = registry.build("backbone", recipe["backbone"])
    model = backbone.build(DataInfo(data.num_classes, data.shapes))
    tricks: list[tuple[str, Trick]] = sorted(
        zip(
            labels_for("trick", recipe["tricks"]),
            (registry.build("trick", normal) for normal in recipe["tricks"]),
            strict=True,
        ),
        key=lambda pair: pair[1].stage,
    )

    def context(label: str) -> TrialContext:
        return TrialContext(
            data.num_classes, total_steps, steps_per_epoch, device, model, label, keys, draws, moment
        )

    plan = StepPlan()
    for label, trick in tricks:
        plan = trick.plan(plan)
        model = trick.model(model, context(label))
    initial_parameters = parameter_digests(model)
    layout = torch.channels_last if recipe["numerics"]["channels_last"] else torch.preserve_format
    model = model.to(device=device, memory_format=layout).train()

    optimizers = [
        registry.build("optimizer", normal).build([group])
        for normal, group in zip(
            recipe["optimizer"], groups_by_selector(model, recipe["optimizer"]), strict=True
        )
    ]
    schedule: Schedule = registry.build("schedule", recipe["schedule"])

    bound = [(label, trick.stage, trick.bind(context(label))) for label, trick in tricks]
    for label, _, slots in bound:
        if not isinstance(slots, Slots):
            raise ContractError(label, "bind", f"expected Slots, got {describe(slots)}")
    batch_functions = [(stage, label, slots.batch) for label, stage, slots in bound if slots.batch]
    for label, normal in zip(
        labels_for("augmentation", recipe["augmentations"]), recipe["augmentations"], strict=True
    ):
        augmentation = registry.build("augmentation", normal)
        function = augmentation.bind(context(label))
        if function is not None:
            batch_functions.append((augmentation.stage, label, function))
    batch_functions.sort(key=lambda entry: entry[0])

    executable = torch.compile(model) if recipe["numerics"]["compile"] else model
    forward = forward_of(executable, backbone.takes, recipe["numerics"]["precision"], device)  # type: ignore[arg-type]
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    objective_label, objective_slot = f"backbone {recipe['backbone']['name']}", "forward"
    for label, _, slots in bound:
        if slots.loss is not None:
            if loss is not F.cross_entropy:
                raise ContractError(
                    label, "loss", "another component already gives the loss; it is exclusive"
                )
            loss, objective_label, objective_slot = slots.loss, label, "loss"

    def plain_objective(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = forward(batch)
        return loss(logits, batch.target), logits

    objective: Objective = plain_objective
    for label, _, slots in bound:
        if slots.objective is not None:
            objective, objective_label, objective_slot = slots.objective(objective), label, "objective"
            owners.own(label, "objective", objective)

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
    update = step.update
    update_label = "update"
    for label, _, slots in bound:
        if slots.update is not None:
            update, update_label = slots.update(update), label
            owners.own(label, "update", update)
    step.update = update

    for label, _, slots in bound:
        for name in ("phase", "loss", "gradients", "eval_model", "observe"):
            owners.own(label, name, getattr(slots, name))
    for _, label, function in batch_functions:
        owners.own(label, "batch", function)

    return Run(
        job=job,
        device=device,
        data=data,
        keys=keys,
        draws=draws,
        moment=moment,
        sampler=registry.build("sampler", recipe["sampler"]),
        model=model,
        takes=backbone.takes,
        step=step,
        groups=[(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups],
        rates=rate_table(schedule, recipe["schedule"]["warmup"], total_steps),
        phases=_phases(plan, [slots.phase for _, _, slots in bound if slots.phase], total_steps),
        eval_functions=[(label, slots.eval_model) for label, _, slots in bound if slots.eval_model],
        state={f"{label}/{name}": t for label, _, slots in bound for name, t in (slots.state or {}).items()},
        observers={
            label: (trick.observable, slots.observe)
            for (label, trick), (_, _, slots) in zip(tricks, bound, strict=True)
            if slots.observe
        },
        metrics={
            label.removeprefix("metric "): registry.build("metric", normal)
            for label, normal in zip(labels_for("metric", recipe["metrics"]), recipe["metrics"], strict=True)
        },
        owners=owners,
        exact_resume=all(trick.resume == "exact" for _, trick in tricks),
        has_ascent=any(trick.stage is Stage.ASCENT for _, trick in tricks),
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        initial_parameters=initial_parameters,
        pipeline=_pipeline(recipe, batch_functions, bound, plan),
        batch_labels=[label for _, label, _ in batch_functions],
        objective_label=objective_label,
        objective_slot=objective_slot,
        update_label=update_label,
        order_digests={},
    )


def _phases(
    plan: StepPlan, functions: Sequence[Callable[[], None]], total_steps: int
) -> dict[int, list[Callable[[], None]]]:
    if not functions:
        return {}
    return {step: list(functions) for step in {0, *(round(share * total_steps) for share in plan.boundaries)}}


def plugin_files(registry: Registry, recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return source file -> label of every component that the recipe names."""
    import inspect

    files = {}
    for kind, value in recipe.items():
        for normal in value if isinstance(value, list) else [value]:
            if isinstance(normal, dict) and "params" in normal:
                one = {"augmentations": "augmentation", "tricks": "trick", "metrics": "metric"}.get(
                    kind, kind
                )
                component = registry.load(registry.find(one, normal["name"]))
                files[inspect.getfile(component)] = f"{one} {normal['name']}"
    return files


def _pipeline(
    recipe: Mapping[str, Any],
    batch_functions: Sequence[tuple[Any, str, Any]],
    bound: Sequence[tuple[str, Any, Slots]],
    plan: StepPlan,
) -> str:
    """Return the composed step as text, one line a slot."""

    def named(slot: str) -> list[str]:
        return [f"{label} ({stage.name})" for label, stage, slots in bound if getattr(slots, slot)]

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

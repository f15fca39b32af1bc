"""A trial, composed: what `compile` makes and everything else works on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness.contract import Batch
from harness.engine.contract_check import ContractError, describe
from harness.engine.data import TrialData
from harness.engine.keys import Draws, Keys, Moment
from harness.engine.loop import Step
from harness.engine.precision import Forward, forward_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.contract import Metric
    from harness.engine.gradient_norms import GradientNorms
    from harness.engine.loaders import Loader
    from harness.engine.rates import Feedback
    from harness.engine.slots import Trained
    from harness.suite.plan import Job


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
    _training_batches: Callable[[int], Iterator[Batch]]
    _blocks: Callable[[Module], list[tuple[str, Module]]]
    class_counts: tuple[int, ...]
    image_mean: Tensor
    image_std: Tensor
    parents: Mapping[str, Forward]
    _takes: str
    _precision: str

    @property
    def blocks(self) -> list[tuple[str, Module]]:
        """The backbone's parts, from stem to head."""
        return self._blocks(self.model)

    @property
    def step(self) -> int:
        """The step that is under way."""
        return self._moment.step

    @property
    def epoch(self) -> int:
        """The epoch of the step that is under way."""
        return self._moment.epoch

    @property
    def progress(self) -> float:
        """Share of the budget done when this step started."""
        return self._moment.step / self.total_steps

    def forward(self, batch: Batch) -> Tensor:
        """Return the model's logits, in the recipe's precision, uncompiled."""
        return forward_of(self.model, self._takes, self._precision, self.device)(batch)

    def draws(
        self, name: str, n: int, per: Literal["epoch", "trial"] = "epoch"
    ) -> Callable[[Tensor], Tensor]:
        """Return a function from sample ids to uniform numbers."""
        return self._draws.per_sample(f"{self.label}/{name}", n, per)

    def step_draws(self, name: str, n: int) -> Callable[[], Tensor]:
        """Return a function that gives this step's uniform numbers."""
        return self._draws.per_step(f"{self.label}/{name}", n)

    def sample_seeds(self, name: str) -> Callable[[Tensor], list[int]]:
        """Return a function from sample ids to seeds."""
        return self._draws.seeds(f"{self.label}/{name}")

    def training_batches(self, count: int) -> Iterator[Batch]:
        """Yield batches of training samples as they are before any augmentation."""
        return self._training_batches(count)

    def generator(self, name: str) -> torch.Generator:
        """Return a generator for what is added to the model."""
        return self._keys.torch_generator(f"{self.label}/{name}")


@dataclass(slots=True)
class Run:
    """A trial, composed and ready to step.

    Attributes:
        forward: Batch -> logits of the model that trains, compiled where the recipe says so.
        groups: The optimizers' parameter groups, each with its base rate.
        base_rate: The first optimizer's base rate, ahead of any factor of a group.
        rates: The multiple of the base rates for each step.
        feedback: How the schedule changes `rates` by the validation losses, where it does.
        phases: By step, what is called ahead of it.
        freezes: By step, which parameters are trained from there on, where tricks freeze any.
        sizes: By step, the side in pixels that images have from there on, where a trick resizes them.
        eval_functions: (label, function), in the order in which they are applied.
        state: Tensors of tricks that a checkpoint holds.
        observers: By trick, its observable's name and the function that measures it.
        training_batches: As `Context.training_batches`; moves nothing.
        batch_labels: Whose the step's batch functions are.
        objective_owner, update_owner: (label, slot) of the outermost function.
        norms: Gradient norms, where they are asked for.
        changes: What plugins did to global state, as the record will say it.
    """

    job: Job
    device: torch.device
    data: TrialData
    keys: Keys
    draws: Draws
    moment: Moment
    loader: Loader
    model: Module
    takes: str
    step: Step
    forward: Forward
    groups: list[tuple[dict[str, Any], float]]
    base_rate: float
    rates: list[float]
    feedback: Feedback | None
    phases: dict[int, list[Callable[[], None]]]
    freezes: dict[int, Trained]
    sizes: dict[int, int]
    eval_functions: list[tuple[str, Callable[[Module], Module]]]
    state: dict[str, Sequence[Tensor]]
    observers: dict[str, tuple[str, Callable[[], float]]]
    metrics: dict[str, Metric]
    training_batches: Callable[[int], Iterator[Batch]]
    exact_resume: bool
    has_ascent: bool
    batch_size: int
    steps_per_epoch: int
    total_steps: int
    initial_parameters: dict[str, str]
    pipeline: str
    batch_labels: list[str]
    objective_owner: tuple[str, str]
    update_label: str
    norms: GradientNorms | None = None
    order_digests: dict[int, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def begin_epoch(self, epoch: int, start: int = 0) -> tuple[Iterator[Batch], list[int]]:
        """Return the batches of an epoch, from the one at place `start` on, and the seeds of all its micro-batches."""
        train, order = self.data.train, self.loader.orders.positions(epoch)
        rows = torch.from_numpy(order).to(self.device)
        self.order_digests[epoch] = hashlib.blake2b(order.tobytes(), digest_size=16).hexdigest()
        self.draws.begin_epoch(epoch)
        seeds = self.keys.torch_seeds("step", epoch, self.steps_per_epoch * self.step.micro_batches)
        return self.loader.batches(epoch, start, train.ids[rows], train.labels[rows]), seeds

    def replay_phases(self, step: int) -> None:
        """Call the phases before `step` again: a resumed trial stands where a straight one does."""
        for boundary in sorted(self.phases):
            if boundary < step:
                self.moment.step = boundary
                for phase in self.phases[boundary]:
                    phase()

    def follow(self, losses: Sequence[float | None]) -> None:
        """Set the coming epoch's rates where the schedule goes by the validation losses of the epochs so far."""
        if self.feedback is not None:
            self.feedback.enter(self.rates, losses)

    @property
    def learning_rate(self) -> float:
        """The rate of the step that is under way, ahead of any factor of a group."""
        return self.base_rate * self.rates[self.moment.step]

    def judged(self) -> Module:
        """Return the model that is judged: the raw one, or what `eval_model` makes of it."""
        model = self.model
        for label, function in self.eval_functions:
            model = function(model)
            if not isinstance(model, torch.nn.Module):
                raise ContractError(label, "eval_model", f"expected a Module, got {describe(model)}")
        return model

    @property
    def judge_owner(self) -> tuple[str, str]:
        """(label, slot) of whoever gives the model that is judged."""
        if self.eval_functions:
            return self.eval_functions[-1][0], "eval_model"
        return f"backbone {self.job.recipe['backbone']['name']}", "forward"

    def gradient_norms(self) -> dict[str, list[float | None]]:
        """Return the mean gradient norm of each layer in the epochs so far; empty where nobody asked."""
        return {} if self.norms is None else self.norms.read()

    def predict(self, model: Module) -> Forward:
        """Return the forward pass of a model, under the recipe's precision."""
        return forward_of(model, self.takes, self.job.recipe["numerics"]["precision"], self.device)

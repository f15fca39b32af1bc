"""Toy plugins: the smallest component of each kind, so that the core is tested with no real plugin loaded.

Name this file in a suite (`plugins = [...]`) or hand it to `registry.discover`. They are also the shortest
examples of the contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Interval

from harness.contract import (
    Augmentation,
    Backbone,
    Batch,
    Closure,
    Context,
    DataInfo,
    Dataset,
    Metric,
    Optimizer,
    Prepared,
    RegistryView,
    Sampler,
    Schedule,
    Slots,
    Split,
    Stage,
    StepPlan,
    StepResult,
    Trick,
    Update,
    hookimpl,
)

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class ToyDataset(Dataset):
    """Noisy images around one random prototype a class."""

    samples: Annotated[int, Ge(8)] = 96
    classes: Annotated[int, Ge(2)] = 3
    size: Annotated[int, Ge(4)] = 8
    noise: Annotated[float, Ge(0.0)] = 60.0
    channels: Annotated[int, Ge(1)] = 1

    licence = "made up"

    def prepare(self, root: Path | None) -> Prepared:
        """Draw the images from a fixed seed."""
        import numpy as np

        del root
        generator = np.random.default_rng(7)
        prototypes = generator.integers(0, 256, (self.classes, self.channels, self.size, self.size))

        def split(count: int) -> Split:
            labels = np.arange(count, dtype=np.int64) % self.classes
            noise = generator.normal(0, self.noise, (count, self.channels, self.size, self.size))
            return Split({"image": np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)}, labels)

        return Prepared(split(self.samples), split(self.samples // 2), tuple(map(str, range(self.classes))))


@dataclass(frozen=True)
class ToyShuffle(Sampler):
    """Random order."""

    def order(self, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Permute."""
        return generator.permutation(len(labels))


@dataclass(frozen=True)
class ToyNet(Backbone):
    """A small network; batch norm and dropout on request, to see their state kept in order."""

    width: Annotated[int, Gt(0)] = 8
    batch_norm: bool = False
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0

    def build(self, info: DataInfo) -> Module:
        """Stack the layers."""
        from torch import nn

        pixels = 1
        for length in info.shapes["image"]:
            pixels *= length
        layers: list[Module] = [nn.Flatten(), nn.Linear(pixels, self.width)]
        if self.batch_norm:
            layers.append(nn.BatchNorm1d(self.width))
        layers.append(nn.ReLU())
        if self.dropout:
            layers.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, nn.Linear(self.width, info.num_classes))


@dataclass(frozen=True)
class ToySgd(Optimizer):
    """Gradient descent."""

    lr: Annotated[float, Ge(0.0)] = 0.05
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Wrap torch's."""
        from torch.optim import SGD

        return SGD(groups, lr=self.lr, momentum=self.momentum)


@dataclass(frozen=True)
class ToyConstant(Schedule):
    """The base rate."""

    def rate(self, progress: float) -> float:
        """Return 1."""
        del progress
        return 1.0


@dataclass(frozen=True)
class ToyNoise(Augmentation):
    """Brightness, a draw per sample."""

    strength: Annotated[float, Ge(0.0)] = 0.1

    stage = Stage.CONTENT
    identity = {"strength": 0.0}

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Add `strength` times a uniform number to each image."""
        draw = ctx.draws("brightness", 1)

        def brighten(batch: Batch) -> Batch:
            return batch.with_image(batch.image + self.strength * draw(batch.ids)[:, :, None, None])

        return brighten


@dataclass(frozen=True)
class ToyPenalty(Trick):
    """A squared-logit penalty: fills the objective slot."""

    weight: Annotated[float, Ge(0.0)] = 0.01

    stage = Stage.OBJECTIVE
    identity = {"weight": 0.0}

    def bind(self, ctx: Context) -> Slots:
        """Add the penalty to the loss."""
        del ctx

        def wrap(inner: Callable[[Batch], tuple[Tensor, Tensor]]) -> Callable[[Batch], tuple[Tensor, Tensor]]:
            def penalised(batch: Batch) -> tuple[Tensor, Tensor]:
                loss, logits = inner(batch)
                return loss + self.weight * logits.square().mean(), logits

            return penalised

        return Slots(objective=wrap)


@dataclass(frozen=True)
class ToyAscent(Trick):
    """Looks from a second point: fills the update slot twice-evaluated."""

    rho: Annotated[float, Ge(0.0)] = 0.01

    stage = Stage.ASCENT
    identity = {"rho": 0.0}

    def bind(self, ctx: Context) -> Slots:
        """Step along the gradient, take the gradient there, step back, update."""
        import torch

        parameters = list(ctx.model.parameters())

        def wrap(inner: Update) -> Update:
            def update(closure: Closure) -> StepResult:
                loss = closure(ascent=True)
                kept = [parameter.detach().clone() for parameter in parameters]
                with torch.no_grad():
                    for parameter in parameters:
                        if parameter.grad is not None:
                            parameter.add_(parameter.grad, alpha=self.rho)

                def descent(*, ascent: bool = False) -> Tensor:
                    inner_loss = closure(ascent=ascent)
                    with torch.no_grad():
                        for parameter, value in zip(parameters, kept, strict=True):
                            parameter.copy_(value)
                    return inner_loss

                return StepResult(loss, inner(descent).applied)

            return update

        return Slots(update=wrap)


@dataclass(frozen=True)
class ToyParts(Trick):
    """Micro-batches."""

    provides = frozenset({"micro-batches"})

    parts: Annotated[int, Ge(1)] = 4

    identity = {"parts": 1}

    def plan(self, plan: StepPlan) -> StepPlan:
        """Ask for the parts."""
        return StepPlan(self.parts, plan.boundaries)


@dataclass(frozen=True)
class ToyTouch(Trick):
    """Fills every slot of a step and computes nothing: what a trick's place in the step costs by itself."""

    stage = Stage.OBJECTIVE
    identity = {}

    def bind(self, ctx: Context) -> Slots:
        """Pass everything on."""
        del ctx

        def batch(batch: Batch) -> Batch:
            return batch.with_target(batch.target)

        def objective(
            inner: Callable[[Batch], tuple[Tensor, Tensor]],
        ) -> Callable[[Batch], tuple[Tensor, Tensor]]:
            def passed(batch: Batch) -> tuple[Tensor, Tensor]:
                loss, logits = inner(batch)
                return loss, logits

            return passed

        def gradients(gradients: list[Tensor]) -> None:
            del gradients

        def update(inner: Update) -> Update:
            def passed(closure: Closure) -> StepResult:
                return inner(closure)

            return passed

        return Slots(batch=batch, objective=objective, gradients=gradients, update=update)


@dataclass(frozen=True)
class ToyError(Metric):
    """Top-1 error, in points."""

    unit = "points"

    def compute(self, logits: Tensor, target: Tensor) -> float:
        """Count."""
        return 100.0 * float((logits.argmax(1) != target).float().mean())


@hookimpl
def harness_register(registry: RegistryView) -> None:
    """Offer the toys."""
    registry.add("dataset", "toy-dataset", ToyDataset, summary="noisy prototypes")
    registry.add("sampler", "toy-shuffle", ToyShuffle, summary="random order")
    registry.add("backbone", "toy-net", ToyNet, summary="two layers")
    registry.add("optimizer", "toy-sgd", ToySgd, summary="gradient descent")
    registry.add("schedule", "toy-constant", ToyConstant, summary="the base rate")
    registry.add("augmentation", "toy-noise", ToyNoise, summary="brightness")
    registry.add("trick", "toy-penalty", ToyPenalty, summary="squared logits")
    registry.add("trick", "toy-ascent", ToyAscent, summary="a second point")
    registry.add("trick", "toy-parts", ToyParts, summary="micro-batches")
    registry.add("trick", "toy-touch", ToyTouch, summary="every slot, nothing done")
    registry.add("metric", "toy-error", ToyError, summary="top-1 error")

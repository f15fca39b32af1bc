"""What every component of a trial is composed on: keys, draws, where the trial stands, how long it lasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.data import LEAST_STD
from harness.engine.keys import Draws, Keys, Moment
from harness.engine.parents import load_parents
from harness.engine.run import TrialContext
from harness.suite.normalization import statistics_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.contract import Backbone, Batch, Schedule
    from harness.engine.data import TrialData
    from harness.engine.precision import Forward
    from harness.registry.registry import Registry
    from harness.suite.plan import Job

STAND_IN_STEPS = 10_000
"""Steps of a budget in seconds that nobody has measured: what measures them, and whatever only has to stand somewhere
in a training (a check, a preview, a timing of an arm without a record), takes it to be of so many."""


@dataclass(frozen=True, slots=True)
class Foundation:
    """A trial before its components are built.

    Attributes:
        backbone: The recipe's, which has built nothing yet.
        generators: Torch's global generators that a step may draw from.
        class_counts: Samples of each class that are trained on.
        parents: By role, the judged models of other trials.
    """

    job: Job
    registry: Registry
    data: TrialData
    device: torch.device
    backbone: Backbone
    keys: Keys
    moment: Moment
    draws: Draws
    generators: list[torch.Generator]
    steps_per_epoch: int
    total_steps: int
    class_counts: tuple[int, ...]
    parents: Mapping[str, Forward]

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe, in normal form."""
        return self.job.recipe

    def seed(self, name: str) -> None:
        """Seed torch's global generators with the key of a name."""
        (value,) = self.keys.torch_seeds(name, 0, 1)
        for generator in self.generators:
            generator.manual_seed(value)

    def context(self, label: str, model: Module) -> TrialContext:
        """Return what one component sees of the trial, `model` being what there is of it by then.

        What a trick builds with plain constructors draws from torch's global generators: from a stream of
        the trick's own there, too, whoever comes before it.
        """
        self.seed(label)
        return TrialContext(
            self.data.num_classes,
            self.total_steps,
            self.steps_per_epoch,
            self.device,
            model,
            label,
            self.keys,
            self.draws,
            self.moment,
            self.training_batches,
            self.backbone.blocks,
            self.class_counts,
            *image_statistics(self.job, self.device),
            self.parents,
            self.backbone.takes,
            self.recipe["numerics"]["precision"],
        )

    def training_batches(self, count: int) -> Iterator[Batch]:
        """Yield batches of training samples as they are before any augmentation, the same at each call."""
        train = self.data.train
        order = self.keys.generator("training batches").permutation(len(train))
        rows = torch.from_numpy(order).to(self.device)
        made = 0
        while made < count:
            for batch in train.batches(train.ids[rows], train.labels[rows], self.recipe["batch_size"]):
                yield batch
                made += 1
                if made == count:
                    return


def lay_foundation(job: Job, registry: Registry, data: TrialData) -> Foundation:
    """Return what the components of a job are composed on."""
    recipe, device = job.recipe, torch.device(job.device)
    steps_per_epoch = len(data.train) // recipe["batch_size"]
    keys, moment = Keys(job.seed, job.replicate, job.salt), Moment()
    generators = torch_generators(device)
    return Foundation(
        job=job,
        registry=registry,
        data=data,
        device=device,
        backbone=registry.build("backbone", recipe["backbone"]),
        keys=keys,
        moment=moment,
        draws=Draws(keys, data.samples, steps_per_epoch, device, moment),
        generators=generators,
        steps_per_epoch=steps_per_epoch,
        total_steps=budget_steps(
            recipe["budget"], recipe["batch_size"], steps_per_epoch, job.measured.get("total_steps")
        ),
        class_counts=tuple(torch.bincount(data.train.labels, minlength=data.num_classes).tolist()),
        parents=load_parents(job, registry, keys, generators),
    )


def image_statistics(job: Job, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation that images are normalised by, float32 (C,) each, in shares of full scale."""
    statistics = statistics_of(job.manifest, job.recipe["dataset"])
    mean, std = (torch.tensor(shares, dtype=torch.float32, device=device) for shares in statistics)
    return mean, std.clamp_min(LEAST_STD)


def torch_generators(device: torch.device) -> list[torch.Generator]:
    """Return the global generators that a step on this device may draw from."""
    if device.type != "cuda":
        return [torch.default_generator]
    torch.cuda.init()
    return [torch.default_generator, torch.cuda.default_generators[device.index or 0]]


def budget_steps(
    budget: Mapping[str, Any], batch_size: int, steps_per_epoch: int, measured: int | None = None
) -> int:
    """Return the steps of a budget; at least one.

    Args:
        budget: `{unit, amount}`.
        batch_size: Samples a step.
        steps_per_epoch: In an epoch.
        measured: The steps that go into a budget in seconds, where a trial has measured its own (`engine.seconds`).
    """
    if budget["unit"] == "seconds":
        return STAND_IN_STEPS if measured is None else measured
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

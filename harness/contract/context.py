"""What a component may ask for when it is bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

    from harness.contract.batch import Batch


class Context(Protocol):
    """A component's view of its trial. It offers no dataset name, trial id, evaluation data or clock.

    Names of draws and generators are the component's own: two components never share a stream, and adding
    a component moves no other's.
    """

    num_classes: int
    class_counts: tuple[int, ...]
    """Samples of each class in what is trained on, the validation split left out."""
    total_steps: int
    steps_per_epoch: int
    device: torch.device
    image_mean: Tensor
    image_std: Tensor
    """float32 (C,) on the device, in shares of full scale: pixel / 255 = normalised * image_std + image_mean."""
    model: Module
    parents: Mapping[str, Callable[[Batch], Tensor]]
    """By role ("teacher"), another trial's judged model: batch to logits (B, K), in evaluation mode, without a graph,
    in the recipe's precision. A component lists the roles that it needs in its class's `parents`."""

    @property
    def blocks(self) -> list[tuple[str, Module]]:
        """(name, module) from stem to head, as the backbone names its parts."""
        ...

    @property
    def step(self) -> int:
        """The step that is under way, from 0."""
        ...

    @property
    def epoch(self) -> int:
        """The epoch of the step that is under way, from 0."""
        ...

    @property
    def progress(self) -> float:
        """Share of the budget done when this step started, from 0 up to but not 1."""
        ...

    def forward(self, batch: Batch) -> Tensor:
        """Return `model`'s logits (B, K) in the recipe's precision, uncompiled; in `bind` and later."""
        ...

    def draws(
        self, name: str, n: int, per: Literal["epoch", "trial"] = "epoch"
    ) -> Callable[[Tensor], Tensor]:
        """Return a function from sample ids, int64 (B,), to uniform numbers in [0, 1), float32 (B, n).

        A number depends on (suite seed, replicate, epoch, component, name, sample id) and on nothing else; with
        `per="trial"` not on the epoch either.
        """
        ...

    def step_draws(self, name: str, n: int) -> Callable[[], Tensor]:
        """Return a function that gives this step's n uniform numbers in [0, 1), float32 (n,).

        They depend on (suite seed, replicate, step, component, name): asked twice in a step, they are
        the same.
        """
        ...

    def sample_seeds(self, name: str) -> Callable[[Tensor], list[int]]:
        """Return a function from sample ids, int64 (B,), to B seeds of 63 bits, for libraries that take a seed.

        Keyed as `draws` are. On a GPU a call waits for the device: meant for what runs in the loader.
        """
        ...

    def training_batches(self, count: int) -> Iterator[Batch]:
        """Yield batches of training samples as they are before any augmentation, normalised, on the device.

        For a first layer that is made from data, or statistics that are estimated anew: in `phase` and in
        `eval_model`, where it is on the clock. The order is keyed by (suite seed, replicate) and is the same
        at each call; after the last full batch it begins anew.

        Args:
            count: Batches, each of the recipe's batch size.
        """
        ...

    def generator(self, name: str) -> torch.Generator:
        """Return a CPU generator keyed by (suite seed, replicate, component, name), for what is added to the model."""
        ...

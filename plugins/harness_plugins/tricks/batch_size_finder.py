"""The largest micro-batch that fits into a device's memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Interval

from harness.contract import Batch, Context, Slots, Trick

if TYPE_CHECKING:
    from torch import Tensor

SIZES = (2, 4)
"""Samples of the two batches that are measured; batch norm takes no batch of one on a single position."""

GIB = 2**30


@dataclass(frozen=True)
class BatchSizeFinder(Trick):
    """The batch goes through the network in as few equal parts as the limit allows, and the optimizer steps once.

    As `grad-accumulation`, with the number of parts found instead of given: the effective batch stays the suite's.
    What a part of b samples needs is taken to be a + s b bytes. s comes from what autograd keeps for the backward
    pass of batches of 2 and of 4 samples (torch.autograd.graph.saved_tensors_hooks), each storage counted once; a is
    what of that does not grow, the weights, a gradient for each, `states` numbers for each that the optimizer keeps,
    and the whole batch's images. The largest b with a + s b <= (1 - reserve) limit is the choice. That is arithmetic
    on shapes: the same on every run, whatever else is in memory, and no step is tried and fails. What a pass
    allocates and drops again is not in it, nor are what compiled code saves instead, other tricks' terms, and the
    insides that `grad-checkpointing` computes again: the reserve is for those. Its default is the harness's.

    When not to use it: where the batch fits, since it then does nothing; and with batch norm as a way to an equal
    result, since statistics are taken over each part alone (ghost batch norm, Hoffer et al. 2017).

    Attributes:
        limit_gib: Memory of the device in GiB; None for all that a GPU has. A CPU has no such limit of its own.
        reserve: Share of the limit that is left for everything that is not counted.
        states: Numbers that are kept for each weight: 1 by SGD's momentum, 2 by Adam, 1 more by an average.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"micro-batches"})
    conflicts: ClassVar[frozenset[str]] = frozenset({"micro-batches"})
    observable: ClassVar[str] = "samples in the largest micro-batch, 0 where the batch is whole"

    limit_gib: Annotated[float, Gt(0)] | None = None
    reserve: Annotated[float, Interval(ge=0, lt=1)] = 0.2
    states: Annotated[int, Ge(0)] = 2

    def bind(self, ctx: Context) -> Slots:
        """Return the number of parts.

        Raises:
            ValueError: Where no limit is known, or not one sample fits.
        """
        sample = next(iter(ctx.training_batches(1)))
        size = len(sample)
        room = (1 - self.reserve) * self._limit_bytes(ctx)
        fixed, slope = self._needed_bytes(ctx, sample)
        fitting = min(size, int((room - fixed) // slope))
        if fitting < 1:
            raise ValueError(
                f"batch-size-finder: limit_gib leaves {room / GIB:.3g} GiB beside the reserve, and one sample needs "
                f"{(fixed + slope) / GIB:.3g} GiB; raise it, or take a smaller backbone"
            )
        parts = -(-size // fitting)
        largest = float(-(-size // parts)) if parts > 1 else 0.0
        return Slots(micro_batches=parts, observe=lambda: largest)

    def _limit_bytes(self, ctx: Context) -> float:
        import torch

        if self.limit_gib is not None:
            return self.limit_gib * GIB
        if ctx.device.type != "cuda":
            raise ValueError(
                f"batch-size-finder: limit_gib is missing, and the device is {ctx.device.type}, which has no memory of "
                "its own; say how many GiB there are, limit_gib = 2.0"
            )
        return float(torch.cuda.get_device_properties(ctx.device).total_memory)

    def _needed_bytes(self, ctx: Context, sample: Batch) -> tuple[float, float]:
        """Return what a part needs whatever its size, and what each sample adds to it, in bytes."""
        small, large = (_saved_bytes(ctx, _part(sample, count)) for count in SIZES)
        slope = (large - small) / (SIZES[1] - SIZES[0])
        weights = list(ctx.model.parameters())
        held = sum(_bytes(tensor) for tensor in (*weights, *ctx.model.buffers()))
        # frozen or not: a parameter may be trained later on
        held += (1 + self.states) * sum(map(_bytes, weights))
        held += sum(map(_bytes, sample.inputs.values()))
        return held + small - slope * SIZES[0], slope


def _part(batch: Batch, count: int) -> Batch:
    import torch

    rows = torch.arange(count, device=batch.target.device) % len(batch)
    inputs = {name: tensor[rows] for name, tensor in batch.inputs.items()}
    return Batch(inputs, batch.target[rows], batch.ids[rows])


def _saved_bytes(ctx: Context, batch: Batch) -> int:
    """Return the bytes that autograd keeps for the backward pass of a batch, parameters and buffers left out."""
    import torch
    import torch.nn.functional as F

    ours = {_storage(tensor) for tensor in (*ctx.model.parameters(), *ctx.model.buffers())}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in ours:
            # kept until all are counted, so that no later storage comes to stand in the same place
            saved[_storage(tensor)] = tensor.detach()
        return tensor

    with _left_alone(ctx), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = F.cross_entropy(ctx.forward(batch), batch.target)
        del loss
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


@contextmanager
def _left_alone(ctx: Context) -> Iterator[None]:
    """Put back the statistics and the random numbers that a forward pass in training moves."""
    import torch

    kept = [(buffer, buffer.clone()) for buffer in ctx.model.buffers()]
    with torch.random.fork_rng([ctx.device] if ctx.device.type == "cuda" else []):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in kept:
                    buffer.copy_(value)

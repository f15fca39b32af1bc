"""Activation checkpointing: activations are computed again in the backward pass, not kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from harness.contract import Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch.nn import Module

COUNTER = "computed_again"
"""Name of a segment's attribute: how often it was computed a second time."""


@dataclass(frozen=True)
class GradCheckpointing(Trick):
    """Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, by torch.utils.checkpoint.

    Each block of the backbone keeps its input alone; its inside is computed again when the backward pass reaches
    it. With n blocks of like size the activations take about 1 / n, and one block's; the step takes about a third
    longer, one more forward pass. A block that is a sequence of blocks is taken apart: its members are the segments.
    The second forward sees the first one's random numbers, and batch norm tracks nothing in it: the weights equal
    those without the trick, bit for bit, where the device computes a block twice alike.

    When not to use it: where the memory suffices, for it buys nothing else.
    """

    stage: ClassVar[Stage] = Stage.OBJECTIVE
    observable: ClassVar[str] = "segments that are computed again, number"

    def model(self, model: Module, ctx: Context) -> Module:
        """Return the model with a checkpoint around each segment; parameters and names stay."""
        for segment in _segments(block for _, block in ctx.blocks):
            # By its class, not by a function on the instance: a copy of the model (an average of weights)
            # then computes with its own weights.
            kind: Any = type(segment)
            segment.__class__ = _checkpointed(kind)
            setattr(segment, COUNTER, 0)
        return model

    def bind(self, ctx: Context) -> Slots:
        """Return the observable alone."""

        def observe() -> float:
            return float(sum(getattr(module, COUNTER, 0) > 0 for module in ctx.model.modules()))

        return Slots(observe=observe)


def _segments(blocks: Iterable[Module]) -> Iterator[Module]:
    """Yield the blocks that hold more than one layer; a sequence of blocks is taken apart."""
    from torch import nn

    for block in blocks:
        members = list(block.children())
        if type(block) is nn.Sequential and any(list(member.children()) for member in members):
            yield from _segments(members)
        elif len(members) > 1:
            yield block


@cache
def _checkpointed(kind: Any) -> Any:
    """Return a kind of module whose forward is under a checkpoint while it trains."""
    import torch
    from torch.utils.checkpoint import checkpoint

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        inner = kind.forward.__get__(self)
        if not (self.training and torch.is_grad_enabled()):
            return inner(*args, **kwargs)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _again(self)

        return checkpoint(inner, *args, use_reentrant=False, context_fn=contexts, **kwargs)

    return type(f"Checkpointed{kind.__name__}", (kind,), {"forward": forward})


@contextmanager
def _again(segment: Any) -> Iterator[None]:
    """Keep batch norm from tracking the same batch twice, and count."""
    from torch.nn.modules.batchnorm import _BatchNorm

    setattr(segment, COUNTER, getattr(segment, COUNTER) + 1)
    norms = [m for m in segment.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # Not `track_running_stats`: autograd would keep fewer tensors than in the first forward, and checkpoint
        # counts them.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked

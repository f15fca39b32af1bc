"""What the conformance kit puts into its trials beside the toys: a recorder of draws, and a network of blocks."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Gt, Interval

from harness.contract import Backbone, Batch, Context, DataInfo, RegistryView, Slots, Stage, Trick, hookimpl

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class DrawsRecorder(Trick):
    """Makes one number of everything random that it is given; it acts on nothing.

    The number stays as it is whatever stands beside the recorder, as long as nothing moves another component's
    draws: numbers for all samples in each epoch, numbers for each step, seeds, its own generator, the state in which
    it finds torch's global generator when it is bound, and the images of the first training batch.
    """

    stage: ClassVar[Stage] = Stage.EVALUATION
    observable: ClassVar[str] = "checksum of all draws"

    def bind(self, ctx: Context) -> Slots:
        """Return a `batch` slot that adds up."""
        import torch

        ids = torch.arange(sum(ctx.class_counts), device=ctx.device)
        of_sample, of_trial = ctx.draws("sample", 2), ctx.draws("trial", 1, per="trial")
        of_step, seeds = ctx.step_draws("step", 2), ctx.sample_seeds("seed")
        sums = torch.zeros((), dtype=torch.int64, device=ctx.device)
        given = [torch.rand(4), torch.rand(4, generator=ctx.generator("own"))]
        given += [batch.image for batch in ctx.training_batches(1)]
        for number, values in enumerate(given, 1):
            sums.add_(_checksum(values) * number)

        def record(batch: Batch) -> Batch:
            sums.mul_(3).add_(_checksum(of_step()))
            if ctx.step % ctx.steps_per_epoch == 0:
                sums.add_(_checksum(of_sample(ids)) + 5 * _checksum(of_trial(ids)))
                sums.add_(sum(seeds(ids)) % 2**62)
            return batch

        # As much as a float holds exactly.
        return Slots(batch=record, state={"sums": [sums]}, observe=lambda: float(int(sums) % 2**52))


def _checksum(values: Tensor) -> Tensor:
    """Return a whole number () that depends on every bit and place of float32 values."""
    import torch

    bits = values.contiguous().view(torch.int32).flatten().long()
    return (bits * torch.arange(1, 2 * len(bits), 2, device=bits.device)).sum()


@dataclass(frozen=True)
class ToyConv(Backbone):
    """Two blocks of a convolution, a norm and a ReLU, then the mean over the image and a linear layer; any image size.

    Attributes:
        width: Channels.
        norm: "group" normalises each sample by itself, so that no statistic is taken over a batch.
        dropout: Share of the features that is dropped ahead of the head.
    """

    width: Annotated[int, Gt(0)] = 4
    norm: Literal["batch", "group"] = "batch"
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0

    def build(self, info: DataInfo) -> Module:
        """Stack the blocks."""
        from torch import nn

        def block(channels: int) -> Module:
            norm = nn.BatchNorm2d(self.width) if self.norm == "batch" else nn.GroupNorm(2, self.width)
            return nn.Sequential(nn.Conv2d(channels, self.width, 3, padding=1), norm, nn.ReLU())

        pool = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(self.dropout)]
        return nn.Sequential(
            OrderedDict(
                stem=block(info.shapes["image"][0]),
                body=block(self.width),
                pool=nn.Sequential(*pool),
                head=nn.Linear(4 * self.width, info.num_classes),
            )
        )


@hookimpl
def harness_register(registry: RegistryView) -> None:
    """Offer the probes."""
    registry.add("trick", "draws-recorder", DrawsRecorder, summary="a number made of all draws")
    registry.add("backbone", "toy-conv", ToyConv, summary="two convolutional blocks")

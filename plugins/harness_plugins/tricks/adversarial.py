"""Adversarial examples: a share of the batch moved, within a bound, to where the model errs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Interval

from harness.contract import Batch, Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

_GAMMA, _FIRST, _SECOND = (
    constant - 2**64 for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
"""SplitMix64's constants, as int64."""


@dataclass(frozen=True)
class Adversarial(Trick):
    """Train on examples made against the model as it stands: FGSM with one step, PGD with more.

    FGSM, Goodfellow et al. 2015, "Explaining and Harnessing Adversarial Examples", section 4:
    `x' = x + ε sign(∇_x L(x, y))`. PGD, Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial
    Attacks", section 2.1: `x^{t+1} = Π(x^t + α sign(∇_x L(x^t, y)))`, Π the nearest point within ε of x in every
    pixel and within [0, 255]; with `random_start`, x^0 is uniform within the bound, otherwise it is x. ε and α are in
    pixel levels of 255. Images float (B, C, H, W), normalised, are bounded in that unit, each bound rounded inward:
    no pixel is more than ε levels from where it was, nor outside [0, 255] unless it came so. L is the cross-entropy
    with the targets as they are, indices or dense (B, K).

    The attack looks at the model in evaluation mode (as in the code of Zhang et al. 2019, "TRADES"): batch norm uses
    and moves no statistics of it, dropout draws nothing, and no parameter gets a gradient. It runs on the whole share
    at once, ahead of micro-batches, and uncompiled. Each of its steps is one more forward and backward pass.

    Defaults: ε of 8 levels is Madry et al.'s for CIFAR-10, and 2.5 ε / steps is their 2.5 ε / 100 of 100 steps for any
    number; one step of ε, on half of the batch, is Goodfellow et al.'s even mean of both losses. Madry et al.
    train with steps = 7, step_size = 2, random_start and share = 1.

    When not to use it: for accuracy on clean images, which it lowers; where a small detail of few levels carries the
    class. One step with a large ε may be overfitted to (Wong et al. 2020): more steps, or a random start.

    Attributes:
        epsilon: The bound on the change of a pixel, in levels of 255.
        steps: Gradient steps of the attack.
        step_size: α in levels of 255; None for ε in one step, and 2.5 ε / steps in more.
        share: Share of the batch that is attacked, `round(share B)` samples, at least one, drawn each epoch.
        random_start: Whether to begin at a random place within the bound.
    """

    stage: ClassVar[Stage] = Stage.ATTACK
    identity: ClassVar[Mapping[str, object] | None] = {"epsilon": 0.0}
    observable: ClassVar[str] = "mean change of an attacked pixel, levels of 255"

    epsilon: Annotated[float, Interval(ge=0, le=255)] = 8.0
    steps: Annotated[int, Ge(1)] = 1
    step_size: Annotated[float, Gt(0)] | None = None
    share: Annotated[float, Interval(ge=0, le=1)] = 0.5
    random_start: bool = False

    def bind(self, ctx: Context) -> Slots:
        """Return a `batch` slot; none where nothing may move or nobody is attacked."""
        import torch

        if not self.epsilon or not self.share:
            return Slots()
        sums = torch.zeros(2, device=ctx.device)
        draws = ctx.draws("who is attacked, and from where", 3)
        attack = self._attack(ctx)

        def attack_share(batch: Batch) -> Batch:
            image, count = batch.image, max(1, round(self.share * len(batch)))
            draw = draws(batch.ids)
            # A number that is fixed, not a mask: how many a mask has, only the device knows.
            attacked = draw[:, 0].argsort(stable=True)[:count]
            part = Batch(
                {name: rows(value, attacked) for name, value in batch.inputs.items()},
                batch.target[attacked],
                batch.ids[attacked],
            )
            moved = attack(part, draw[attacked, 1:])
            sums[0] += ((moved - part.image).abs() * (255 * ctx.image_std[:, None, None])).mean()
            sums[1] += 1
            return batch.with_image(image.clone().index_copy_(0, attacked, moved))

        def observe() -> float:
            return float(sums[0] / sums[1].clamp(min=1))

        return Slots(batch=attack_share, state={"sums": [sums]}, observe=observe)

    def _attack(self, ctx: Context) -> Callable[[Batch, Tensor], Tensor]:
        """Return the function from a batch, and two numbers a sample to start from, to its images as attacked."""
        import torch
        from torch.nn import functional as F

        size = self.step_size or (self.epsilon if self.steps == 1 else 2.5 * self.epsilon / self.steps)
        bounds_of = pixel_bounds(ctx, self.epsilon)
        stride = (size / 255 / ctx.image_std)[:, None, None]

        def attack(batch: Batch, start: Tensor) -> Tensor:
            low, high = bounds_of(batch.image)
            moved = batch.image
            if self.random_start:
                moved = torch.lerp(low, high, uniform_like(moved, start)).clamp(low, high)
            with evaluating(ctx.model):
                for _ in range(self.steps):
                    moved = moved.detach().requires_grad_()
                    with torch.enable_grad():
                        # A view: torch's counter of operations takes no leaf under autograd.grad.
                        logits = ctx.forward(batch.with_image(moved.view_as(moved)))
                        # Summed, so that a gradient in half precision does not vanish in a large batch.
                        loss = F.cross_entropy(logits, batch.target, reduction="sum")
                        (gradient,) = torch.autograd.grad(loss, moved)
                    moved = (moved.detach() + stride * gradient.sign()).clamp(low, high)
            return moved

        return attack


def pixel_bounds(ctx: Context, epsilon: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return the function from normalised images to the lowest and the highest that each pixel may become.

    Within `epsilon` levels of where it is, and within [0, 255] unless it is outside already (a colour that was made
    brighter than white goes no further). Rounded inward, so that the bounds hold exactly.
    """
    import torch

    mean, std = (one.double()[:, None, None] for one in (ctx.image_mean, ctx.image_std))
    up = torch.tensor(torch.inf, device=ctx.device)

    def below(exact: Tensor) -> Tensor:
        return exact.float().nextafter(-up)

    radius, dark, bright = below(epsilon / 255 / std), -below(mean / std), below((1 - mean) / std)

    def bounds_of(image: Tensor) -> tuple[Tensor, Tensor]:
        low = torch.maximum((image - radius).nextafter(up), dark)
        high = torch.minimum((image + radius).nextafter(-up), bright)
        return torch.minimum(low, image), torch.maximum(high, image)

    return bounds_of


def rows(values: Tensor, index: Tensor) -> Tensor:
    """Return some rows of a tensor, in its layout: indexing alone would lay channels last out anew."""
    import torch

    return torch.empty_like(values[: len(index)]).copy_(values[index])


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Put the model into evaluation mode, and each of its modules back into its own."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def uniform_like(image: Tensor, start: Tensor) -> Tensor:
    """Return uniform numbers in [0, 1), float32 like images (B, C, H, W), from two draws a sample.

    A table of a draw for each pixel of each sample would be as large as the data. The draws' 48 bits are the seed of a
    sample's own SplitMix64 (Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators"), its top 24 bits
    a pixel; int64 wraps around as the algorithm's uint64 does.

    Args:
        image: What the numbers are shaped like.
        start: float32 (B, 2), uniform in [0, 1).
    """
    import torch

    words = (start * 2**24).long()
    seed = words[:, :1] * 2**24 + words[:, 1:]
    count = image[0].numel()
    place = torch.arange(1, count + 1, device=start.device)
    z = seed + place * _GAMMA
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    z = z ^ _shifted(z, 31)
    return (_shifted(z, 40).float() / 2**24).view(image.shape)


def _shifted(value: Tensor, bits: int) -> Tensor:
    """Shift right, zeros moving in: int64's own shift moves the sign in."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)

"""Images that grow while training goes on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Interval

from harness.contract import Batch, Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ProgressiveResizing(Trick):
    """Howard 2018, "Training Imagenet in 3 hours for $25" (fast.ai), the entry to DAWNBench: first on small images.

    In `stages` equal parts of the first `until` of the budget, images of S x S pixels have sides of
    S (start + (1 - start) k / stages), k = 0, 1, ..., rounded to a multiple of `multiple`; then S. A step on half the
    side costs about a quarter. Batches are made smaller on the device, bilinearly and with antialiasing, ahead
    of other tricks and augmentations of the stage GEOMETRY: a crop's padding in pixels weighs more on a small image.
    Evaluation is at full size, on the validation split after early epochs too. Half the side at first and steps of 4
    pixels are the defaults of Composer's trick of that name, 3 stages and the last quarter whole the harness's.

    A backbone has to take any of the sizes: each is tried when the trial is composed, and what a model says
    against it is handed on. Vision transformers that add a position to each patch take only their own.

    When not to use it: on images so small that halving them leaves nothing to see, or to compare speeds of other
    parts of the recipe: a step's price then changes over the budget.

    Attributes:
        start: First side, as a share of the whole.
        stages: Sizes before the whole one.
        until: Share of the budget from which images are whole.
        multiple: Sides are multiples of so many pixels.
    """

    stage: ClassVar[Stage] = Stage.GEOMETRY
    provides: ClassVar[frozenset[str]] = frozenset({"resizes"})
    conflicts: ClassVar[frozenset[str]] = frozenset({"resizes"})
    identity: ClassVar[Mapping[str, object] | None] = {"start": 1.0}
    observable: ClassVar[str] = "batches that were made smaller, number"

    start: Annotated[float, Interval(gt=0, le=1)] = 0.5
    stages: Annotated[int, Ge(1)] = 3
    until: Annotated[float, Interval(gt=0, lt=1)] = 0.75
    multiple: Annotated[int, Ge(1)] = 4

    def bind(self, ctx: Context) -> Slots:
        """Return a `batch` slot, and the sizes ahead.

        Raises:
            ValueError: For images that are not square, or a backbone that does not take one of the sizes.
        """
        import torch

        if self.start == 1:  # whatever `multiple` would make of a side
            return Slots()
        sample = next(iter(ctx.training_batches(1)))
        height, width = sample.image.shape[-2:]
        if height != width:
            raise ValueError(f"progressive-resizing: images are {height}x{width}; it takes square ones")
        sizes = self.sizes(height)
        if set(sizes.values()) == {height}:
            return Slots()
        for side in sorted(set(sizes.values()) - {height}):
            _refuse_size(ctx, sample, side)
        starts = [round(share * ctx.total_steps) for share in sizes]
        sides = list(sizes.values())
        count = torch.zeros(())  # on the host, where it is known

        def resize(batch: Batch) -> Batch:
            side = sides[bisect_right(starts, ctx.step) - 1]
            if side == batch.image.shape[-1]:
                return batch
            count.add_(1)
            return batch.with_image(_resized(batch.image, side))

        return Slots(batch=resize, sizes=sizes, state={"count": [count]}, observe=lambda: float(count))

    def sizes(self, side: int) -> dict[float, int]:
        """Return, by share of the budget, the side from there on, for images of a side."""
        shares = [self.start + (1 - self.start) * k / self.stages for k in range(self.stages)]
        sides = [max(1, round(side * share / self.multiple)) * self.multiple for share in shares]
        begins = [self.until * k / self.stages for k in range(self.stages)]
        return {**dict(zip(begins, (min(side, one) for one in sides), strict=True)), self.until: side}


def _resized(image: Tensor, side: int) -> Tensor:
    import torch.nn.functional as F

    return F.interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False)


def _refuse_size(ctx: Context, sample: Batch, side: int) -> None:
    """Refuse a side that the model does not take; it is left as it was."""
    import torch

    # in evaluation, where no layer tracks or draws anything
    training = {module: module.training for module in ctx.model.modules()}
    try:
        ctx.model.eval()
        with torch.no_grad():
            found = tuple(ctx.forward(sample.with_image(_resized(sample.image, side))).shape)
        wanted = (len(sample), ctx.num_classes)
        reason = "" if found == wanted else f"its logits are {found} instead of {wanted}"
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    finally:
        for module, mode in training.items():
            module.training = mode
    if reason:
        raise ValueError(
            f"progressive-resizing: the backbone does not take images of {side}x{side} beside those of its own size: "
            f"{reason}; take a backbone that takes any size"
        )

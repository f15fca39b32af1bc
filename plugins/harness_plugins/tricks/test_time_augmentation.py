"""Several views of an image at evaluation, their logits averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Interval

from harness.contract import Batch, Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    View = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TestTimeAugmentation(Trick):
    """Krizhevsky et al. 2012, section 4.1 (views and an average), with the views of Jordan 2024, arXiv 2404.00498.

    The logits are a weighted mean over the views of an image: as it is, moved by `pixels` up and left, and moved down
    and right, what moves in being mirrored at the edge; and each of these as it is and mirrored left and right. The
    moved views share the weight `moved_share` equally, and a mirrored view weighs as much as its original:
    by default 1/4 + 1/4 + 4 * 1/8. Only what is judged changes, on the clock; training does not.

    When not to use it: where the cost of a prediction counts, since it is that many times as high; and mirrored views
    where left and right carry the meaning.

    Attributes:
        mirror: Whether each view is taken mirrored, too.
        pixels: By how much views are moved, in pixels; 0 for no moved views.
        moved_share: Weight of the moved views together.
    """

    stage: ClassVar[Stage] = Stage.EVALUATION
    identity: ClassVar[Mapping[str, object] | None] = {"mirror": False, "pixels": 0}
    observable: ClassVar[str] = "views that an image was judged by"

    mirror: bool = True
    pixels: Annotated[int, Ge(0)] = 1
    moved_share: Annotated[float, Interval(gt=0, lt=1)] = 0.5

    def views(self) -> list[tuple[float, View]]:
        """Return (weight, function from images (B, C, H, W) to images of that shape); the weights sum to 1."""
        views: list[tuple[float, View]] = [(1.0, lambda image: image)]
        if self.pixels:
            each = self.moved_share / 2
            views = [
                (1 - self.moved_share, lambda image: image),
                (each, lambda image: _move(image, self.pixels, self.pixels)),
                (each, lambda image: _move(image, self.pixels, -self.pixels)),
            ]
        if not self.mirror:
            return views
        return [
            (weight / 2, seen)
            for weight, view in views
            for seen in (view, lambda i, view=view: view(i).flip(-1))
        ]

    def bind(self, ctx: Context) -> Slots:
        """Return an `eval_model` slot."""
        del ctx
        if not self.mirror and not self.pixels:
            return Slots()
        views = self.views()
        judged_by = 0

        def count() -> None:
            nonlocal judged_by
            judged_by = len(views)

        return Slots(
            eval_model=lambda model: _many_views()(model, views, count), observe=lambda: float(judged_by)
        )


def _move(image: Tensor, pixels: int, shift: int) -> Tensor:
    """Return the images moved down and right by `shift`, or up and left where it is negative."""
    from torch.nn import functional as F

    height, width = image.shape[-2:]
    start = pixels - shift
    padded = F.pad(image, (pixels,) * 4, mode="reflect")
    return padded[..., start : start + height, start : start + width]


@cache
def _many_views() -> type[Module]:
    """Return the class of the wrapper; made on first use, for torch is not imported before."""
    from torch import nn

    class ManyViews(nn.Module):
        """A model whose logits are a weighted mean over views of what it is given."""

        def __init__(self, model: Module, views: list[tuple[float, View]], count: Callable[[], None]) -> None:
            super().__init__()
            self.model = model
            self.views = views
            self.count = count

        def forward(self, input: Tensor | Batch) -> Tensor:
            self.count()
            image = input.image if isinstance(input, Batch) else input
            if image.ndim != 4:
                raise ValueError(
                    f"test-time-augmentation needs images (B, C, H, W), not {tuple(image.shape)}"
                )
            logits = [weight * self.model(self._as_input(input, view(image))) for weight, view in self.views]
            total: Tensor = sum(logits[1:], start=logits[0])
            return total

        @staticmethod
        def _as_input(input: Tensor | Batch, image: Tensor) -> Tensor | Batch:
            return input.with_image(image) if isinstance(input, Batch) else image

    return ManyViews

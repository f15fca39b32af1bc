"""A first convolution that is made from the data, and frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Interval

from harness.contract import Context, Slots, Trick

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class WhitenedStem(Trick):
    """Page 2018, "How to Train Your ResNet 8", in the form of Jordan 2024, arXiv 2404.00498, section 3.2.

    With S the covariance (not centred: images are normalised) of all patches, of the size of the first
    convolution's filters, in `images` training images, and S = V diag(l) V^T, filter i is v_i / sqrt(l_i + eps), in
    order of falling l, and the second half of the filters is the first with its sign turned, so that what an
    activation cuts off is not lost. The filters' outputs are uncorrelated, of variance l / (l + eps). They are
    frozen; where the convolution has a bias, it is trained for the first `bias_share` of the budget. Of a
    convolution with fewer filters than two for each pixel of a patch, the leading ones are taken.

    The work is done at step 0, on the clock. Which images is the same in every arm of a replicate. 5,000 images, eps
    and three of 9.9 epochs are those of the recipe airbench94.

    When not to use it: with augmentations that change pixels' statistics much, or where the stem is wide.

    Attributes:
        images: Training images to take patches from, or all that an epoch has where it has fewer.
        eps: Added to the eigenvalues, in units of the squared normalised pixel.
        bias_share: Share of the budget for which the stem's bias is trained; 1 for all of it.
    """

    observable: ClassVar[str] = "mean variance of the stem's outputs over training images, without its bias"

    images: Annotated[int, Ge(2)] = 5000
    eps: Annotated[float, Gt(0)] = 5e-4
    bias_share: Annotated[float, Interval(gt=0, le=1)] = 3 / 9.9

    def bind(self, ctx: Context) -> Slots:
        """Return a `phase` slot that makes the filters, and what is frozen.

        Raises:
            ValueError: Where the first convolution cannot hold whitening filters.
        """
        stem = _first_convolution(ctx.model)
        variance = 0.0

        def phase() -> None:
            nonlocal variance
            # phases are called at the boundaries of every trick of the arm
            if ctx.step == 0:
                variance = self._whiten(stem, ctx)

        freezes = {0.0: [stem.weight]}
        if self.bias_share < 1 and stem.bias is not None:
            freezes[self.bias_share] = [stem.bias]
        return Slots(phase=phase, freezes=freezes, observe=lambda: variance)

    def _whiten(self, stem: Any, ctx: Context) -> float:
        """Fill the stem's filters and return the mean variance of their outputs."""
        import torch

        # where it is a few microseconds' work, instead of the making of a solver's handle
        moments = _patch_moments(stem.kernel_size, self.images, ctx).cpu()
        values, vectors = torch.linalg.eigh(moments)
        # the sign of an eigenvector is the solver's choice; here its largest entry is positive
        vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        filters = (vectors / (values + self.eps).sqrt()).flip(1).T[: stem.out_channels // 2]
        with torch.no_grad():
            stem.weight.copy_(torch.cat((filters, -filters)).view(stem.weight.shape))
        return float((filters @ moments * filters).sum(1).mean())


def _first_convolution(model: Module) -> Any:
    from torch import nn

    stem = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if stem is None or stem.groups != 1:
        raise ValueError("whitened-stem: the backbone does not begin with an ungrouped 2-D convolution")
    height, width = stem.kernel_size
    most = 2 * stem.in_channels * height * width
    if stem.out_channels % 2 or stem.out_channels > most:
        raise ValueError(
            f"whitened-stem: the first convolution has {stem.out_channels} filters of {stem.in_channels}x{height}x"
            f"{width}; expected an even number up to {most}, two for each number in a patch"
        )
    return stem


def _patch_moments(kernel: tuple[int, int], images: int, ctx: Context) -> Tensor:
    """Return the mean outer product of the patches of some training images, float64 (C h w, C h w)."""
    import torch

    products: list[Tensor] = []
    seen = patches = 0
    # each batch holds one image or more, so there are enough; they are made as they are asked for
    for batch in ctx.training_batches(images):
        # a small training split has no more than these
        images = min(images, ctx.steps_per_epoch * len(batch))
        image = batch.image[: images - seen].float()
        # in single precision, the directions of the least eigenvalues depend on the order of summation
        columns = torch.nn.functional.unfold(image, kernel).transpose(0, 1).flatten(1).double()
        products.append(columns @ columns.T)
        patches += columns.shape[1]
        seen += len(image)
        if seen == images:
            break
    return torch.stack(products).sum(0) / patches

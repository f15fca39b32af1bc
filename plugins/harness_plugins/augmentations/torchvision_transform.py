"""Any of torchvision's transforms, sample by sample, in the loader."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.contract import Augmentation, Batch, Context, Stage


@dataclass(frozen=True)
class TorchvisionTransform(Augmentation):
    """`torchvision.transforms.v2.<model>(**options)`, applied to each image by itself: "torchvision:RandAugment".

    torchvision draws once for whatever it is handed, so a batch would get one and the same crop or colour; here
    every sample gets draws of its own, from a seed that is keyed by epoch and sample. Image uint8 (B, C, H, W) on a
    CPU, ahead of normalisation; a transform that changes the size (RandomResizedCrop) has to give all images the
    same one. Defaults are torchvision's.

    An image takes from some 20 us (a flip) to a millisecond (RandAugment at 200x200) of a worker's time. Not for
    what the batch augmentations do on the device at once (`horizontal-flip`, `padded-crop`, `cutout`), nor for
    MixUp and CutMix, which mix samples (`mixup`, `cutmix`), nor for what ends in floats (Normalize).

    Attributes:
        model: torchvision's name of the transform, "RandAugment".
        options: Its keyword arguments, `{num_ops = 2, magnitude = 9}`.
    """

    model: str
    options: Mapping[str, bool | int | float | str | list[int] | list[float]] = field(default_factory=dict)

    stage = Stage.CONTENT
    placement = "loader"

    def bind(self, ctx: Context) -> Callable[[Batch], Batch]:
        """Return the function that a worker calls.

        Raises:
            ValueError: Where torchvision has no such transform, or it takes no such options.
        """
        import torch

        transform = self._transform()
        seeds = ctx.sample_seeds("transform")
        generator = torch.default_generator

        def apply(batch: Batch) -> Batch:
            made = []
            for image, seed in zip(batch.image.unbind(), seeds(batch.ids), strict=True):
                generator.manual_seed(seed)
                made.append(transform(image))
            sizes = {tuple(image.shape) for image in made}
            if len(sizes) > 1:
                raise ValueError(f"torchvision:{self.model} gives images of several sizes: {sorted(sizes)}")
            return batch.with_image(torch.stack(made))

        return apply

    def _transform(self) -> Any:
        from torchvision.transforms import v2

        kinds = {
            name: kind
            for name, kind in vars(v2).items()
            if isinstance(kind, type) and issubclass(kind, v2.Transform) and kind is not v2.Transform
        }
        if self.model not in kinds:
            close = difflib.get_close_matches(self.model, kinds, n=3, cutoff=0.5)
            nearest = f"; did you mean {', '.join(f'torchvision:{name}' for name in close)}?" if close else ""
            raise ValueError(f'torchvision has no transform "{self.model}"{nearest}')
        try:
            return kinds[self.model](**self.options)
        except (TypeError, ValueError) as error:
            raise ValueError(f"torchvision:{self.model} with {dict(self.options)}: {error}") from error

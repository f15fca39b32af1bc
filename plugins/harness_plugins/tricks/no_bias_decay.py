"""No weight decay on biases and norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from harness.contract import Context, Scale, Slots, Trick


@dataclass(frozen=True)
class NoBiasDecay(Trick):
    """He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks", CVPR 2019, section 3.1.

    Weight decay acts on the weights of convolutions and linear layers alone: its factor is 0 for biases and for scales
    and shifts of norms, which are the parameters of one dimension or none, and those named `*.bias`, as in timm's
    `param_groups_weight_decay`. timm's models name further ones (`cls_token`, `pos_embed`): give them in `also`.

    When not to use it: where the optimizer has no weight decay, it does nothing.

    Attributes:
        also: Further parameters without weight decay, as globs over their names.
    """

    identity: ClassVar[Mapping[str, object] | None] = None
    observable: ClassVar[str] = "parameters without weight decay, number"

    also: tuple[str, ...] = ()

    def scales(self, ctx: Context) -> Mapping[str, Scale]:
        """Return a factor of 0 for each of them.

        Raises:
            ValueError: For a glob that no parameter's name fits.
        """
        return dict.fromkeys(self._names(ctx), Scale(weight_decay=0.0))

    def bind(self, ctx: Context) -> Slots:
        """Return the observable alone."""
        count = float(sum(ctx.model.get_parameter(name).numel() for name in self._names(ctx)))
        return Slots(observe=lambda: count)

    def _names(self, ctx: Context) -> list[str]:
        parameters = dict(ctx.model.named_parameters())
        for pattern in self.also:
            if not any(fnmatchcase(name, pattern) for name in parameters):
                raise ValueError(f'no-bias-decay: also: no parameter of the backbone fits "{pattern}"')
        return [
            name
            for name, parameter in parameters.items()
            if parameter.ndim <= 1
            or name.endswith(".bias")
            or any(fnmatchcase(name, pattern) for pattern in self.also)
        ]

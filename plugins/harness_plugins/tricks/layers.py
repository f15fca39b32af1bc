"""The backbone's parameters from stem to head: what layer-wise rates and unfreezing go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Parameter

    from harness.contract import Context


def layers_of(ctx: Context) -> list[dict[str, Parameter]]:
    """Return the parameters, by name, of each layer, from the stem to the head; every parameter is in one.

    A layer is a block of the backbone. A block of nothing but vectors (a norm between two blocks) belongs to the one
    before it, and what is in no block (a class token, a position embedding) to the stem, as in timm's layers.
    """
    names = {id(parameter): name for name, parameter in ctx.model.named_parameters()}
    left = dict(names)
    layers: list[dict[str, Parameter]] = []
    for _, block in ctx.blocks:
        own = {left.pop(id(p)): p for p in block.parameters() if id(p) in left}
        if layers and all(parameter.ndim <= 1 for parameter in own.values()):
            layers[-1] |= own
        elif own:
            layers.append(own)
    rest = {name: p for name, p in ctx.model.named_parameters() if id(p) in left}
    if not layers:
        return [rest]
    layers[0] = {**rest, **layers[0]}
    return layers


def refuse_one_layer(name: str, layers: list[dict[str, Parameter]]) -> None:
    """Refuse a backbone that is one layer to its plugin.

    Raises:
        ValueError: Where there are not at least two.
    """
    if len(layers) < 2:
        raise ValueError(
            f"{name}: the backbone names no blocks to tell apart, so that the head is all there is; take another "
            "backbone, or leave it out"
        )

"""How strong the operations of the automatic policies are, and how a drawn one becomes a magnitude."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness_plugins.augmentations.grouping import OPERATIONS

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Range:
    """The magnitudes of an operation, from a level of 0 to a level of 1.

    Attributes:
        first, last: At the two ends, in the operation's own unit; linear between them.
        signed: Whether half of the samples get the negative.
        of_side: Whether the magnitude is a share of the side along which it acts.
        whole: How far from `first` it is, in whole numbers: "nearest", or "down" for cut off.
    """

    first: float = 0.0
    last: float = 0.0
    signed: bool = False
    of_side: bool = False
    whole: Literal["no", "nearest", "down"] = "no"


MODERATE = {
    "shear-x": Range(0, 0.3, signed=True),
    "shear-y": Range(0, 0.3, signed=True),
    "translate-x": Range(0, 150 / 331, signed=True, of_side=True),
    "translate-y": Range(0, 150 / 331, signed=True, of_side=True),
    "rotate": Range(0, 30, signed=True),
    "brightness": Range(0, 0.9, signed=True),
    "color": Range(0, 0.9, signed=True),
    "contrast": Range(0, 0.9, signed=True),
    "sharpness": Range(0, 0.9, signed=True),
    "posterize": Range(8, 4, whole="nearest"),
    "solarize": Range(255, 0),
}
"""From nothing to the strongest: Cubuk et al. 2019, table 6, as torchvision has them: the paper's factors of 0.1 to
1.9 are a change of 0 to 0.9 with a coin for its sign."""

WIDE = {
    "shear-x": Range(0, 0.99, signed=True),
    "shear-y": Range(0, 0.99, signed=True),
    "translate-x": Range(0, 32, signed=True),
    "translate-y": Range(0, 32, signed=True),
    "rotate": Range(0, 135, signed=True),
    "brightness": Range(0, 0.99, signed=True),
    "color": Range(0, 0.99, signed=True),
    "contrast": Range(0, 0.99, signed=True),
    "sharpness": Range(0, 0.99, signed=True),
    "posterize": Range(8, 2, whole="nearest"),
    "solarize": Range(255, 0),
}
"""Müller and Hutter 2021, the wide space; translations are in pixels, whatever the image's size."""


def magnitudes(ranges: Mapping[str, Range], device: torch.device) -> Callable[..., Tensor]:
    """Return the function from what was drawn to magnitudes, float32 (B,).

    It takes the operation, int64 (B,), by its place in `OPERATIONS`; the level in 0 .. 1, float64 (B,), or one for
    all; a uniform draw for the sign (B,), negative below one half; height and width of the images. Operations that are
    not among the ranges have magnitude 0.
    """
    import torch

    none = Range()
    each = [ranges.get(name, none) for name in OPERATIONS]

    # In double precision: levels are cut to whole ones, and a factor of 1.6 that is a bit too small takes one from
    # every fifth of them.
    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=device)

    first, reach = column([one.first for one in each]), column([one.last - one.first for one in each])
    sign = column([float(one.signed) for one in each])
    nearest, down = (column([one.whole == how for one in each]) > 0 for how in ("nearest", "down"))
    across, along = (
        column([one.of_side and name.endswith(axis) for name, one in zip(OPERATIONS, each, strict=True)])
        for axis in ("-x", "-y")
    )

    def magnitude_of(
        operation: Tensor, level: Tensor | float, draw: Tensor, height: int, width: int
    ) -> Tensor:
        side = 1 + across[operation] * (width - 1) + along[operation] * (height - 1)
        way = reach[operation] * level * side
        way = torch.where(nearest[operation], way.round(), way)
        way = torch.where(down[operation], way.trunc(), way)
        magnitude = (first[operation] + way).float()
        return torch.where((draw < 0.5) & (sign[operation] > 0), -magnitude, magnitude)

    return magnitude_of


def picked(draw: Tensor, count: int) -> Tensor:
    """Return whole numbers below `count`, all equally likely, int64, from uniform draws in [0, 1)."""
    return (draw * count).long()


def numbers_of(names: tuple[str, ...], device: torch.device) -> Tensor:
    """Return the places of operations in `OPERATIONS`, int64."""
    import torch

    return torch.tensor([OPERATIONS.index(name) for name in names], device=device)

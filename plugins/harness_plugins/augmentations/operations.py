"""The operations of the automatic policies, on a batch, with a magnitude for each sample.

Images are float32 (B, C, H, W) in whole levels 0 .. 255, C being 1 or 3; magnitudes float32 (B,). Each gives on
every sample what `torchvision.transforms.v2.functional` gives on uint8 with that magnitude, rounding as it does;
against PIL a level may differ, as torchvision's does. A sample's result depends on nothing else in the batch.

| operation | magnitude |
| --- | --- |
| shear-x, shear-y | tangent of the angle, about the upper left corner |
| translate-x, translate-y | pixels to the right or down, cut to whole ones |
| rotate | degrees, counter-clockwise about the centre |
| brightness, color, contrast, sharpness | factor - 1: 0 leaves the image, -1 gives black, grey, the mean, the blurred |
| posterize | bits kept, whole, 0 .. 8 |
| solarize | the level from which on pixels are inverted |
| autocontrast, equalize, invert, identity | none |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    Operation = Callable[[Tensor, Tensor], Tensor]

Interpolation = Literal["nearest", "bilinear"]


def warp(image: Tensor, inverse: Tensor, interpolation: Interpolation, fill: float) -> Tensor:
    """Return images read at other places.

    Args:
        image: (B, C, H, W).
        inverse: (B, 2, 3): the place in the input, (x, y) in pixels from the centre, of each place in the output.
        interpolation: How to read between pixels.
        fill: The level outside the image.
    """
    import torch
    from torch.nn.functional import grid_sample

    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device) - (width - 1) / 2
    y = (torch.arange(height, device=image.device) - (height - 1) / 2)[:, None]
    a, b, c, d, e, f = inverse.flatten(1)[:, :, None, None].unbind(1)  # (B, 1, 1) each
    # grid_sample counts in half sides. What belongs to a row and to a column is small: one sum for each pixel.
    grid = torch.empty(len(image), height, width, 2, device=image.device)
    torch.add(a * x / (width / 2), (b * y + c) / (width / 2), out=grid[..., 0])
    torch.add(d * x / (height / 2), (e * y + f) / (height / 2), out=grid[..., 1])
    read = grid_sample(
        image - fill if fill else image, grid, mode=interpolation, padding_mode="zeros", align_corners=False
    )
    if fill:
        read += fill
    return read if interpolation == "nearest" else read.round_()


GEOMETRIC = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")


def inverse_matrices(operation: Tensor, magnitude: Tensor, height: int, width: int) -> Tensor:
    """Return the maps of geometric operations for `warp`, (B, 2, 3).

    Args:
        operation: Places in `GEOMETRIC`, int64 (B,).
        magnitude: (B,).
        height, width: Of the image, in pixels.
    """
    import torch

    # Each sample has one operation, so the magnitudes of the others are zero and the five maps add up to its own.
    shear_x, shear_y, right, below, degrees = (
        torch.where(operation == number, magnitude, 0.0) for number in range(len(GEOMETRIC))
    )
    cosine, sine = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    across = [cosine, shear_x - sine, shear_x * (height / 2) - right.trunc()]
    down = [sine + shear_y, cosine, shear_y * (width / 2) - below.trunc()]
    return torch.stack(across + down, 1).view(-1, 2, 3)


def brightness(image: Tensor, magnitude: Tensor) -> Tensor:
    """Multiply all levels."""
    return (image * (1 + _of_samples(magnitude))).clamp_(0, 255).floor_()


def color(image: Tensor, magnitude: Tensor) -> Tensor:
    """Move away from grey, or towards it; one channel is left alone."""
    if image.shape[1] == 1:
        return image
    return _blend(image, grey(image), magnitude)


def contrast(image: Tensor, magnitude: Tensor) -> Tensor:
    """Move away from the mean grey level of the image, or towards it."""
    import torch

    level = image if image.shape[1] == 1 else grey(image)
    # In double precision, so that the order in which a device adds changes nothing.
    mean = level.mean((1, 2, 3), keepdim=True, dtype=torch.float64).float()
    return _blend(image, mean, magnitude)


def sharpness(image: Tensor, magnitude: Tensor) -> Tensor:
    """Move away from the smoothed image, or towards it; the outermost pixels stay.

    Smoothing is by PIL's 3 x 3 kernel, 1 everywhere and 5 in the middle, over 13.
    """
    if min(image.shape[-2:]) <= 2:
        return image
    rows = image[..., :-2, :] + image[..., 1:-1, :] + image[..., 2:, :]
    inner = image[..., 1:-1, 1:-1]
    smooth = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]).add_(inner, alpha=4).div_(13).round_()
    result = image.clone()
    # PIL's blend, 1 - factor being -magnitude.
    result[..., 1:-1, 1:-1] = (
        smooth.sub_(inner).mul_(-_of_samples(magnitude)).add_(inner).clamp_(0, 255).floor_()
    )
    return result


def posterize(image: Tensor, magnitude: Tensor) -> Tensor:
    """Keep the highest bits of every level."""
    size = (8 - _of_samples(magnitude)).exp2()
    return (image / size).floor_().mul_(size)


def solarize(image: Tensor, magnitude: Tensor) -> Tensor:
    """Invert the levels that reach a threshold."""
    import torch

    return torch.where(image >= _of_samples(magnitude), 255 - image, image)


def autocontrast(image: Tensor, magnitude: Tensor) -> Tensor:
    """Stretch each channel so that its levels reach from 0 to 255; one of a single level is left alone."""
    import torch

    del magnitude
    low, high = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    flat = high == low
    scale = torch.where(flat, 1.0, (high - low) * (1 / 255))
    return (image - torch.where(flat, 0.0, low)).div_(scale).clamp_(0, 255).floor_()


def equalize(image: Tensor, magnitude: Tensor) -> Tensor:
    """Spread each channel's levels so that its histogram is as even as can be, by PIL's table."""
    import torch

    del magnitude
    count, channels, height, width = image.shape
    # One row of 256 bins a channel, end to end: a scatter of one dimension is deterministic on every device.
    first = torch.arange(count * channels, device=image.device)[:, None] * 256
    place = (image.reshape(count * channels, -1).long() + first).flatten()
    one = torch.ones(1, dtype=torch.int32, device=image.device)
    bins = torch.zeros(count * channels * 256, dtype=torch.int32, device=image.device)
    bins = bins.scatter_add_(0, place, one.expand_as(place)).view(-1, 256)
    below_or_at = bins.cumsum(1)
    highest = bins.gather(1, below_or_at.argmax(1, keepdim=True))
    step = (height * width - highest).div_(255, rounding_mode="floor")
    table = (below_or_at - bins).add_(step // 2).div_(step.clamp(min=1), rounding_mode="floor").clamp_(0, 255)
    # With fewer than 255 pixels below the highest level, PIL leaves the channel alone.
    level = torch.arange(256, device=image.device)
    table = torch.where(step == 0, level, table).float()
    return table.flatten()[place].view(image.shape)


def invert(image: Tensor, magnitude: Tensor) -> Tensor:
    """Turn every level x into 255 - x."""
    del magnitude
    return 255 - image


PHOTOMETRIC: dict[str, Operation] = {
    "brightness": brightness,
    "color": color,
    "contrast": contrast,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
    "autocontrast": autocontrast,
    "equalize": equalize,
    "invert": invert,
}


def grey(image: Tensor) -> Tensor:
    """Return the grey levels of colour images, whole, (B, 1, H, W), by the weights of ITU-R BT.601.

    Raises:
        ValueError: Where there are not three channels.
    """
    if image.shape[1] != 3:
        raise ValueError(
            f"images have {image.shape[1]} channels, and colour is defined for 3 (or 1, which is grey): "
            "take this augmentation out of the recipe"
        )
    red, green, blue = image.unbind(1)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_().unsqueeze(1)


def _blend(image: Tensor, other: Tensor, magnitude: Tensor) -> Tensor:
    """Return `factor * image + (1 - factor) * other` in whole levels, the factor being 1 + magnitude."""
    rest = -_of_samples(magnitude)
    return (image * (1 - rest)).add_(other * rest).clamp_(0, 255).floor_()


def _of_samples(magnitude: Tensor) -> Tensor:
    return magnitude[:, None, None, None]

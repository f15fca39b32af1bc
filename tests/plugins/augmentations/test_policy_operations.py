"""Each operation of the policies against torchvision on uint8, sample by sample, each sample with its own magnitude."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from harness_plugins.augmentations.color_jitter import turn_hue
from harness_plugins.augmentations.grouping import OPERATIONS, operation_layer
from harness_plugins.augmentations.operations import PHOTOMETRIC, grey, inverse_matrices, warp

CPU = torch.device("cpu")
MAGNITUDES = {
    "shear-x": (0.3, -0.3, 0.03, -0.99, 0.0),
    "shear-y": (0.3, -0.3, 0.03, -0.99, 0.0),
    "translate-x": (0.0, 3.0, -5.7, 14.5, -32.0),
    "translate-y": (0.0, 3.0, -5.7, 14.5, -32.0),
    "rotate": (0.0, 30.0, -11.0, 135.0, -90.0),
    "posterize": (8.0, 7.0, 4.0, 2.0, 0.0),
    "solarize": (255.0, 254.0, 128.0, 33.3, 0.0),
}
FACTORS = (0.0, 0.9, -0.9, 0.33, -0.27, -1.0, 0.99)


def pictures(channels: int, height: int, width: int) -> torch.Tensor:
    """Noise, noise of few levels, a slope, one level, and two: uint8 (20, C, H, W)."""
    generator = torch.Generator().manual_seed(channels + height)
    noise = torch.randint(0, 256, (8, channels, height, width), generator=generator)
    narrow = torch.randint(60, 150, (8, channels, height, width), generator=generator)
    slope = torch.arange(height * width).view(1, 1, height, width).expand(2, channels, -1, -1) % 256
    flat = torch.full((1, channels, height, width), 77)
    two = torch.randint(0, 2, (1, channels, height, width), generator=generator) * 200
    return torch.cat([noise, narrow, slope, flat, two]).byte()


def by_torchvision(name: str, image: torch.Tensor, magnitude: float) -> torch.Tensor:
    degrees = float(np.degrees(np.arctan(magnitude)))
    shift = int(magnitude)
    made = {
        "identity": lambda: image,
        "shear-x": lambda: tv.affine(image, 0.0, [0, 0], 1.0, [degrees, 0.0], center=[0, 0]),
        "shear-y": lambda: tv.affine(image, 0.0, [0, 0], 1.0, [0.0, degrees], center=[0, 0]),
        "translate-x": lambda: tv.affine(image, 0.0, [shift, 0], 1.0, [0.0, 0.0]),
        "translate-y": lambda: tv.affine(image, 0.0, [0, shift], 1.0, [0.0, 0.0]),
        "rotate": lambda: tv.rotate(image, magnitude),
        "brightness": lambda: tv.adjust_brightness(image, 1 + magnitude),
        "color": lambda: tv.adjust_saturation(image, 1 + magnitude),
        "contrast": lambda: tv.adjust_contrast(image, 1 + magnitude),
        "sharpness": lambda: tv.adjust_sharpness(image, 1 + magnitude),
        "posterize": lambda: tv.posterize(image, int(magnitude)),
        "solarize": lambda: tv.solarize(image, magnitude),
        "autocontrast": lambda: tv.autocontrast(image),
        "equalize": lambda: tv.equalize(image),
        "invert": lambda: tv.invert(image),
    }
    return made[name]()


@pytest.mark.parametrize("gathers", [True, False], ids=["groups", "masks"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 13, 21), (3, 2, 2)], ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_equals_torchvisions_on_each_sample(name, shape, gathers, monkeypatch):
    monkeypatch.setattr("harness_plugins.augmentations.grouping.gathers", lambda device: gathers)
    images = pictures(*shape)
    strengths = MAGNITUDES.get(name, FACTORS)
    magnitude = torch.tensor([strengths[place % len(strengths)] for place in range(len(images))])
    expected = torch.stack(
        [by_torchvision(name, one, float(m)) for one, m in zip(images, magnitude, strict=True)]
    )
    operation = torch.full((len(images),), OPERATIONS.index(name))
    ours = operation_layer(CPU, "nearest", 0)(images.float(), operation, magnitude)
    difference = (ours - expected.float()).abs()
    share = float((difference > 0).float().mean())
    print(f"{name} {shape}: {share:.2%} of the levels differ, by {float(difference.max())} at most")
    if name in ("color", "contrast"):
        # The sum of two products is cut to whole levels: where it is whole, its last bit decides.
        assert difference.max() <= 1
        assert share < 0.01
    else:
        assert torch.equal(ours, expected.float())


@pytest.mark.parametrize("name", ["shear-x", "shear-y", "rotate", "translate-x"])
def test_bilinear_reading_equals_torchvisions(name):
    images, magnitude = pictures(3, 16, 20), 0.21 if "shear" in name else 7.3
    degrees = float(np.degrees(np.arctan(magnitude)))
    bilinear = InterpolationMode.BILINEAR
    shear = {"shear-x": [degrees, 0.0], "shear-y": [0.0, degrees]}
    if name == "rotate":
        expected = tv.rotate(images, magnitude, bilinear)
    elif name in shear:
        expected = tv.affine(images, 0.0, [0, 0], 1.0, shear[name], bilinear, center=[0, 0])
    else:
        expected = tv.affine(images, 0.0, [7, 0], 1.0, [0.0, 0.0], bilinear)
    operation = torch.full((len(images),), OPERATIONS.index(name))
    ours = operation_layer(CPU, "bilinear", 0)(
        images.float(), operation, torch.full((len(images),), magnitude)
    )
    difference = (ours - expected.float()).abs()
    assert difference.max() <= 1  # a half of a level rounds by its last bit
    assert (difference > 0).float().mean() < 0.001


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_what_moves_in_has_the_level_that_was_asked_for(interpolation):
    image = torch.full((1, 3, 8, 8), 10.0)
    inverse = inverse_matrices(torch.tensor([2]), torch.tensor([3.0]), 8, 8)  # three pixels to the right
    moved = warp(image, inverse, interpolation, 128)
    assert (moved[..., :3] == 128).all()
    assert (moved[..., 3:] == 10).all()


PIL_OF = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
}


@pytest.mark.parametrize("factor", [0.1, 0.7, 1.0, 1.6])
@pytest.mark.parametrize("name", PIL_OF)
def test_an_operation_is_within_two_levels_of_pils(name, factor):
    """PIL rounds grey levels and means where torchvision cuts them; a factor spreads that one level."""
    images = pictures(3, 32, 32)
    magnitude = torch.full((len(images),), factor - 1)
    ours = PHOTOMETRIC[name](images.float(), magnitude)
    for mine, image in zip(ours, images, strict=True):
        picture = PIL_OF[name](Image.fromarray(image.permute(1, 2, 0).numpy()), factor)
        theirs = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
        assert (mine - theirs).abs().max() <= (0 if name in ("equalize", "invert") else 2)


def test_grey_levels_are_torchvisions_and_other_channels_are_refused():
    images = pictures(3, 16, 16)
    assert torch.equal(grey(images.float()), tv.rgb_to_grayscale(images).float())
    with pytest.raises(ValueError, match="4 channels"):
        grey(torch.zeros(1, 4, 2, 2))


@pytest.mark.parametrize("share", [0.0, 0.1, -0.1, 0.5, -0.5, 0.27])
def test_hue_turns_as_torchvisions(share):
    images = pictures(3, 32, 32)
    expected = tv.adjust_hue(images, share).float()
    difference = (turn_hue(images.float(), torch.full((len(images),), share)) - expected).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.01


def test_hue_turns_primary_colours_round_the_circle():
    """By hand: a third of the circle from red is green, half is cyan; grey has no hue."""
    red = torch.tensor([200.0, 0, 0]).view(1, 3, 1, 1).repeat(3, 1, 1, 1)
    turned = turn_hue(red, torch.tensor([1 / 3, -1 / 3, 0.5])).view(3, 3)
    assert turned.tolist() == [[0, 200, 0], [0, 0, 200], [0, 200, 200]]
    assert turn_hue(torch.full((1, 3, 1, 1), 90.0), torch.tensor([0.4])).flatten().tolist() == [90, 90, 90]

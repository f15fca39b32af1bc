"""Colour jitter, grey images and blur against torchvision on uint8, sample by sample, given the same draws."""

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from harness.contract import Batch
from harness_plugins.augmentations.color_jitter import ColorJitter
from harness_plugins.augmentations.gaussian_blur import GaussianBlur, smoothing
from harness_plugins.augmentations.grayscale import Grayscale

COUNT = 40


def pictures(channels=3):
    generator = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (COUNT, channels, 14, 18), generator=generator).byte()


def normalised(pictures):
    """As FixedContext has its statistics: mean 0.5, standard deviation 0.25."""
    image = (pictures.float() - 127.5) / 63.75
    return Batch({"image": image}, torch.zeros(len(image), dtype=torch.int64), torch.arange(len(image)))


def levels(batch):
    return (batch.image * 63.75 + 127.5).round()


def uniform(columns):
    return torch.rand(COUNT, columns, generator=torch.Generator().manual_seed(columns))


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize(
    "strengths",
    [
        (0.4, 0.4, 0.2, 0.1),
        (0.8, 0.0, 0.0, 0.0),
        (0.0, 3.0, 0.0, 0.0),
        (0.0, 0.0, 1.5, 0.0),
        (0.0, 0.0, 0.0, 0.5),
    ],
    ids=str,
)
def test_color_jitter_is_torchvisions_four_steps_in_turn(strengths, channels, context):
    draws, images = uniform(5), pictures(channels)
    result = levels(ColorJitter(*strengths).bind(context(draws))(normalised(images)))
    expected = []
    for image, row in zip(images, draws.tolist(), strict=True):
        changes = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation)
        for change, strength, draw in zip(changes, strengths, row[1:], strict=False):
            weakest = max(0.0, 1 - strength)
            image = change(image, weakest + draw * (1 + strength - weakest)) if strength else image
        expected.append(tv.adjust_hue(image, (2 * row[4] - 1) * strengths[3]))
    difference = (result - torch.stack(expected).float()).abs()
    print(
        f"{float((difference > 0).float().mean()):.2%} of the levels differ, by {float(difference.max())} at most"
    )
    # One level that is cut the other way is spread by the steps that follow.
    assert difference.max() <= 3
    assert (difference > 0).float().mean() < 0.005


def test_identical_images_get_colours_of_their_own(context):
    same = normalised(pictures()[:1].expand(COUNT, -1, -1, -1))
    result = ColorJitter().bind(context(uniform(5)))(same).image
    assert len({tuple(one.flatten().tolist()) for one in result}) == COUNT


def test_grey_images_are_torchvisions_and_the_others_are_left_bit_for_bit(context):
    draws, images = uniform(1), pictures()
    batch = normalised(images)
    result = Grayscale(0.6).bind(context(draws))(batch)
    drawn = draws[:, 0] < 0.6
    assert 0 < drawn.sum() < COUNT
    assert torch.equal(levels(result)[drawn], tv.rgb_to_grayscale(images, 3).float()[drawn])
    assert torch.equal(result.image[~drawn], batch.image[~drawn])


def test_an_image_of_one_channel_is_grey_already(context):
    batch = normalised(pictures(1))
    assert torch.allclose(Grayscale(1.0).bind(context(uniform(1)))(batch).image, batch.image, atol=1e-6)


@pytest.mark.parametrize("kernel", [None, 3, 7, 27])
@pytest.mark.parametrize("channels", [3, 1])
def test_blur_is_torchvisions_with_each_samples_own_width(kernel, channels, context):
    draws, images = uniform(2), pictures(channels)
    settings = GaussianBlur(1.0, 0.1, 3.0, kernel)
    result = levels(settings.bind(context(draws))(normalised(images)))
    size = kernel or 3  # a tenth of 14 pixels is 1, and 3 is the least
    expected = [
        tv.gaussian_blur(image, [size, size], [0.1 + row[1] * 2.9] * 2)
        for image, row in zip(images, draws.tolist(), strict=True)
    ]
    difference = (result - torch.stack(expected).float()).abs()
    assert difference.max() <= 1  # a half of a level rounds by its last bit
    assert (difference > 0).float().mean() < 0.001


def test_a_line_is_smoothed_by_weights_worked_by_hand():
    """sigma 1, one neighbour either way: weights e = exp(-1/2) to 1, mirrored without repeating the border."""
    e = math.exp(-0.5)
    near, own = e / (1 + 2 * e), 1 / (1 + 2 * e)
    expected = torch.tensor([[own, 2 * near, 0], [near, own, near], [0, 2 * near, own]])
    assert torch.allclose(smoothing(torch.tensor([1.0]), 1, 3)[0], expected, atol=1e-6)


@pytest.mark.parametrize(("side", "reach"), [(32, 1), (64, 3), (224, 11)])
def test_the_kernel_is_a_tenth_of_the_side_where_it_is_not_given(side, reach):
    assert GaussianBlur()._radius(side, side + 5) == reach


def test_a_kernel_that_does_not_fit_is_refused(context):
    step = GaussianBlur(1.0, kernel=29).bind(context(uniform(2)))
    with pytest.raises(ValueError, match="kernel is 29, and images of 14 x 18 pixels take 27 at most"):
        step(normalised(pictures()))
    with pytest.raises(ValueError, match="kernel is 4; it has to be odd"):
        GaussianBlur(kernel=4)
    with pytest.raises(ValueError, match=r"smallest is 3\.0, more than largest, 2\.0"):
        GaussianBlur(smallest=3.0)

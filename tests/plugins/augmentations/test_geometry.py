import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from harness.contract import Batch
from harness_plugins.augmentations.cutout import Cutout
from harness_plugins.augmentations.horizontal_flip import HorizontalFlip
from harness_plugins.augmentations.padded_crop import PaddedCrop
from harness_plugins.augmentations.translate import Translate

LARGEST_DRAW = 1 - 2**-24  # the largest float32 below one


def test_flip_mirrors_the_samples_whose_draw_is_below_the_probability(batch, context, table):
    draws = table(1)
    result = HorizontalFlip(probability=0.3).bind(context(draws))(batch).image
    mirrored = 0
    for place, sample in enumerate(batch.ids.tolist()):
        expected = batch.image[place]
        if draws[sample, 0] < 0.3:
            expected = torch.flip(expected, [-1])
            mirrored += 1
        assert torch.equal(result[place], expected)
    assert 0 < mirrored < 16


def test_flip_with_probability_one_mirrors_all(batch, context):
    result = HorizontalFlip(probability=1.0).bind(context(torch.full((31, 1), LARGEST_DRAW)))(batch)
    assert torch.equal(result.image, F.horizontal_flip(batch.image))


@pytest.mark.parametrize(("mode", "torchvision_mode"), [("reflect", "reflect"), ("zeros", "constant")])
@pytest.mark.parametrize("padding", [1, 4, 7])
def test_padded_crop_equals_torchvisions_pad_and_crop(mode, torchvision_mode, padding, batch, context, table):
    draws = table(2)
    result = PaddedCrop(padding=padding, mode=mode).bind(context(draws))(batch).image
    for place, sample in enumerate(batch.ids.tolist()):
        row, column = (int(draw * (2 * padding + 1)) for draw in draws[sample].tolist())
        padded = F.pad(batch.image[place], [padding], padding_mode=torchvision_mode)
        assert torch.equal(result[place], F.crop(padded, row, column, 8, 10))


def test_padded_crop_reaches_both_corners_and_not_beyond(batch, context):
    step = PaddedCrop(padding=2, mode="zeros").bind(context(torch.zeros(31, 2)))
    assert torch.equal(step(batch).image, F.pad(batch.image, [2, 2, 0, 0])[:, :, :8, :10])
    step = PaddedCrop(padding=2, mode="zeros").bind(context(torch.full((31, 2), LARGEST_DRAW)))
    assert torch.equal(step(batch).image, F.pad(batch.image, [0, 0, 2, 2])[:, :, 2:, 2:])


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_translate_equals_slicing_by_hand_and_zeros_move_in(pixels, batch, context, table):
    draws = table(2)
    result = Translate(pixels=pixels).bind(context(draws))(batch).image
    for place, sample in enumerate(batch.ids.tolist()):
        down, right = (pixels - int(draw * (2 * pixels + 1)) for draw in draws[sample].tolist())
        expected = torch.zeros(3, 8, 10)
        for h in range(8):
            for w in range(10):
                if 0 <= h - down < 8 and 0 <= w - right < 10:
                    expected[:, h, w] = batch.image[place, :, h - down, w - right]
        assert torch.equal(result[place], expected)


def test_all_shifts_are_equally_likely(context):
    draws = torch.rand(9000, 2, generator=torch.Generator().manual_seed(0))
    image = torch.zeros(9000, 1, 3, 3)
    image[:, :, 1, 1] = 1  # where the one pixel lands tells the shift
    batch = Batch({"image": image}, torch.zeros(9000, dtype=torch.long), torch.arange(9000))
    counts = Translate(pixels=1).bind(context(draws))(batch).image.sum((0, 1))
    assert counts.sum() == 9000
    assert ((counts - 1000) ** 2 / 1000).sum() < 26.1  # chi-square, 8 degrees of freedom, p = .001


@settings(max_examples=40)
@given(
    size=st.integers(1, 20), height=st.integers(1, 12), width=st.integers(1, 12),
    row=st.floats(0, LARGEST_DRAW, width=32), column=st.floats(0, LARGEST_DRAW, width=32),
)  # fmt: skip
def test_cutout_equals_a_loop_over_the_pixels(size, height, width, row, column):
    class Fixed:
        def draws(self, name, n):
            return lambda ids: torch.tensor([[row, column]])

    image = torch.arange(1.0, 1 + 2 * height * width).view(1, 2, height, width)
    batch = Batch({"image": image}, torch.tensor([0]), torch.tensor([0]))
    result = Cutout(size=size).bind(Fixed())(batch).image
    top, left = int(row * height) - size // 2, int(column * width) - size // 2
    for h in range(height):
        for w in range(width):
            hole = top <= h < top + size and left <= w < left + size
            assert torch.equal(result[0, :, h, w], torch.zeros(2) if hole else image[0, :, h, w])


def test_cutout_equals_the_papers_code_where_the_side_is_even(batch, context, table):
    """The reference: y1 = clip(y - length // 2, 0, h), y2 = clip(y + length // 2, 0, h)."""
    draws = table(2)
    result = Cutout(size=4).bind(context(draws))(batch).image
    clipped = 0
    for place, sample in enumerate(batch.ids.tolist()):
        y, x = int(draws[sample, 0] * 8), int(draws[sample, 1] * 10)
        expected = batch.image[place].clone()
        expected[:, max(y - 2, 0) : min(y + 2, 8), max(x - 2, 0) : min(x + 2, 10)] = 0
        assert torch.equal(result[place], expected)
        clipped += int((result[place, 0] == 0).sum() < 16)
    assert clipped  # some holes lie partly outside, as the paper wants

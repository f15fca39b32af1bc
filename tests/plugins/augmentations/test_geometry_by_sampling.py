"""Rotation, affine maps, resized crops and vertical flips against torchvision, sample by sample."""

import math

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from harness_plugins.augmentations.affine import Affine
from harness_plugins.augmentations.resized_crop import ResizedCrop
from harness_plugins.augmentations.rotation import Rotation
from harness_plugins.augmentations.vertical_flip import VerticalFlip

BILINEAR = InterpolationMode.BILINEAR


def test_vertical_flip_mirrors_those_below_the_probability(batch, context, table):
    draws = table(1)
    result = VerticalFlip(0.4).bind(context(draws))(batch)
    for i, sample in enumerate(batch.ids.tolist()):
        expected = tv.vertical_flip(batch.image[i]) if draws[sample, 0] < 0.4 else batch.image[i]
        assert torch.equal(result.image[i], expected)


def test_rotation_turns_each_sample_as_torchvision_does(batch, context, table):
    draws = table(1)
    result = Rotation(40.0).bind(context(draws))(batch)
    for i, sample in enumerate(batch.ids.tolist()):
        angle = float(draws[sample, 0] * 2 - 1) * 40
        # torchvision's angles are counter-clockwise.
        assert torch.allclose(result.image[i], tv.rotate(batch.image[i], -angle, BILINEAR), atol=1e-5)


def test_a_quarter_turn_of_a_square_is_exact(context):
    from harness.contract import Batch

    image = torch.arange(16.0).view(1, 1, 4, 4)
    turned = Rotation(90.0).bind(context(torch.tensor([[1.0]])))(
        Batch({"image": image}, torch.tensor([0]), torch.tensor([0]))
    )
    assert torch.allclose(turned.image, image.rot90(-1, (2, 3)), atol=1e-5)


def test_affine_moves_each_sample_as_torchvision_does(batch, context, table):
    draws = table(5)
    settings = Affine(degrees=30, translate=0.2, scale=0.3, shear=20)
    result = settings.bind(context(draws))(batch)
    height, width = batch.image.shape[-2:]
    for i, sample in enumerate(batch.ids.tolist()):
        angle, down, right, scale, shear = (draws[sample] * 2 - 1).tolist()
        # torchvision's shifts in whole pixels are a restriction of its interface: its own matrix, by hand.
        expected = by_hand(
            batch.image[i],
            math.radians(angle * 30),
            (right * 0.2 * width, down * 0.2 * height),
            1 + scale * 0.3,
            math.radians(shear * 20),
        )
        assert torch.allclose(result.image[i], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("angle", "shear", "scale"), [(25.0, 0.0, 1.0), (0.0, 15.0, 1.0), (-10.0, -20.0, 1.3)]
)
def test_the_hand_worked_map_is_torchvisions_where_that_can_say_it(angle, shear, scale):
    image = torch.randn(2, 9, 9, generator=torch.Generator().manual_seed(0))
    theirs = tv.affine(image, angle, [2, -1], scale, [shear, 0.0], BILINEAR)
    ours = by_hand(image, math.radians(angle), (2, -1), scale, math.radians(shear))
    assert torch.allclose(theirs, ours, atol=1e-5)


def by_hand(image, angle, shift, scale, shear):
    """Read every output pixel at the inverse of R(angle) Sh(shear) scale, bilinear, zero outside; by loops."""
    rotate = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = rotate @ torch.tensor([[1.0, -math.tan(shear)], [0.0, 1.0]]) * scale
    inverse = torch.linalg.inv(matrix)
    _, height, width = image.shape
    out = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            place = torch.tensor([column - (width - 1) / 2 - shift[0], row - (height - 1) / 2 - shift[1]])
            x, y = (inverse @ place + torch.tensor([(width - 1) / 2, (height - 1) / 2])).tolist()
            for r, c in [(math.floor(y) + i, math.floor(x) + j) for i in (0, 1) for j in (0, 1)]:
                if 0 <= r < height and 0 <= c < width:
                    out[:, row, column] += (1 - abs(y - r)) * (1 - abs(x - c)) * image[:, r, c]
    return out


def test_a_resized_crop_is_the_rectangle_brought_back(batch, context, table):
    """Images whose two channels are their own coordinates, so that every pixel tells where it was read."""
    draws = table(4)
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(10.0), indexing="ij")
    image = torch.stack([rows, columns]).expand(16, 2, 8, 10).contiguous()
    result = ResizedCrop(smallest=0.3, aspect=1.5).bind(context(draws))(batch.with_image(image)).image
    for i, sample in enumerate(batch.ids.tolist()):
        area, aspect, row, column = draws[sample].tolist()
        pixels, ratio = (0.3 + 0.7 * area) * 80, 1.5 ** (2 * aspect - 1)
        tall, wide = min(8.0, math.sqrt(pixels / ratio)), min(10.0, math.sqrt(pixels * ratio))
        top, left = row * (8 - tall), column * (10 - wide)
        expected_rows = (top + (torch.arange(8) + 0.5) * tall / 8 - 0.5).clamp(0, 7)
        expected_columns = (left + (torch.arange(10) + 0.5) * wide / 10 - 0.5).clamp(0, 9)
        assert torch.allclose(result[i, 0], expected_rows[:, None].expand(8, 10), atol=2e-5)
        assert torch.allclose(result[i, 1], expected_columns[None].expand(8, 10), atol=2e-5)


@pytest.mark.parametrize(
    "augmentation", [Affine(180.0, 0.5, 0.5, 30.0), Rotation(180.0), ResizedCrop(0.1, 2.0), VerticalFlip(0.5)]
)
def test_identical_images_come_out_different(augmentation, context, batch):
    asked = {"Affine": 5, "Rotation": 1, "ResizedCrop": 4, "VerticalFlip": 1}[type(augmentation).__name__]
    draws = torch.rand(31, asked, generator=torch.Generator().manual_seed(2))
    same = batch.image[:1].expand(16, -1, -1, -1).contiguous()
    result = augmentation.bind(context(draws))(batch.with_image(same)).image
    distinct = {tuple(image.flatten().tolist()) for image in result}
    assert len(distinct) == (2 if asked == 1 and isinstance(augmentation, VerticalFlip) else 16)

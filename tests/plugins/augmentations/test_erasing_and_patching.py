import math

import numpy as np
import pytest
import torch
from scipy.stats import beta

from harness.contract import Batch
from harness_plugins.augmentations.random_erasing import ATTEMPTS, RandomErasing
from harness_plugins.augmentations.ricap import Ricap


def erased(draw, settings, height, width):
    """Algorithm 1 of the paper for one sample, in plain Python: (top, left, tall, wide), or None."""
    if draw[0] >= settings.probability:
        return None
    for attempt in range(ATTEMPTS):
        share = settings.smallest + draw[3 + attempt] * (settings.largest - settings.smallest)
        area = share * height * width
        ratio = math.exp((2 * draw[3 + ATTEMPTS + attempt] - 1) * -math.log(settings.aspect))
        tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if tall < height and wide < width:
            return int(draw[1] * (height - tall + 1)), int(draw[2] * (width - wide + 1)), tall, wide
    return None


@pytest.mark.parametrize("settings", [RandomErasing(1.0), RandomErasing(0.6, 0.3, 0.9, 0.2)])
def test_random_erasing_is_the_papers_algorithm(settings, context):
    draws = torch.rand(200, 3 + 2 * ATTEMPTS, generator=torch.Generator().manual_seed(4))
    image = torch.ones(200, 2, 12, 9)
    batch = Batch({"image": image}, torch.zeros(200, dtype=torch.int64), torch.arange(200))
    result = settings.bind(context(draws))(batch).image
    seen = set()
    for i, draw in enumerate(draws.tolist()):
        expected = torch.ones(2, 12, 9)
        if (box := erased(draw, settings, 12, 9)) is not None:
            top, left, tall, wide = box
            expected[:, top : top + tall, left : left + wide] = 0
        assert torch.equal(result[i], expected)
        seen.add(box)
    assert len(seen) > 50
    assert batch.image.min() == 1


def test_random_erasing_refuses_areas_the_wrong_way_round():
    with pytest.raises(ValueError, match="smallest"):
        RandomErasing(0.5, 0.4, 0.3)


def test_ricap_patches_four_crops_and_counts_their_areas(context):
    """Channels hold sample, row and column, so that every pixel tells where it came from; worked by loops."""
    count, height, width, classes = 24, 6, 8, 5
    draws = torch.rand(count, 13, generator=torch.Generator().manual_seed(9))
    image = torch.zeros(count, 3, height, width)
    image[:, 0] = torch.arange(float(count)).view(-1, 1, 1)
    image[:, 1] = torch.arange(float(height)).view(1, -1, 1)
    image[:, 2] = torch.arange(float(width)).view(1, 1, -1)
    target = torch.arange(count) % classes
    batch = Batch({"image": image}, target, torch.arange(count))
    result = Ricap(beta=0.7).bind(context(draws))(batch)
    orders = [draws[:, k].argsort(stable=True) for k in (2, 3, 4)]
    drawn = draws.tolist()
    for i in range(count):
        # float32, as the plugin has it: a boundary at exactly one half of a pixel may round either way
        shares = [float(np.float32(beta(0.7, 0.7).ppf(drawn[i][k]))) for k in (0, 1)]
        near_half = any(abs((s * n) % 1 - 0.5) < 1e-2 for s, n in zip(shares, (height, width), strict=True))
        if near_half:
            continue
        row, column = round(shares[0] * height), round(shares[1] * width)
        sources = [i, *(int(order[i]) for order in orders)]
        sizes = [(row, column), (row, width - column), (height - row, column), (height - row, width - column)]
        label = torch.zeros(classes)
        for k, ((tall, wide), source) in enumerate(zip(sizes, sources, strict=True)):
            label[target[source]] += tall * wide / (height * width)
            top = int(np.float32(drawn[i][5 + k]) * np.float32(height - tall + 1))
            left = int(np.float32(drawn[i][9 + k]) * np.float32(width - wide + 1))
            r0, c0 = (row if k >= 2 else 0), (column if k % 2 else 0)
            piece = result.image[i, :, r0 : r0 + tall, c0 : c0 + wide]
            assert (piece[0] == source).all()
            assert torch.equal(piece[1], torch.arange(top, top + tall).float()[:, None].expand(tall, wide))
            assert torch.equal(piece[2], torch.arange(left, left + wide).float()[None].expand(tall, wide))
        assert torch.allclose(result.target[i], label, atol=1e-6)
    assert torch.allclose(result.target.sum(1), torch.ones(count))


def test_ricap_keeps_the_layout_that_came(context, batch):
    draws = torch.rand(31, 13, generator=torch.Generator().manual_seed(1))
    for layout in (torch.contiguous_format, torch.channels_last):
        image = batch.image.contiguous(memory_format=layout)
        result = Ricap().bind(context(draws))(batch.with_image(image)).image
        assert result.is_contiguous(memory_format=layout)

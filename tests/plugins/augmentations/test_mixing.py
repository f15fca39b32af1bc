import numpy as np
import pytest
import torch
from scipy.stats import beta

from harness.contract import Batch
from harness_plugins.augmentations.beta import TABLE_INTERVALS, beta_quantile
from harness_plugins.augmentations.cutmix import CutMix
from harness_plugins.augmentations.mixup import Mixup


def partners(draws, ids):
    """Which sample of the batch each is mixed with: places in the order of the second draw."""
    return sorted(range(len(ids)), key=lambda place: float(draws[ids[place], 1]))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.4, 1.0, 2.0, 8.0])
def test_quantiles_equal_scipys(alpha):
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(1))
    ours = beta_quantile(alpha, torch.device("cpu"))(uniform)
    assert ours.dtype == torch.float32
    values, probability = ours.double().numpy(), uniform.double().numpy()
    # where the quantile is steep, at the ends of a large alpha, the table is exact in probability instead
    close = np.abs(values - beta(alpha, alpha).ppf(probability)) < 1e-3
    close |= np.abs(beta(alpha, alpha).cdf(values) - probability) < 1 / TABLE_INTERVALS
    assert close.all()
    variance = 1 / (4 * (2 * alpha + 1))  # of Beta(alpha, alpha), whose mean is one half
    assert abs(float(ours.mean()) - 0.5) < 4 * (variance / 20_000) ** 0.5
    assert abs(float(ours.var()) - variance) < 0.02 * variance


@pytest.mark.parametrize("alpha", [1e-4, 0.2, 50.0])
def test_quantiles_stay_within_zero_and_one_at_the_ends(alpha):
    ends = torch.tensor([0.0, 1 - 2**-24])
    values = beta_quantile(alpha, torch.device("cpu"))(ends)
    assert ((values >= 0) & (values <= 1)).all()
    assert values[0] < 1e-6
    assert values[1] > 1 - 1e-2


def test_mixup_is_the_papers_equation_for_each_sample(batch, context, table):
    draws = table(2)
    result = Mixup(alpha=0.4).bind(context(draws))(batch)
    one_hot = torch.eye(5)[batch.target]
    ids = batch.ids.tolist()
    for i, j in enumerate(partners(draws, ids)):
        share = float(beta(0.4, 0.4).ppf(float(draws[ids[i], 0])))
        assert torch.allclose(
            result.image[i], share * batch.image[i] + (1 - share) * batch.image[j], atol=1e-4
        )
        assert torch.allclose(result.target[i], share * one_hot[i] + (1 - share) * one_hot[j], atol=1e-4)


def test_each_sample_is_some_other_ones_partner_once(batch, context, table):
    """Images that are one-hot in their place show who was mixed with whom."""
    place = torch.eye(16).view(16, 1, 4, 4)
    draws = table(2)
    result = Mixup(alpha=1.0).bind(context(draws))(batch.with_image(place)).image.view(16, 16)
    assert torch.allclose(result.sum(1), torch.ones(16))
    others = (result * (1 - torch.eye(16))).argmax(1)[(result.diagonal() < 1)]
    assert len(set(others.tolist())) == len(others) > 8


def test_image_and_target_of_mixup_carry_the_same_share(batch, context, table):
    one_hot_images = torch.eye(5)[batch.target].view(16, 1, 5, 1)
    result = Mixup(alpha=1.0).bind(context(table(2)))(batch.with_image(one_hot_images))
    assert torch.allclose(result.image.view(16, 5), result.target, atol=1e-6)


def test_the_shares_differ_from_sample_to_sample(batch, context, table):
    result = Mixup(alpha=1.0).bind(context(table(2)))(batch)
    mixed = result.target[(result.target.max(1).values < 1)]
    assert len({round(float(row.max()), 4) for row in mixed}) > 4


def test_cutmix_pastes_a_box_and_counts_its_pixels(context):
    """Images of one value each, so that every pixel tells whose it is: the area is counted by hand."""
    generator = torch.Generator().manual_seed(3)
    draws = torch.rand(64, 4, generator=generator)
    image = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 2, 7, 11)
    target = torch.randint(0, 5, (64,), generator=generator)
    batch = Batch({"image": image}, target, torch.arange(64))
    result = CutMix(alpha=1.0).bind(context(draws))(batch)
    clipped = 0
    for i, j in enumerate(partners(draws, list(range(64)))):
        share = float(draws[i, 0])  # with alpha = 1 the quantile is the draw itself
        height, width = int(7 * (1 - share) ** 0.5), int(11 * (1 - share) ** 0.5)
        top, left = int(draws[i, 2] * 7) - height // 2, int(draws[i, 3] * 11) - width // 2
        area = 0
        for h in range(7):
            for w in range(11):
                inside = top <= h < top + height and left <= w < left + width
                area += inside
                assert result.image[i, :, h, w].tolist() == [float(j if inside else i)] * 2
        clipped += area < height * width
        expected = torch.zeros(5)
        expected[target[i]] += 1 - area / 77
        expected[target[j]] += area / 77
        assert torch.allclose(result.target[i], expected, atol=1e-6)
    assert clipped > 5


def test_cutmix_with_no_box_leaves_a_sample_and_its_target_exactly(batch, context, table):
    draws = table(4)
    draws[:, 0] = 1 - 2**-24  # the share that stays is as good as one
    result = CutMix(alpha=1.0).bind(context(draws))(batch)
    assert torch.equal(result.image, batch.image)
    assert torch.equal(result.target, torch.eye(5)[batch.target])


def test_cutmix_with_the_whole_image_as_box_shows_the_partner_where_it_is_not_clipped(batch, context, table):
    draws = table(4)
    draws[:, 0], draws[:, 2:] = 0.0, 0.5
    result = CutMix(alpha=1.0).bind(context(draws))(batch)
    other = partners(draws, batch.ids.tolist())
    assert torch.equal(result.image, batch.image[other])
    assert torch.equal(result.target, torch.eye(5)[batch.target[other]])

"""The automatic policies against torchvision's own, which are fed the same draws, one sample at a time."""

import math
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import beta, chisquare
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tv

from harness.contract import Batch
from harness.engine.keys import Draws, Keys, Moment
from harness_plugins.augmentations import aug_mix, auto_augment, rand_augment, trivial_augment
from harness_plugins.augmentations.aug_mix import AugMix
from harness_plugins.augmentations.auto_augment import POLICIES, AutoAugment, sub_policies
from harness_plugins.augmentations.grouping import OPERATIONS
from harness_plugins.augmentations.rand_augment import RandAugment
from harness_plugins.augmentations.trivial_augment import TrivialAugment

CPU = torch.device("cpu")
COUNT = 80
ALL = [
    RandAugment(),
    RandAugment(3, 20, 31, 128),
    TrivialAugment(),
    AutoAugment(),
    AutoAugment("svhn"),
    AugMix(),
]


def columns_of(augmentation) -> int:
    if isinstance(augmentation, RandAugment):
        return 1 + 2 * augmentation.num_ops
    return {"TrivialAugment": 4, "AutoAugment": 6, "AugMix": 34}[type(augmentation).__name__]


@pytest.fixture
def pictures():
    """uint8 (80, 3, 24, 32): slopes with noise on them, so that every operation shows."""
    generator = torch.Generator().manual_seed(3)
    slope = torch.arange(24)[:, None] * 3 + torch.arange(32) * 2
    noise = torch.randint(0, 90, (COUNT, 3, 24, 32), generator=generator)
    return (slope + noise).clamp(0, 255).byte()


def normalised(pictures):
    """As FixedContext has its statistics: mean 0.5, standard deviation 0.25."""
    image = (pictures.float() - 127.5) / 63.75
    return Batch({"image": image}, torch.zeros(len(image), dtype=torch.int64), torch.arange(len(image)))


def levels(batch):
    return batch.image * 63.75 + 127.5


def uniform(columns, seed=0):
    return torch.rand(COUNT, columns, generator=torch.Generator().manual_seed(seed))


class Fed:
    """Gives torchvision's policies the draws of one sample, in the order in which they ask."""

    def __init__(self, monkeypatch):
        self.numbers: list[float] = []
        monkeypatch.setattr(
            torch, "randint", lambda high, size: torch.tensor(int(self.numbers.pop(0) * high))
        )
        monkeypatch.setattr(torch, "rand", lambda size: torch.tensor(self.numbers.pop(0)))

    def __call__(self, transform, picture, numbers):
        self.numbers = list(numbers)
        return transform(picture)


SIGNED = {*OPERATIONS[1:10]}
DRAWN = rand_augment.DRAWN


def asked_by_rand_augment(row, num_ops):
    for place in range(num_ops):
        kind, sign = row[1 + 2 * place], row[2 + 2 * place]
        yield kind
        if DRAWN[int(kind * 14)] in SIGNED:
            yield sign


def asked_by_trivial_augment(row):
    _, kind, strength, sign = row
    yield kind
    name = DRAWN[int(kind * 14)]
    if name not in ("identity", "autocontrast", "equalize"):
        yield strength
    if name in SIGNED:
        yield sign


def asked_by_auto_augment(row, policy):
    yield row[1]
    for place, (name, chance, _) in enumerate(sub_policies(POLICIES[policy])[int(row[1] * 25)]):
        yield row[2 + place]
        if row[2 + place] <= chance and name in SIGNED:
            yield row[4 + place]


def agree(ours, theirs):
    """Equal but where a product is whole and its last bit decides where it is cut (what follows may spread that).

    So magnitudes are taken at which such products are rare: 20 of 30, a factor of 1.6, has one for every fifth level.
    """
    difference = (ours.round() - torch.stack(theirs).float()).abs()
    differing = float((difference.flatten(1).max(1).values > 0).float().mean())
    share = float((difference > 0).float().mean())
    print(f"{differing:.1%} of the samples and {share:.3%} of the levels differ")
    return share < 0.005 and differing < 0.3


@pytest.mark.parametrize(("num_ops", "magnitude", "fill"), [(2, 9, 0), (3, 17, 128), (1, 30, 0)])
def test_rand_augment_is_torchvisions_given_the_same_draws(
    num_ops, magnitude, fill, pictures, context, monkeypatch
):
    draws = uniform(1 + 2 * num_ops)
    ours = RandAugment(num_ops, magnitude, fill=fill).bind(context(draws))(normalised(pictures))
    fed, usual = Fed(monkeypatch), v2.RandAugment(num_ops, magnitude, fill=fill or None)
    rows = draws.tolist()
    theirs = [fed(usual, p, asked_by_rand_augment(r, num_ops)) for p, r in zip(pictures, rows, strict=True)]
    assert agree(levels(ours), theirs)


@pytest.mark.parametrize("bins", [31, 4])
def test_trivial_augment_is_torchvisions_given_the_same_draws(bins, pictures, context, monkeypatch):
    draws = uniform(4)
    ours = TrivialAugment(bins=bins).bind(context(draws))(normalised(pictures))
    fed, usual = Fed(monkeypatch), v2.TrivialAugmentWide(bins)
    theirs = [
        fed(usual, p, asked_by_trivial_augment(row)) for p, row in zip(pictures, draws.tolist(), strict=True)
    ]
    assert agree(levels(ours), theirs)


@pytest.mark.parametrize("policy", POLICIES)
def test_auto_augment_is_torchvisions_given_the_same_draws(policy, pictures, context, monkeypatch):
    draws = uniform(6)
    ours = AutoAugment(policy).bind(context(draws))(normalised(pictures))
    fed, usual = Fed(monkeypatch), v2.AutoAugment(v2.AutoAugmentPolicy(policy))
    theirs = [
        fed(usual, p, asked_by_auto_augment(row, policy))
        for p, row in zip(pictures, draws.tolist(), strict=True)
    ]
    assert agree(levels(ours), theirs)


def test_aug_mix_is_the_authors_algorithm_by_loops(pictures, context):
    """augment_and_mix of the authors' code, whose operations are PIL's, with torchvision's in their place."""
    pictures = pictures[:40]
    draws = uniform(34)
    ours = levels(AugMix(severity=5.0, alpha=0.7).bind(context(draws))(normalised(pictures)))
    names = (
        "autocontrast",
        "equalize",
        "shear-x",
        "shear-y",
        "translate-x",
        "translate-y",
        "rotate",
        "posterize",
    )
    names = (*names, "solarize")
    bilinear = InterpolationMode.BILINEAR
    for picture, result, row in zip(pictures, ours, draws.double().tolist(), strict=False):
        m = beta(0.7, 0.7).ppf(row[1])
        first = beta(0.7, 1.4).ppf(row[2])
        second = (1 - first) * beta(0.7, 0.7).ppf(row[3])
        mixture = (1 - m) * picture.double()
        for chain, weight in enumerate((first, second, 1 - first - second)):
            numbers = row[4 + 10 * chain : 14 + 10 * chain]
            image = picture
            for place in range(int(numbers[0] * 3) + 1):
                kind, strength, sign = numbers[1 + 3 * place : 4 + 3 * place]
                share = (0.1 + strength * 4.9) / 10
                way = -1 if sign < 0.5 else 1
                slant = math.degrees(math.atan(way * 0.3 * share))
                image = {
                    "autocontrast": lambda i: tv.autocontrast(i),
                    "equalize": lambda i: tv.equalize(i),
                    "shear-x": lambda i, s=slant: tv.affine(
                        i, 0.0, [0, 0], 1.0, [s, 0.0], bilinear, None, [0, 0]
                    ),
                    "shear-y": lambda i, s=slant: tv.affine(
                        i, 0.0, [0, 0], 1.0, [0.0, s], bilinear, None, [0, 0]
                    ),
                    "translate-x": lambda i, s=way * int(share * 32 / 3): tv.affine(
                        i, 0.0, [s, 0], 1.0, [0.0, 0.0], bilinear
                    ),
                    "translate-y": lambda i, s=way * int(share * 24 / 3): tv.affine(
                        i, 0.0, [0, s], 1.0, [0.0, 0.0], bilinear
                    ),
                    "rotate": lambda i, s=way * int(share * 30): tv.rotate(i, s, bilinear),
                    "posterize": lambda i, s=share: tv.posterize(i, 4 - int(s * 4)),
                    "solarize": lambda i, s=share: tv.solarize(i, min(255.0, 256 - s * 256)),
                }[names[int(kind * 9)]](image)
            mixture += m * weight * image.double()
        # A level may round the other way in a bilinear warp, and an operation after it spread that.
        difference = (result.double() - mixture).abs()
        assert (difference > 0.05).double().mean() < 0.01


@pytest.mark.parametrize("policy", POLICIES)
def test_the_tables_of_sub_policies_are_torchvisions(policy):
    def key(name):
        return name.lower().replace("-", "")

    theirs = v2.AutoAugment(v2.AutoAugmentPolicy(policy))._policies
    ours = sub_policies(POLICIES[policy])
    assert [
        tuple((key(name), chance, round(strength * 9)) for name, chance, strength in pair) for pair in ours
    ] == [tuple((key(name), chance, strength or 0) for name, chance, strength in pair) for pair in theirs]


@pytest.mark.parametrize(
    ("augmentation", "least"),
    [(RandAugment(), 40), (TrivialAugment(), 40), (AutoAugment(), 20), (AugMix(), 80)],
    ids=lambda value: type(value).__name__,
)
def test_identical_images_come_out_as_different_as_their_draws(augmentation, least, pictures, context):
    """80 copies: with one draw for the batch there would be one result."""
    same = normalised(pictures[:1].expand(COUNT, -1, -1, -1))
    result = augmentation.bind(context(uniform(columns_of(augmentation))))(same).image
    assert len({tuple(one.flatten().tolist()) for one in result}) >= least


@pytest.mark.parametrize("augmentation", ALL, ids=str)
def test_a_sample_comes_out_the_same_alone_in_a_batch_and_by_masks(
    augmentation, pictures, context, monkeypatch
):
    table, batch = context(uniform(columns_of(augmentation))), normalised(pictures)
    whole = augmentation.bind(table)(batch).image
    step = augmentation.bind(table)
    for place in (0, 7, 75):
        one = Batch({"image": batch.image[[place]]}, batch.target[[place]], batch.ids[[place]])
        assert torch.equal(step(one).image, whole[[place]])
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    mixed = Batch({"image": batch.image[order]}, batch.target[order], batch.ids[order])
    assert torch.equal(step(mixed).image, whole[order])
    monkeypatch.setattr("harness_plugins.augmentations.grouping.gathers", lambda device: False)
    assert torch.equal(augmentation.bind(table)(batch).image, whole)


def chosen(augmentation, module, monkeypatch, samples=20_000):
    """Return what a policy chose for each sample of an epoch, layer by layer, by the keyed draws of a real trial."""
    seen = []

    def layer(device, interpolation, fill):
        def note(image, operation, magnitude):
            seen.append((operation, magnitude))
            return image

        return note

    monkeypatch.setattr(module, "operation_layer", layer)
    draws = Draws(Keys(5, 0), samples, 1, CPU, Moment())
    statistics = torch.full((1,), 0.5)
    ctx = SimpleNamespace(device=CPU, draws=draws.per_sample, image_mean=statistics, image_std=statistics)
    step = augmentation.bind(ctx)
    draws.begin_epoch(0)
    step(Batch({"image": torch.zeros(samples, 1, 1, 1)}, torch.zeros(samples), torch.arange(samples)))
    return seen


def unlikely(operations, expected):
    """Chi-square of counts of operations against probabilities by name; whether its p-value is below 0.001."""
    assert abs(sum(expected.values()) - 1) < 1e-9
    counts = Counter(OPERATIONS[number] for number in operations.tolist())
    assert set(counts) <= {name for name, chance in expected.items() if chance}
    names = [name for name, chance in expected.items() if chance]
    total = len(operations)
    return chisquare([counts[n] for n in names], [expected[n] * total for n in names]).pvalue < 1e-3


def test_rand_augment_draws_its_fourteen_operations_alike_in_each_place(monkeypatch):
    seen = chosen(RandAugment(), rand_augment, monkeypatch)
    assert len(seen) == 2
    expected = {name: 1 / 14 for name in OPERATIONS if name != "invert"}
    for operation, magnitude in seen:
        assert not unlikely(operation, expected)
        turned = magnitude[operation == OPERATIONS.index("rotate")]
        assert set(turned.tolist()) == {-9.0, 9.0}  # 9 of 30 steps to 30 degrees
        assert chisquare(torch.bincount((turned > 0).long())).pvalue > 1e-3
    pairs = seen[0][0] * len(OPERATIONS) + seen[1][0]
    independent = torch.bincount(pairs)[torch.bincount(pairs) > 0]
    assert len(independent) == 14 * 14
    assert chisquare(independent).pvalue > 1e-3


def test_trivial_augment_draws_operations_and_strengths_alike(monkeypatch):
    ((operation, magnitude),) = chosen(TrivialAugment(), trivial_augment, monkeypatch)
    assert not unlikely(operation, {name: 1 / 14 for name in OPERATIONS if name != "invert"})
    solarized = magnitude[operation == OPERATIONS.index("solarize")]
    values, counts = solarized.unique(return_counts=True)
    assert torch.allclose(values, torch.linspace(0, 255, 31), atol=1e-3)
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("policy", POLICIES)
def test_auto_augment_draws_operations_by_the_policys_probabilities(policy, monkeypatch):
    seen = chosen(AutoAugment(policy), auto_augment, monkeypatch)
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy(policy))._policies
    by_key = {name.replace("-", ""): name for name in OPERATIONS}
    for place, (operation, _) in enumerate(seen):
        expected = Counter({"identity": 0.0})
        for pair in theirs:
            name, chance, _ = pair[place]
            expected[by_key[name.lower()]] += chance / 25
            expected["identity"] += (1 - chance) / 25
        assert not unlikely(operation, expected)


def test_aug_mix_draws_chains_of_one_two_or_three_operations_alike(monkeypatch):
    seen = chosen(AugMix(), aug_mix, monkeypatch)
    every_part = [torch.cat([operation for operation, _ in seen[place::3]]) for place in range(3)]
    for place, operation in enumerate(every_part):
        reached = (3 - place) / 3
        expected = {"identity": 1 - reached, **dict.fromkeys(aug_mix.DRAWN, reached / 9)}
        assert not unlikely(operation, expected)


def test_the_weights_of_chains_are_those_of_a_dirichlet(context, monkeypatch):
    """Three chains that give 1, 0 and 0 (levels 255, 0, 0) show a weight: m w of Beta(1, 1) and Dirichlet(1, 1, 1)."""
    monkeypatch.setattr(
        aug_mix, "operation_layer", lambda *_: lambda image, operation, magnitude: only_first(image)
    )

    def only_first(image):
        count = len(image) // 3
        return torch.cat([torch.full_like(image[:count], 255.0), torch.zeros_like(image[count:])])

    samples = 20_000
    draws = torch.rand(samples, 34, generator=torch.Generator().manual_seed(2))
    black = Batch(
        {"image": torch.full((samples, 1, 1, 1), -2.0)}, torch.zeros(samples), torch.arange(samples)
    )
    weight = levels(AugMix().bind(context(draws))(black)).flatten().double() / 255
    # E[m w] = 1/2 * 1/3; E[(m w)^2] = E[m^2] E[w^2] = 1/3 * 1/6, as Dirichlet(1, 1, 1) has Beta(1, 2) margins.
    assert abs(weight.mean() - 1 / 6) < 0.005
    assert abs((weight**2).mean() - 1 / 18) < 0.003


def test_a_part_of_the_strength_of_rand_augment_is_a_part_of_its_magnitude():
    assert RandAugment(magnitude=20).at(0.5) == RandAugment(magnitude=10)
    assert RandAugment().at(1.0) == RandAugment()
    assert RandAugment().at(0.0).bind(SimpleNamespace()) is None
    assert TrivialAugment().at(0.25) == TrivialAugment(probability=0.25)


def test_a_factor_of_eight_fifths_is_no_less(context):
    """By hand: at magnitude 20 of 30 brightness is 1 + 0.9 * 20 / 30 = 1.6, and 1.6 * 100 = 160, not 159."""
    brightness, brighter = (DRAWN.index("brightness") + 0.5) / 14, 0.9
    draws = torch.tensor([[0.0, brightness, brighter]])
    image = torch.full((1, 1, 1, 1), (100 - 127.5) / 63.75)
    batch = Batch({"image": image}, torch.zeros(1), torch.arange(1))
    result = RandAugment(1, 20).bind(context(draws))(batch)
    assert levels(result).round().item() == 160


def test_a_magnitude_that_is_no_bin_is_refused():
    with pytest.raises(ValueError, match="magnitude is 10; with bins = 10 it is at most 9"):
        RandAugment(magnitude=10, bins=10)


def test_samples_that_are_not_drawn_stay_bit_for_bit(pictures, context):
    batch, draws = normalised(pictures), uniform(4)
    result = TrivialAugment(0.4).bind(context(draws))(batch).image
    assert torch.equal(result[draws[:, 0] >= 0.4], batch.image[draws[:, 0] >= 0.4])
    assert (result != batch.image).flatten(1).any(1)[draws[:, 0] < 0.4].float().mean() > 0.7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("augmentation", [RandAugment(), AugMix()], ids=str)
def test_images_in_half_precision_come_out_as_such(augmentation, dtype, pictures, context):
    batch = normalised(pictures[:20])
    result = augmentation.bind(context(uniform(columns_of(augmentation))))(
        batch.with_image(batch.image.to(dtype))
    )
    assert result.image.dtype == dtype
    assert result.image.isfinite().all()

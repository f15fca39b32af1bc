"""`progressive` and `class-aware` against what the augmentation that they wrap does by itself."""

import zlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.contract import Augmentation, Batch
from harness_plugins.augmentations.class_aware import ClassAware
from harness_plugins.augmentations.cutmix import CutMix
from harness_plugins.augmentations.cutout import Cutout
from harness_plugins.augmentations.horizontal_flip import HorizontalFlip
from harness_plugins.augmentations.mixup import Mixup
from harness_plugins.augmentations.progressive import Progressive
from harness_plugins.augmentations.ricap import Ricap
from harness_plugins.augmentations.rotation import Rotation
from harness_plugins.augmentations.torchvision_transform import TorchvisionTransform
from harness_plugins.augmentations.translate import Translate

CLASSES, SAMPLES = 5, 400


class NamedContext:
    """Gives each name of draws a table of its own, keyed by the name alone, as the harness does."""

    num_classes = CLASSES
    device = torch.device("cpu")

    def __init__(self, progress: float = 0.0) -> None:
        self.progress = progress
        self.asked: list[str] = []

    def draws(self, name: str, n: int) -> Callable[[Tensor], Tensor]:
        self.asked.append(name)
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        table = torch.rand(SAMPLES, n, generator=generator)
        return lambda ids: table[ids]


def many() -> Batch:
    generator = torch.Generator().manual_seed(5)
    target = torch.randint(0, CLASSES, (SAMPLES,), generator=generator)
    return Batch(
        {"image": torch.randn(SAMPLES, 3, 8, 10, generator=generator)}, target, torch.randperm(SAMPLES)
    )


def made_by(augmentation: Augmentation, batch: Batch, progress: float = 0.0) -> Batch:
    step = augmentation.bind(NamedContext(progress))
    return batch if step is None else step(batch)


def assert_same(one: Batch, other: Batch) -> None:
    assert torch.equal(one.image, other.image)
    assert torch.equal(one.target, other.target)


STRENGTHS = {
    "linear": (Progressive(Mixup()), [(0.0, 0.0), (0.25, 0.25), (0.9, 0.9)]),
    # a quarter of the way from 0.2 to 0.6 is 0.3
    "window": (Progressive(Mixup(), start=0.2, end=0.6), [(0.1, 0.0), (0.3, 0.25), (0.6, 1.0), (0.9, 1.0)]),
    # from (0.5, 1) to (1, 0.2): at 0.75 half of the way, 0.6
    "curve": (
        Progressive(Mixup(), curve=((0.0, 0.0), (0.5, 1.0), (1.0, 0.2))),
        [(0.25, 0.5), (0.5, 1.0), (0.75, 0.6), (0.999999, 0.2)],
    ),
    # constant outside of its points
    "short": (Progressive(Mixup(), curve=((0.4, 0.5), (0.6, 0.7))), [(0.0, 0.5), (0.5, 0.6), (0.8, 0.7)]),
    "one point": (Progressive(Mixup(), curve=((0.3, 0.4),)), [(0.0, 0.4), (0.3, 0.4), (0.9, 0.4)]),
}


@pytest.mark.parametrize("case", STRENGTHS)
def test_the_strength_is_the_curve_worked_by_hand(case):
    augmentation, points = STRENGTHS[case]
    for progress, strength in points:
        assert augmentation.strength_at(progress) == pytest.approx(strength, abs=1e-5), progress


GROWING = {
    "mixup": (Mixup(alpha=0.8), lambda share: Mixup(alpha=0.8 * share)),
    "cutout": (Cutout(size=8), lambda share: Cutout(size=round(8 * share))),
    "flip": (HorizontalFlip(0.9), lambda share: HorizontalFlip(0.9 * share)),
    "rotation": (Rotation(degrees=30.0), lambda share: Rotation(degrees=30.0 * share)),
    "translate": (Translate(pixels=4), lambda share: Translate(pixels=round(4 * share))),
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize(("progress", "share"), [(0.3, 0.25), (0.5, 0.5), (0.7, 0.75), (0.9, 1.0)])
def test_each_level_is_the_augmentation_with_its_parameters_at_that_part(name, progress, share):
    """With 4 levels the strength 0.3 is level 1.2, which is 1 of 4."""
    of, weaker = GROWING[name]
    batch = many()
    assert_same(made_by(Progressive(of, levels=4), batch, progress), made_by(weaker(share), batch))


@pytest.mark.parametrize("name", GROWING)
def test_nothing_is_done_at_the_start_and_draws_are_asked_for_when_it_is_bound(name):
    of, _ = GROWING[name]
    ctx, batch = NamedContext(), many()
    step = Progressive(of).bind(ctx)
    asked = list(ctx.asked)
    alone = NamedContext()
    of.bind(alone)
    assert set(asked) == set(alone.asked), "the draws of every level are those of the augmentation itself"
    assert step(batch) is batch
    ctx.progress = 0.8
    assert not torch.equal(step(batch).image, batch.image)
    assert ctx.asked == asked


def test_who_is_mirrored_at_a_low_level_is_mirrored_at_a_higher_one_too():
    batch, before = many(), torch.zeros(SAMPLES, dtype=torch.bool)
    for progress in (0.1, 0.35, 0.6, 0.99):
        image = made_by(Progressive(HorizontalFlip(1.0)), batch, progress).image
        mirrored = (image != batch.image).flatten(1).any(1)
        assert not bool((before & ~mirrored).any())
        assert mirrored.float().mean() == pytest.approx(round(progress * 10) / 10, abs=0.08)
        before = mirrored


@pytest.mark.parametrize("of", [Mixup(1.0), CutMix(1.0), Ricap()], ids=lambda of: type(of).__name__)
@pytest.mark.parametrize("dense", [False, True])
def test_by_probability_a_sample_has_either_what_is_made_of_it_or_its_own_image_and_target(of, dense):
    batch = many()
    batch = batch.with_target(batch.dense_target(CLASSES)) if dense else batch
    made, whole = made_by(Progressive(of, grows="probability"), batch, 0.3), made_by(of, batch)
    one_hot = batch.dense_target(CLASSES)
    reached = 0
    for i in range(SAMPLES):
        if torch.equal(made.image[i], batch.image[i]):
            assert torch.equal(made.target[i], one_hot[i])
        else:
            reached += 1
            assert torch.equal(made.image[i], whole.image[i])
            assert torch.equal(made.target[i], whole.target[i])
    assert reached / SAMPLES == pytest.approx(0.3, abs=0.07)
    assert torch.equal(batch.image, many().image)


def test_by_probability_it_does_nothing_at_0_and_is_the_augmentation_itself_at_1():
    batch, growing = many(), Progressive(Ricap(), grows="probability", start=0.2, end=0.5)
    assert made_by(growing, batch, 0.1) is batch
    assert_same(made_by(growing, batch, 0.7), made_by(Ricap(), batch))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"of": Ricap()}, 'grows: "strength" needs .*Ricap.*use "probability"'),
        ({"of": TorchvisionTransform("RandAugment")}, 'grows: "strength".*use "probability"'),
        ({"of": ClassAware(Ricap(), (1.0,) * 5)}, 'grows: "strength".*Ricap'),
        ({"of": Mixup(), "start": 0.5, "end": 0.5}, "start: 0.5 must be before end"),
        ({"of": Mixup(), "curve": ((0.5, 0.0), (0.5, 1.0))}, "curve: .*must rise"),
    ],
)
def test_what_cannot_grow_is_refused_by_its_key(settings, told):
    with pytest.raises(ValueError, match=told):
        Progressive(**settings)


def test_wrappers_within_each_other_draw_apart_and_the_curve_can_be_scaled():
    inner = Progressive(ClassAware(Mixup(1.0), (0.5,) * 5), grows="probability")
    ctx = NamedContext(0.5)
    Progressive(inner, grows="probability").bind(ctx)
    assert len(set(ctx.asked)) == len(ctx.asked) == 4
    assert Progressive(Mixup(), curve=((0.0, 0.2), (1.0, 1.0))).at(0.5).curve == ((0.0, 0.1), (1.0, 0.5))
    assert ClassAware(Mixup(0.8), (1.0,) * 5).at(0.5).of == Mixup(0.4)


def test_each_class_is_augmented_with_its_own_probability():
    chances = (0.0, 0.1, 0.5, 0.9, 1.0)
    batch = many()
    made = made_by(ClassAware(HorizontalFlip(1.0), chances), batch).image
    mirrored = torch.tensor([not torch.equal(a, b) for a, b in zip(made, batch.image, strict=True)])
    for label, chance in enumerate(chances):
        of_class = batch.target == label
        # 80 samples of a class: a standard error of 0.056 at the most
        assert float(mirrored[of_class].float().mean()) == pytest.approx(chance, abs=0.17 * (0 < chance < 1))
    assert torch.equal(made[mirrored], batch.image[mirrored].flip(-1))


@pytest.mark.parametrize("of", [Mixup(1.0), CutMix(1.0), Ricap()], ids=lambda of: type(of).__name__)
def test_a_sample_that_mixing_leaves_out_keeps_its_own_image_and_target(of):
    batch, chances = many(), (0.0, 1.0, 0.0, 1.0, 0.0)
    made, whole = made_by(ClassAware(of, chances), batch), made_by(of, batch)
    left = (batch.target % 2) == 0
    assert torch.equal(made.image[left], batch.image[left])
    assert torch.equal(made.target[left], batch.dense_target(CLASSES)[left])
    assert torch.equal(made.image[~left], whole.image[~left])
    assert torch.equal(made.target[~left], whole.target[~left])


def test_a_mixed_target_has_the_mean_of_its_classes_probabilities():
    """0.25 of class 0 and 0.75 of class 1 have 0.25 * 1 + 0.75 * 0.2 = 0.4."""
    batch = many()
    mixed = batch.with_target(torch.tensor([[0.25, 0.75, 0, 0, 0]]).expand(SAMPLES, -1))
    made = made_by(ClassAware(HorizontalFlip(1.0), (1.0, 0.2, 0.0, 0.0, 0.0)), mixed)
    reached = (made.image != batch.image).flatten(1).any(1).float().mean()
    assert float(reached) == pytest.approx(0.4, abs=0.08)


def test_a_table_names_some_classes_and_default_the_others():
    some = ClassAware(Mixup(), default=0.5, classes={"0": 1.0, "3": 0.25})
    assert some.by_class(5) == [1.0, 0.5, 0.5, 0.25, 0.5]
    assert ClassAware(Mixup(), default=0.0).bind(NamedContext()) is None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"probabilities": (0.5, 0.5)}, "probabilities: has 2 numbers, and the data 5 classes"),
        ({"default": 0.1, "classes": {"5": 0.5}}, "classes: there is no class 5: the data has 5"),
        (
            {"default": 0.1, "classes": {"cat": 0.5}},
            'classes: a class is named by its number from 0, not "cat"',
        ),
        ({}, "probabilities: is missing"),
        ({"classes": {"1": 0.5}}, "probabilities: is missing"),
        ({"probabilities": (0.5,) * 5, "default": 0.5}, "probabilities: has one for each class"),
        ({"probabilities": (0.5,) * 5, "classes": {"1": 0.5}}, "probabilities: has one for each class"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused_by_their_key(settings, told):
    with pytest.raises(ValueError, match=told):
        ClassAware(Mixup(), **settings).bind(NamedContext())


def test_in_the_loader_uint8_stays_uint8_and_a_change_of_size_is_refused():
    batch = Batch(
        {"image": torch.zeros(2, 1, 4, 4, dtype=torch.uint8)}, torch.tensor([0, 1]), torch.arange(2)
    )

    class White(Augmentation):
        def __init__(self, size: int) -> None:
            self.size = size

        def bind(self, ctx: object) -> Callable[[Batch], Batch]:
            del ctx
            return lambda batch: batch.with_image(torch.full((2, 1, self.size, 4), 255, dtype=torch.uint8))

    made = made_by(ClassAware(White(4), (0.0, 1.0, 0.0, 0.0, 0.0)), batch)
    assert made.image.dtype == torch.uint8
    assert made.image.flatten(1).float().mean(1).tolist() == [0, 255]
    assert made.target is batch.target
    with pytest.raises(ValueError, match=r"of: it makes image \(1, 6, 4\) of \(1, 4, 4\)"):
        made_by(ClassAware(White(6), (0.0, 1.0, 0.0, 0.0, 0.0)), batch)


def test_channels_last_images_give_the_same_values_in_their_layout():
    batch = many()
    last = batch.with_image(batch.image.contiguous(memory_format=torch.channels_last))
    for augmentation in (ClassAware(Mixup(1.0), (0.5,) * 5), Progressive(Mixup(1.0), grows="probability")):
        made = made_by(augmentation, last, 0.5)
        assert torch.equal(made.image, made_by(augmentation, batch, 0.5).image)
        assert made.image.is_contiguous(memory_format=torch.channels_last)

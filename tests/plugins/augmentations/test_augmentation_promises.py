"""What every first-party augmentation promises, over all of them at once."""

import dataclasses

import pytest
import torch

from harness.contract import Batch, Stage
from harness_plugins.augmentations.affine import Affine
from harness_plugins.augmentations.aug_mix import AugMix
from harness_plugins.augmentations.auto_augment import AutoAugment
from harness_plugins.augmentations.color_jitter import ColorJitter
from harness_plugins.augmentations.cutmix import CutMix
from harness_plugins.augmentations.cutout import Cutout
from harness_plugins.augmentations.gaussian_blur import GaussianBlur
from harness_plugins.augmentations.grayscale import Grayscale
from harness_plugins.augmentations.horizontal_flip import HorizontalFlip
from harness_plugins.augmentations.mixup import Mixup
from harness_plugins.augmentations.padded_crop import PaddedCrop
from harness_plugins.augmentations.rand_augment import RandAugment
from harness_plugins.augmentations.random_erasing import RandomErasing
from harness_plugins.augmentations.resized_crop import ResizedCrop
from harness_plugins.augmentations.ricap import Ricap
from harness_plugins.augmentations.rotation import Rotation
from harness_plugins.augmentations.translate import Translate
from harness_plugins.augmentations.trivial_augment import TrivialAugment
from harness_plugins.augmentations.vertical_flip import VerticalFlip

GEOMETRIC = [
    (HorizontalFlip(), 1),
    (PaddedCrop(), 2),
    (PaddedCrop(padding=3, mode="zeros"), 2),
    (Translate(), 2),
    (VerticalFlip(), 1),
    (Rotation(), 1),
    (Affine(shear=10.0), 5),
    (ResizedCrop(), 4),
    (Cutout(size=3), 2),
    (RandomErasing(), 23),
]
PHOTOMETRIC = [
    (ColorJitter(), 5),
    (Grayscale(0.5), 1),
    (GaussianBlur(), 2),
    (AutoAugment(), 6),
    (RandAugment(), 5),
    (TrivialAugment(0.8), 4),
    (AugMix(), 34),
]
OF_ONE_SAMPLE = GEOMETRIC + PHOTOMETRIC
MIXING = [(Mixup(), 2), (CutMix(), 4), (Ricap(), 13)]
ALL = OF_ONE_SAMPLE + MIXING

identified = pytest.mark.parametrize(
    ("augmentation", "draws"),
    ALL,
    ids=[type(each).__name__ + str(index) for index, (each, _) in enumerate(ALL)],
)


@identified
def test_the_input_is_not_written_to_and_shape_and_type_stay(augmentation, draws, batch, context, table):
    image, target = batch.image.clone(), batch.target.clone()
    result = augmentation.bind(context(table(draws)))(batch)
    assert torch.equal(batch.image, image)
    assert torch.equal(batch.target, target)
    assert result.image.shape == image.shape
    assert result.image.dtype == image.dtype
    assert not torch.equal(result.image, image)
    assert torch.equal(result.ids, batch.ids)


@identified
def test_at_its_declared_identity_there_is_nothing_to_call(augmentation, draws, context, table):
    if augmentation.identity is None:
        assert isinstance(augmentation, Ricap)  # no boundary leaves a batch as it was
        return
    at_identity = dataclasses.replace(augmentation, **augmentation.identity)
    assert at_identity.bind(context(table(draws))) is None


@identified
def test_draws_are_asked_for_when_it_is_bound_and_never_in_a_step(augmentation, draws, batch, context, table):
    fixed = context(table(draws))
    step = augmentation.bind(fixed)
    asked = list(fixed.asked)
    assert len(asked) == 1
    torch.manual_seed(1)
    first = step(batch)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = step(batch)
    assert fixed.asked == asked
    assert torch.equal(first.image, second.image)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("augmentation", "draws"), OF_ONE_SAMPLE)
def test_equal_images_get_different_results_because_each_has_its_own_draw(
    augmentation, draws, batch, context, table
):
    same = batch.with_image(batch.image[:1].expand(16, -1, -1, -1))
    result = augmentation.bind(context(table(draws)))(same).image
    assert len({tuple(one.flatten().tolist()) for one in result}) > 1


@pytest.mark.parametrize(("augmentation", "draws"), OF_ONE_SAMPLE)
def test_a_sample_gets_the_same_result_in_whatever_batch_it_is(augmentation, draws, batch, context, table):
    step = augmentation.bind(context(table(draws)))
    whole = step(batch).image
    part = Batch({"image": batch.image[[9, 2]]}, batch.target[[9, 2]], batch.ids[[9, 2]])
    assert torch.equal(step(part).image, whole[[9, 2]])


@pytest.mark.parametrize(("augmentation", "draws"), OF_ONE_SAMPLE)
@pytest.mark.parametrize("dense", [False, True])
def test_targets_are_left_alone_unless_it_mixes(augmentation, draws, dense, batch, context, table):
    batch = batch.with_target(batch.dense_target(5)) if dense else batch
    assert augmentation.bind(context(table(draws)))(batch).target is batch.target


@pytest.mark.parametrize(("augmentation", "draws"), MIXING)
def test_dense_targets_of_any_kind_give_the_same_as_class_indices(augmentation, draws, batch, context, table):
    step = augmentation.bind(context(table(draws)))
    from_indices = step(batch)
    from_dense = step(batch.with_target(batch.dense_target(5)))
    assert from_indices.target.dtype == torch.float32
    assert torch.equal(from_indices.target, from_dense.target)
    assert torch.allclose(from_indices.target.sum(1), torch.ones(16), atol=1e-6)


def test_stages_stand_in_the_order_where_then_what_then_mixed():
    assert [each.stage for each, _ in ALL] == [Stage.GEOMETRY] * 8 + [Stage.CONTENT] * 9 + [Stage.MIX] * 3


@pytest.mark.parametrize(("augmentation", "draws"), ALL)
def test_the_memory_format_of_channels_last_images_changes_no_value(
    augmentation, draws, batch, context, table
):
    step = augmentation.bind(context(table(draws)))
    last = batch.with_image(batch.image.contiguous(memory_format=torch.channels_last))
    assert torch.equal(step(last).image, step(batch).image)


@pytest.mark.parametrize(("augmentation", "draws"), ALL)
def test_a_batch_of_one_grey_image_works(augmentation, draws, context, table):
    one = Batch({"image": torch.randn(1, 1, 9, 9)}, torch.tensor([2]), torch.tensor([4]))
    assert augmentation.bind(context(table(draws)))(one).image.shape == (1, 1, 9, 9)

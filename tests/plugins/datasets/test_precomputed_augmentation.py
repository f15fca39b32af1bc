"""Versions made ahead: each a function of seed, copy and row; what they are held against is worked by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from harness.contract import (
    Augmentation,
    Batch,
    Context,
    DamagedImage,
    Dataset,
    Images,
    Prepared,
    Split,
    Stage,
)
from harness.registry.discovery import discover
from harness_plugins.augmentations.cutout import Cutout
from harness_plugins.augmentations.horizontal_flip import HorizontalFlip
from harness_plugins.augmentations.mixup import Mixup
from harness_plugins.augmentations.padded_crop import PaddedCrop
from harness_plugins.datasets.precomputed_augmentation import PrecomputedAugmentation

GENERATOR = np.random.default_rng(3)
TRAIN = GENERATOR.integers(0, 256, (30, 3, 6, 6), dtype=np.uint8)
TEST = GENERATOR.integers(0, 256, (6, 3, 6, 6), dtype=np.uint8)
LABELS = np.arange(30) % 3


class Encoded(Images):
    """Decoded as they are read; row 7 may be torn."""

    def __init__(self, torn: bool = False) -> None:
        self.skip_damaged = self.torn = torn

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (30, 3, 6, 6)

    def read(self, rows: np.ndarray) -> np.ndarray:
        if self.torn and 7 in rows:
            raise DamagedImage(7, "7.png: torn")
        return TRAIN[rows]


@dataclass(frozen=True)
class Toy(Dataset):
    form: str = "array"
    sources: bool = False

    licence = "made up"
    changes_label = frozenset({"rotation"})

    def prepare(self, root: Path | None) -> Prepared:
        image = TRAIN if self.form == "array" else Encoded(self.form == "torn")
        sources = np.arange(30) // 3 if self.sources else None
        test = Split({"image": TEST}, np.arange(6) % 3)
        return Prepared(Split({"image": image}, LABELS, sources), test, ("a", "b", "c"), ("one was damaged",))


def made(augmentation: Augmentation, of: Dataset | None = None, copies: int = 2, seed: int = 0) -> Images:
    dataset = PrecomputedAugmentation(of=of or Toy(), augmentation=augmentation, copies=copies, seed=seed)
    images = dataset.prepare(None).train.inputs["image"]
    assert isinstance(images, Images)
    return images


def versions(*args, **params) -> np.ndarray:
    """Return (copies + 1, 30, 3, 6, 6)."""
    return np.asarray(made(*args, **params)).reshape(-1, 30, 3, 6, 6)


@dataclass(frozen=True)
class Probe(Augmentation):
    """Calls what it is given with the context and the batch, and keeps what came back."""

    does: Callable[[Context, Batch], object]
    kept: list[object]
    where: str = "device"

    @property
    def placement(self) -> str:  # type: ignore[override]
        return self.where

    def bind(self, ctx: Context) -> Callable[[Batch], Batch]:
        def probe(batch: Batch) -> Batch:
            found = self.does(ctx, batch)
            self.kept.append(found)
            return found if isinstance(found, Batch) else batch

        return probe


def test_the_images_come_first_as_they_are_then_each_copy_and_sources_say_which_is_which():
    dataset = PrecomputedAugmentation(of=Toy(), augmentation=HorizontalFlip(probability=1.0), copies=2)
    prepared = dataset.prepare(None)
    train = prepared.train
    mirrored = TRAIN[..., ::-1]
    assert np.array_equal(np.asarray(train.inputs["image"]), np.concatenate([TRAIN, mirrored, mirrored]))
    assert np.array_equal(train.labels, np.concatenate([LABELS] * 3))
    assert train.sources.tolist() == [*range(30)] * 3
    assert np.array_equal(prepared.test.inputs["image"], TEST)
    assert (prepared.classes, prepared.skipped) == (("a", "b", "c"), ("one was damaged",))
    assert (dataset.licence, dataset.changes_label) == ("made up", {"rotation"})
    assert prepared.train.inputs["image"].decode_once


def test_versions_of_versions_are_of_the_first_image():
    dataset = PrecomputedAugmentation(of=Toy(sources=True), augmentation=HorizontalFlip(), copies=1)
    assert dataset.prepare(None).train.sources.tolist() == [row // 3 for row in range(30)] * 2


def test_a_copy_of_every_image_has_a_draw_of_its_own():
    """Thirty equal images: flips at one half come out 30 times two ways, not all one way."""
    found = versions(HorizontalFlip(probability=0.5), copies=4)
    mirrored = (found[1:] == TRAIN[..., ::-1]).all((2, 3, 4))
    plain = (found[1:] == TRAIN).all((2, 3, 4))
    assert np.array_equal(mirrored, ~plain)
    assert all(5 < count < 25 for count in mirrored.sum(1))
    assert len({tuple(copy) for copy in mirrored.tolist()}) == 4


def test_a_version_depends_on_seed_copy_and_row_alone():
    images = made(PaddedCrop(padding=2), copies=3)
    whole = np.asarray(images)
    order = np.random.default_rng(0).permutation(120)
    for rows in (order[:7], order[7:8], order[8:]):
        assert np.array_equal(images.read(rows), whole[rows])
    assert np.array_equal(np.asarray(made(PaddedCrop(padding=2), copies=3)), whole)
    assert np.array_equal(np.asarray(made(PaddedCrop(padding=2), of=Toy("encoded"), copies=3)), whole)
    # more copies leave those of before as they are
    assert np.array_equal(versions(PaddedCrop(padding=2), copies=5)[:4], whole.reshape(4, 30, 3, 6, 6))
    assert not np.array_equal(np.asarray(made(PaddedCrop(padding=2), copies=3, seed=1)), whole)


def test_on_the_device_means_normalised_as_scikit_learn_does_and_back_without_a_loss():
    seen: list[torch.Tensor] = []
    found = versions(Probe(lambda ctx, batch: seen.append(batch.image), []), copies=1)
    scaled = StandardScaler().fit_transform(TRAIN.transpose(0, 2, 3, 1).reshape(-1, 3).astype(np.float64))
    expected = scaled.reshape(30, 6, 6, 3).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(torch.cat(seen).numpy(), expected, atol=1e-5)
    assert np.array_equal(found[1], TRAIN)


def test_a_hole_is_the_mean_of_the_images():
    (hole,) = {
        tuple(pixel) for pixel in versions(Cutout(size=12), copies=1)[1].transpose(0, 2, 3, 1).reshape(-1, 3)
    }
    assert hole == tuple(np.rint(TRAIN.mean((0, 2, 3))).astype(int))


def test_in_the_loader_means_uint8_and_torchs_global_generator_is_keyed_and_put_back():
    def noisy(ctx: Context, batch: Batch) -> Batch:
        assert batch.image.dtype == torch.uint8
        return batch.with_image(torch.randint(0, 256, batch.image.shape, dtype=torch.uint8))

    torch.manual_seed(5)
    before = torch.default_generator.get_state()
    found = versions(Probe(noisy, [], "loader"), copies=2)
    assert torch.equal(torch.default_generator.get_state(), before)
    torch.manual_seed(6)
    assert np.array_equal(versions(Probe(noisy, [], "loader"), copies=2), found)
    assert len(np.unique(found.reshape(-1, 108), axis=0)) == 90


def test_a_transform_of_torchvision_works_too():
    registry = discover(allow="first-party")
    table = {
        "name": "precomputed-augmentation",
        "of": "digits",
        "copies": 1,
        "augmentation": {"name": "torchvision:RandomVerticalFlip", "options": {"p": 1.0}},
    }
    normal, problems = registry.validate("dataset", table, "dataset")
    assert problems == []
    train = registry.build("dataset", normal).prepare(None).train
    rows = np.array([0, 5, 1258, 1263])
    first, second, *flipped = train.inputs["image"].read(rows)
    assert np.array_equal(flipped, [first[:, ::-1], second[:, ::-1]])


def test_the_context_is_that_of_a_training_without_a_model():
    seen: list[tuple[object, ...]] = []

    def look(ctx: Context, batch: Batch) -> None:
        ids = batch.ids
        seen.append((ctx.step, ctx.epoch, ctx.progress, ids.item(), batch.target.item()))
        draws, trial = ctx.draws("d", 4)(ids), ctx.draws("d", 4, per="trial")(ids)
        steps, (number,) = ctx.step_draws("d", 4)(), ctx.sample_seeds("d")(ids)
        numbers.append((draws, trial, steps[None], torch.tensor([[number / 2**63]])))

    numbers: list[tuple[torch.Tensor, ...]] = []
    probe = Probe(look, [])
    ctx = PrecomputedAugmentation(of=Toy(), augmentation=probe, copies=2).prepare(None)
    ctx.train.inputs["image"].read(np.arange(30, 90))
    assert seen == [(c, c, c / 2, row, row % 3) for c in (0, 1) for row in range(30)]
    draws, trial, steps, seeds = (torch.cat(kind) for kind in zip(*numbers, strict=True))
    assert torch.equal(trial[:30], trial[30:])
    for kind, count in ((draws, 240), (trial[:30], 120), (steps, 240), (seeds, 60)):
        assert len(torch.unique(kind)) == count
        assert kind.min() >= 0 and kind.max() < 1
        assert abs(kind.mean() - 0.5) < 4 * (1 / 12 / count) ** 0.5
    assert len(torch.unique(torch.cat([draws.flatten(), steps.flatten(), trial[:30].flatten()]))) == 600


@pytest.mark.parametrize(
    ("does", "message"),
    [
        (lambda ctx, batch: ctx.blocks, "no model where versions are made ahead"),
        (lambda ctx, batch: ctx.forward(batch), "no model where versions are made ahead"),
        (lambda ctx, batch: ctx.training_batches(1), "1 training batches asked for"),
        (lambda ctx, batch: batch.with_image(batch.image[..., 1:]), "versions keep the images' size"),
        (lambda ctx, batch: batch.with_target(batch.target + 1), "changes the target"),
    ],
)
def test_what_cannot_be_made_ahead_is_refused_with_the_reason(does, message):
    with pytest.raises(ValueError, match=message):
        versions(Probe(does, []), copies=1)


@dataclass(frozen=True)
class Around(Augmentation):
    """One that wraps another: its stage and placement are the other's."""

    of: Augmentation

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        return self.of.bind(ctx)


def test_a_mix_is_refused_at_load_and_within_another_as_well():
    table = {"name": "precomputed-augmentation", "of": "digits", "augmentation": "mixup"}
    _, (problem,) = discover(allow="first-party").validate("dataset", table, "dataset")
    assert problem.path == "dataset"
    assert "Mixup is of stage MIX: it mixes the samples of a batch and their targets" in problem.message
    assert Around(of=Mixup()).stage is not Stage.MIX
    with pytest.raises(ValueError, match="is of stage MIX"):
        PrecomputedAugmentation(of=Toy(), augmentation=Around(of=Mixup()))


def test_an_augmentation_around_another_runs_where_that_one_does():
    def invert(ctx: Context, batch: Batch) -> Batch:
        return batch.with_image(255 - batch.image)

    assert np.array_equal(versions(Around(of=Probe(invert, [], "loader")), copies=1)[1], 255 - TRAIN)


def test_a_damaged_image_is_damaged_in_every_version():
    images = made(HorizontalFlip(), of=Toy("torn"), copies=2)
    assert images.skip_damaged
    for row in (7, 37, 67):
        with pytest.raises(DamagedImage, match=r"7\.png") as caught:
            images.read(np.array([3, row]))
        assert caught.value.row == row


def test_the_docstring_says_what_an_epoch_is():
    text = " ".join((PrecomputedAugmentation.__doc__ or "").split())
    assert "a budget in epochs gives it `copies` + 1 times as many steps" in text

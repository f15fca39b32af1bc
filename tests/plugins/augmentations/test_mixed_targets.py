"""Targets that mixing and smoothing make, against shares that are counted in the mixed images themselves.

Every image is one in the channel of its own number and zero elsewhere, so that after any mixing the mean of a
channel is the share of that sample in what came out.
"""

import itertools
from collections.abc import Callable

import pytest
import torch

from harness.contract import Augmentation, Batch
from harness.registry.discovery import discover
from harness.suite.recipe import incompatible
from harness_plugins.augmentations.cutmix import CutMix
from harness_plugins.augmentations.mixup import Mixup
from harness_plugins.augmentations.ricap import Ricap
from harness_plugins.tricks.label_smoothing import LabelSmoothing

SAMPLES, CLASSES, HEIGHT, WIDTH = 24, 5, 12, 9
MIXERS: dict[str, tuple[Augmentation, int]] = {
    "mixup": (Mixup(alpha=1.0), 2),
    "cutmix": (CutMix(alpha=1.0), 4),
    "ricap": (Ricap(beta=0.8), 13),
}
BY_AREA = {"cutmix", "ricap"}
CHAINS = [
    chain
    for length in (1, 2, 3)
    for chain in itertools.product(MIXERS, repeat=length)
    if sum(name in BY_AREA for name in chain) <= 1
]
REFUSED = [pair for pair in itertools.product(MIXERS, repeat=2) if set(pair) <= BY_AREA]
LABELS = torch.arange(SAMPLES).remainder(CLASSES)
SMOOTHING = 0.1


def mixed(chain: tuple[str, ...], batch: Batch, context: Callable[[torch.Tensor], object]) -> Batch:
    for place, name in enumerate(chain):
        augmentation, columns = MIXERS[name]
        draws = torch.rand(SAMPLES, columns, generator=torch.Generator().manual_seed(11 + place))
        step = augmentation.bind(context(draws))
        assert step is not None
        batch = step(batch)
    return batch


def smoothed(batch: Batch, context: Callable[[torch.Tensor], object]) -> Batch:
    return LabelSmoothing(SMOOTHING).bind(context(torch.empty(0, 0))).batch(batch)


@pytest.fixture
def numbered() -> Batch:
    image = torch.eye(SAMPLES)[:, :, None, None].expand(-1, -1, HEIGHT, WIDTH).contiguous()
    return Batch({"image": image}, LABELS, torch.arange(SAMPLES))


def counted(batch: Batch) -> torch.Tensor:
    """Return the target that an image's own pixels speak for: shares of samples (B, N) times their one-hot labels."""
    shares = batch.image.mean((2, 3), dtype=torch.float64)
    return shares @ torch.eye(CLASSES, dtype=torch.float64)[LABELS]


@pytest.mark.parametrize("smoothing", ["none", "after", "before"])
@pytest.mark.parametrize("chain", CHAINS, ids=" then ".join)
def test_targets_are_the_shares_of_the_pixels_and_sum_to_one(chain, smoothing, numbered, context):
    """The pipeline smooths after mixing; before it, the same comes out, for mixing is linear and keeps the sum."""
    batch = smoothed(numbered, context) if smoothing == "before" else numbered
    batch = mixed(chain, batch, context)
    expected = counted(batch)
    if smoothing == "after":
        batch = smoothed(batch, context)
    if smoothing != "none":
        expected = (1 - SMOOTHING) * expected + SMOOTHING / CLASSES
    assert batch.target.dtype == torch.float32
    assert torch.allclose(batch.target.double(), expected, atol=1e-6)
    assert torch.allclose(batch.target.sum(1), torch.ones(SAMPLES), atol=1e-6)
    assert ((batch.target > 0).sum(1) > 1).any()


@pytest.mark.parametrize("chain", REFUSED, ids=" then ".join)
def test_two_that_count_areas_would_give_targets_that_the_pixels_do_not_bear_out(chain, numbered, context):
    batch = mixed(chain, numbered, context)
    assert (batch.target.double() - counted(batch)).abs().max() > 0.05


def problems(chain: tuple[str, ...]) -> list[str]:
    augmentations = [{"name": name, "params": {}} for name in chain]
    found = incompatible({"augmentations": augmentations, "tricks": []}, discover(allow="first-party"))
    return [f"{problem.path}: {problem.message}" for problem in found]


@pytest.mark.parametrize("chain", REFUSED, ids=" then ".join)
def test_two_that_count_areas_are_refused_with_the_reason(chain):
    found = problems(chain)
    assert any("augmentations[1]" in line and "targets by area" in line for line in found), found


@pytest.mark.parametrize("chain", CHAINS, ids=" then ".join)
def test_every_other_combination_is_allowed(chain):
    assert problems(chain) == []


def test_smoothing_stands_after_mixing_wherever_it_is_written():
    assert LabelSmoothing.stage > max(augmentation.stage for augmentation, _ in MIXERS.values())

"""At its declared identity a trick changes not one bit; away from it, it changes something and says so."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from harness.contract import StepPlan, Trick
from harness_plugins.tricks.ema import Ema
from harness_plugins.tricks.grad_accumulation import GradAccumulation
from harness_plugins.tricks.grad_clip import GradClip
from harness_plugins.tricks.label_smoothing import LabelSmoothing
from harness_plugins.tricks.sam import Sam

CHANGES_TRAINING = [Sam(), GradClip(0.01), LabelSmoothing()]
TRICKS = [*CHANGES_TRAINING, Ema(), GradAccumulation()]


def name(trick: Trick) -> str:
    return type(trick).__name__


def bits_differ(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    return [key for key in one if one[key].numpy().tobytes() != other[key].numpy().tobytes()]


@pytest.mark.parametrize("trick", TRICKS, ids=name)
def test_at_its_identity_a_trick_leaves_every_bit_of_weights_and_losses(kit: Any, trick: Trick) -> None:
    assert trick.identity is not None
    idle = dataclasses.replace(trick, **trick.identity)  # type: ignore[type-var]
    plain_weights, plain_losses, _ = kit.train(None)
    weights, losses, slots = kit.train(idle)
    assert bits_differ(plain_weights, weights) == []
    assert plain_losses == losses
    assert idle.plan(StepPlan()) == StepPlan()
    assert slots.observe is None or slots.observe() == 0


@pytest.mark.parametrize("trick", CHANGES_TRAINING, ids=name)
def test_with_its_parameters_a_trick_changes_the_weights_and_its_observable_fires(
    kit: Any, trick: Trick
) -> None:
    plain_weights, _, _ = kit.train(None)
    weights, _, slots = kit.train(trick)
    assert bits_differ(plain_weights, weights)
    assert slots.observe() != 0
    assert trick.observable


@pytest.mark.parametrize("trick", TRICKS, ids=name)
def test_an_observable_that_never_saw_a_step_is_nought(kit: Any, trick: Trick) -> None:
    assert trick.bind(kit.context(kit.model())).observe() == 0

"""Plateau against torch's ReduceLROnPlateau."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from harness_plugins.schedules.plateau import Plateau


def torch_rates(losses: list[float], settings: Plateau) -> list[float]:
    """The rates, from a base of 1, after each loss."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = ReduceLROnPlateau(
        optimizer,
        factor=settings.factor,
        patience=settings.patience,
        threshold=settings.threshold,
        cooldown=settings.cooldown,
        min_lr=settings.minimum,
        eps=0.0,
    )
    rates = []
    for loss in losses:
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def falling_with_noise(seed: int, epochs: int = 120) -> list[float]:
    generator = np.random.default_rng(seed)
    return (np.exp(-np.arange(epochs) / 20) + 0.3 + generator.normal(0, 0.05, epochs)).tolist()


@pytest.mark.parametrize(
    "settings",
    [
        Plateau(),
        Plateau(patience=0, factor=0.5),
        Plateau(patience=2, factor=0.5, cooldown=3),
        Plateau(patience=1, factor=0.3, threshold=0.05, cooldown=1, minimum=0.02),
        Plateau(patience=3, threshold=0.0),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_the_rates_are_torch_s(settings: Plateau, seed: int) -> None:
    losses = falling_with_noise(seed)
    ours = [settings.rate_after(losses[: epoch + 1]) for epoch in range(len(losses))]
    wanted = torch_rates(losses, settings)
    assert ours == wanted
    assert len(set(wanted)) > 2  # it fell more than once, or nothing was compared


def test_a_loss_that_is_no_number_is_a_bad_epoch() -> None:
    settings = Plateau(patience=1, factor=0.5)
    losses = [1.0, math.nan, math.inf, 0.5, math.nan, math.nan]
    ours = [settings.rate_after(losses[: epoch + 1]) for epoch in range(len(losses))]
    assert ours == torch_rates(losses, settings) == [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]


def test_ahead_of_the_first_loss_it_is_the_base_rate() -> None:
    assert Plateau.observes and Plateau().rate(0.0) == Plateau().rate(0.9) == 1.0

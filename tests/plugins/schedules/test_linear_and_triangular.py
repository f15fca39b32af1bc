from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import LinearLR, OneCycleLR

from harness_plugins.schedules.linear import Linear
from harness_plugins.schedules.triangular import Triangular


def optimizer(rate: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


@pytest.mark.parametrize("end", [0.0, 0.07, 1.0])
def test_linear_gives_the_rates_of_torch(end: float) -> None:
    stepper = optimizer()
    scheduler = LinearLR(stepper, start_factor=1.0, end_factor=end, total_iters=40)
    for step in range(40):
        assert Linear(end=end).rate(step / 40) == pytest.approx(stepper.param_groups[0]["lr"], abs=1e-9)
        stepper.step()
        scheduler.step()


@pytest.mark.parametrize(
    "settings", [{}, {"start": 0.0, "peak": 0.5, "end": 0.0}, {"start": 1.0, "peak": 0.1}]
)
def test_triangular_is_three_points_joined_by_straight_lines(settings: dict[str, float]) -> None:
    schedule = Triangular(**settings)
    shares = np.linspace(0, 1, 101)
    expected = np.interp(shares, [0, schedule.peak, 1], [schedule.start, 1, schedule.end])
    assert [schedule.rate(share) for share in shares] == pytest.approx(expected, abs=1e-12)


def test_triangular_gives_the_rates_of_torchs_one_cycle() -> None:
    stepper = optimizer()
    # torch counts its last step as the end: 101 of them for a hundred intervals
    cycle = {
        "total_steps": 101,
        "pct_start": 21 / 101,
        "anneal_strategy": "linear",
        "cycle_momentum": False,
    }
    scheduler = OneCycleLR(stepper, max_lr=1.0, div_factor=5, final_div_factor=0.2 / 0.1, **cycle)
    schedule = Triangular(start=0.2, peak=0.2, end=0.1)
    for step in range(100):
        assert schedule.rate(step / 100) == pytest.approx(stepper.param_groups[0]["lr"], abs=1e-9)
        stepper.step()
        scheduler.step()


def test_the_defaults_are_the_recipes() -> None:
    shares = (0, 0.115, 0.23, 0.615, 1)
    assert [Triangular().rate(share) for share in shares] == pytest.approx([0.2, 0.6, 1, 0.535, 0.07])

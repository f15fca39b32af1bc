from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR, StepLR

from harness_plugins.schedules.constant import Constant
from harness_plugins.schedules.cosine import Cosine
from harness_plugins.schedules.multi_step import MultiStep
from harness_plugins.schedules.one_cycle import OneCycle
from harness_plugins.schedules.step import Step

BASE = 0.4


def torch_rates(make: type[LRScheduler], total: int, **settings: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler = make(optimizer, **settings)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("total", "t_max", "eta_min"), [(50, 50, 0.0), (60, 60, 0.25), (60, 20, 0.0), (40, 10, 0.1)]
)
def test_cosine_gives_the_rates_of_torch(total: int, t_max: int, eta_min: float) -> None:
    schedule = Cosine(t_max=t_max / total, eta_min=eta_min)
    ours = [BASE * schedule.rate(step / total) for step in range(total)]
    assert ours == pytest.approx(
        torch_rates(CosineAnnealingLR, total, T_max=t_max, eta_min=eta_min * BASE), abs=1e-9
    )


def test_cosine_at_its_known_points() -> None:
    assert [Cosine().rate(share) for share in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert Cosine(t_max=0.5).rate(1.0) == pytest.approx(1.0)
    assert Cosine(t_max=0.5, eta_min=0.2).rate(0.5) == pytest.approx(0.2)


@pytest.mark.parametrize("total", [7, 30, 90, 100, 999])
@pytest.mark.parametrize("parts", [1, 2, 3, 5, 10])
def test_step_gives_the_rates_of_torch_where_it_divides_the_budget(total: int, parts: int) -> None:
    steps = total - total % parts
    schedule = Step(step_size=1 / parts, gamma=0.3)
    ours = [BASE * schedule.rate(step / steps) for step in range(steps)]
    assert ours == pytest.approx(torch_rates(StepLR, steps, step_size=steps // parts, gamma=0.3), rel=1e-9)


def test_the_default_step_drops_tenfold_at_each_third() -> None:
    assert [Step().rate(share) for share in (0, 0.33, 0.34, 0.66, 0.67, 0.99)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_constant_is_one() -> None:
    assert {Constant().rate(share) for share in (0.0, 0.3, 0.999)} == {1.0}


@pytest.mark.parametrize(("total", "milestones", "gamma"), [(50, [15, 30, 40], 0.2), (10, [3], 0.1)])
def test_multi_step_gives_the_rates_of_torch(total: int, milestones: list[int], gamma: float) -> None:
    schedule = MultiStep(milestones=tuple(m / total for m in milestones), gamma=gamma)
    ours = [BASE * schedule.rate(step / total) for step in range(total)]
    assert ours == pytest.approx(torch_rates(MultiStepLR, total, milestones=milestones, gamma=gamma))


def test_one_cycle_gives_the_rates_of_torch() -> None:
    total = 40
    theirs = torch_rates(OneCycleLR, total, max_lr=BASE, total_steps=total, cycle_momentum=False)
    # torch counts its steps to the last one, total - 1, and rises to pct_start * total - 1
    rise = (0.3 * total - 1) / (total - 1)
    ours = [BASE * OneCycle(rise=rise).rate(step / (total - 1)) for step in range(total)]
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert max(theirs) == pytest.approx(BASE)

"""LAMB and Lion against timm's, AdaBound against pytorch_optimizer's numbers, and timm's names against timm itself."""

from __future__ import annotations

from typing import Any

import pytest
import timm.optim
import torch
from torch import nn

from harness.contract import Optimizer
from harness_plugins.optimizers.adabound import AdaBound
from harness_plugins.optimizers.lamb import Lamb
from harness_plugins.optimizers.lion import Lion
from harness_plugins.optimizers.muon import Muon
from harness_plugins.optimizers.timm_optimizer import TimmOptimizer


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))


def after_steps(make: Any, steps: int = 4) -> list[torch.Tensor]:
    """Return the weights of a small network after some steps of an optimizer that `make` builds of its parameters."""
    model = net()
    torch.manual_seed(1)  # some optimizers draw
    optimizer = make(list(model.parameters()))
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 1, 8, 8, generator=generator)).square().mean().backward()
        optimizer.step()
    return [weight.detach() for weight in model.parameters()]


def of(ours: Optimizer) -> Any:
    return lambda parameters: ours.build([{"params": parameters}])


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("bound", [None, 0.01])
def test_lamb_is_timms(decay: float, bound: float | None) -> None:
    ours = after_steps(of(Lamb(0.01, 0.8, 0.95, 1e-5, decay, bound)))
    settings = {"betas": (0.8, 0.95), "eps": 1e-5, "weight_decay": decay, "max_grad_norm": bound}
    theirs = after_steps(lambda parameters: timm.optim.Lamb(parameters, lr=0.01, **settings))
    assert all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lion_is_timms(decay: float) -> None:
    ours = after_steps(of(Lion(0.01, 0.8, 0.95, decay)))
    settings = {"betas": (0.8, 0.95), "weight_decay": decay}
    theirs = after_steps(lambda parameters: timm.optim.Lion(parameters, lr=0.01, **settings))
    assert all(map(torch.equal, ours, theirs))


# kron compiles its step for a minute
NAMES = timm.optim.list_optimizers(exclude_filters=["bnb*", "fused*", "adahessian", "kron*"])


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_timm_steps_as_timm_itself(name: str) -> None:
    def theirs(parameters: list[nn.Parameter]) -> Any:
        return timm.optim.create_optimizer_v2(parameters, opt=name, lr=0.01, weight_decay=1e-4)

    ours = after_steps(of(TimmOptimizer(name, lr=0.01, weight_decay=1e-4)), steps=2)
    assert all(map(torch.equal, ours, after_steps(theirs, steps=2)))
    assert all(torch.isfinite(weight).all() for weight in ours)
    assert not all(map(torch.equal, ours, net().parameters()))


def test_there_are_many_names_of_timm() -> None:
    assert len(NAMES) > 60


GRADIENTS = [[0.5, -0.1], [-0.2, 0.3], [0.3, 0.0], [0.0, 0.4], [-0.7, -0.2]]
PYTORCH_OPTIMIZER: dict[float, list[list[float]]] = {
    0.0: [
        [0.9900000008944275, -1.9913333333333334],
        [0.9870546077906663, -1.9967440635406835],
        [0.9817002261977853, -2.000706499551032],
        [0.977557580538692, -2.0077665011419072],
        [0.982424780538692, -2.0105618504075147],
    ],
    0.1: [
        [0.9900000007453562, -1.9900000014907129],
        [0.9850456279126641, -1.9865142108405982],
        [0.9781308363599708, -1.9805743848799002],
        [0.9709398174445157, -1.9798356768935326],
        [0.9718465930179819, -1.9746188637569342],
    ],
}
"""By weight decay (an L2 penalty), the weights after each step that pytorch_optimizer 4.1.0 gives."""


@pytest.mark.parametrize("decay", PYTORCH_OPTIMIZER)
def test_adabound_gives_the_numbers_of_pytorch_optimizer(decay: float) -> None:
    settings = AdaBound(0.01, 0.1, 0.3, 0.8, 0.95, 1e-8, decay)
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    stepper = settings.build([{"params": [weight]}])
    for gradient, expected in zip(GRADIENTS, PYTORCH_OPTIMIZER[decay], strict=True):
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        stepper.step()
        assert weight.tolist() == pytest.approx(expected, rel=1e-12)


def test_adabound_counts_the_steps_of_each_parameter() -> None:
    """One that is unfrozen later goes through what it would have gone through alone."""
    early, late, alone = (nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(3))
    settings = AdaBound(0.01, 0.1, 0.3)
    together, by_itself = settings.build([{"params": [early, late]}]), settings.build([{"params": [alone]}])
    for step, gradient in enumerate(GRADIENTS):
        early.grad = torch.tensor(gradient, dtype=torch.float64)
        if step >= 2:
            late.grad, alone.grad = early.grad.clone(), early.grad.clone()
            by_itself.step()
        together.step()
    assert torch.equal(late, alone)
    assert not torch.equal(late, early)


@pytest.mark.parametrize("settings", [AdaBound(weight_decay=0.1), Muon(weight_decay=0.1)])
def test_a_groups_own_weight_decay_is_the_one_in_force(settings: Optimizer) -> None:
    """Tricks that scale weight decay by parameter do it there."""
    decayed, spared = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    stepper = settings.build([{"params": [decayed]}, {"params": [spared]}])
    assert [group["weight_decay"] for group in stepper.param_groups] == [0.1, 0.1]
    stepper.param_groups[1]["weight_decay"] = 0.0
    decayed.grad, spared.grad = torch.zeros(2, 2), torch.zeros(2, 2)
    stepper.step()
    assert bool((decayed < 1).all())
    assert torch.equal(spared, torch.ones(2, 2))

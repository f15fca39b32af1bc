from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from harness.contract import Optimizer
from harness_plugins.optimizers.adam import Adam
from harness_plugins.optimizers.adamw import AdamW
from harness_plugins.optimizers.sgd import Sgd
from harness_plugins.optimizers.timm_optimizer import TimmOptimizer


def path(optimizer: Optimizer, gradients: list[float], start: float = 1.0) -> list[float]:
    """Follow one weight through given gradients, in double precision."""
    weight = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    stepper = optimizer.build([{"params": [weight]}])
    weights = []
    for gradient in gradients:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        stepper.step()
        weights.append(float(weight.detach()))
    return weights


GRADIENTS = [0.5, -0.2, 0.3, 0.0, -0.7]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_sgd_follows_its_formula(nesterov: bool, decay: float) -> None:
    weight, velocity, expected = 1.0, 0.0, []
    for gradient in GRADIENTS:
        gradient += decay * weight
        velocity = 0.9 * velocity + gradient
        weight -= 0.1 * (0.9 * velocity + gradient if nesterov else velocity)
        expected.append(weight)
    assert path(Sgd(lr=0.1, weight_decay=decay, nesterov=nesterov), GRADIENTS) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_and_adamw_follow_their_algorithms(decoupled: bool) -> None:
    lr, beta1, beta2, eps, decay = 0.01, 0.8, 0.95, 1e-6, 0.1
    weight, mean, square, expected = 1.0, 0.0, 0.0, []
    for step, gradient in enumerate(GRADIENTS, start=1):
        if decoupled:
            weight -= lr * decay * weight
        else:
            gradient += decay * weight
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        weight -= lr * (mean / (1 - beta1**step)) / (math.sqrt(square / (1 - beta2**step)) + eps)
        expected.append(weight)
    optimizer = (AdamW if decoupled else Adam)(lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=decay)
    assert path(optimizer, GRADIENTS) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (Adam(), torch.optim.Adam, {}),
        (AdamW(), torch.optim.AdamW, {}),
        (Sgd(lr=0.1), torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    ],
)
def test_defaults_are_those_of_torch_where_we_say_so(
    ours: Optimizer, theirs: Any, settings: dict[str, float]
) -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(2))]}]
    assert ours.build(groups).defaults == theirs([nn.Parameter(torch.zeros(2))], **settings).defaults


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        Sgd(lr=0.1, momentum=0.0, nesterov=True)


def test_groups_keep_rates_of_their_own() -> None:
    one, other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, 2))
    built = Sgd(lr=0.1).build([{"params": [one], "lr": 0.7}, {"params": [other]}])
    assert [group["lr"] for group in built.param_groups] == [0.7, 0.1]


def test_timm_names_reach_timm_with_their_options() -> None:
    optimizer = TimmOptimizer("sgd", lr=0.1, options={"momentum": 0.5, "nesterov": True}).build(
        [{"params": [nn.Parameter(torch.zeros(2))]}]
    )
    assert optimizer.param_groups[0]["momentum"] == 0.5
    assert optimizer.param_groups[0]["nesterov"] is True


@pytest.mark.parametrize(
    ("name", "nearest"), [("lmab", "timm:lamb"), ("adamww", "timm:adamw"), ("bnbadam", "timm:nadam")]
)
def test_an_unknown_or_unusable_name_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f'there is no usable "timm:{name}".*{nearest}'):
        TimmOptimizer(name, lr=0.1).build([{"params": [nn.Parameter(torch.zeros(2))]}])


def test_an_option_that_an_optimizer_lacks_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"timm:lion with \{'beta9': 1\} over parameters of \(2, 3\): .*beta9"
    ):
        TimmOptimizer("lion", lr=0.1, options={"beta9": 1}).build(
            [{"params": [nn.Parameter(torch.zeros(2, 3))]}]
        )

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness_plugins.optimizers.decoupled_sgd import DecoupledSgd

GRADIENTS = [0.5, -0.2, 0.3, 0.0, -0.7]


def path(optimizer: DecoupledSgd, gradients: list[float], start: float = 1.0) -> list[float]:
    weight = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    stepper = optimizer.build([{"params": [weight]}])
    weights = []
    for gradient in gradients:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        stepper.step()
        weights.append(float(weight.detach()))
    return weights


def test_it_follows_the_recipes_formula() -> None:
    rate, momentum, decay, examples = 11.5, 0.85, 0.0153, 1024
    gain = 1 + 1 / (1 - momentum)
    weight, velocity, expected = 1.0, 0.0, []
    for gradient in GRADIENTS:
        # the decay of the weight and the step of the gradient, each with a rate of its own
        velocity = momentum * velocity + (rate / examples * gradient + decay * weight) / gain
        weight -= momentum * velocity + (rate / examples * gradient + decay * weight) / gain
        expected.append(weight)
    ours = DecoupledSgd(lr=rate, examples=examples, momentum=momentum, weight_decay=decay)
    assert path(ours, GRADIENTS) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("momentum", [0.5, 0.85, 0.95])
def test_a_constant_gradient_moves_the_weight_nearly_as_far_whatever_the_momentum(momentum: float) -> None:
    far = path(DecoupledSgd(lr=0.1, momentum=momentum), [1.0] * 400, start=0.0)
    exact = 0.1 / (1 - momentum) / (1 + 1 / (1 - momentum))
    assert far[-1] - far[-2] == pytest.approx(-exact, rel=1e-6)
    assert 0.66 * 0.1 < exact < 0.1


@pytest.mark.parametrize("lr", [0.1, 3.0])
def test_the_decay_does_not_depend_on_the_rate(lr: float) -> None:
    still = path(DecoupledSgd(lr=lr, weight_decay=0.01), [0.0] * 5)
    assert still == pytest.approx(path(DecoupledSgd(lr=1.0, weight_decay=0.01), [0.0] * 5), rel=1e-12)
    assert still[-1] < 1


def test_the_published_rates_come_out_for_torchs_sgd() -> None:
    """7,850.67 = 1024 * (1 + 1 / 0.15); the biases' rate is 64 times as high at the same decay."""
    groups = [{"params": [nn.Parameter(torch.zeros(1))]}]
    built = DecoupledSgd(lr=11.5, examples=1024, weight_decay=0.0153).build(groups).param_groups[0]
    assert built["lr"] == pytest.approx(11.5 / 7850.6667, rel=1e-6)
    assert built["weight_decay"] * built["lr"] == pytest.approx(0.0153 * 1024 / 7850.6667, rel=1e-6)
    groups = [{"params": [nn.Parameter(torch.zeros(1))]}]
    biases = DecoupledSgd(lr=736.0, examples=1024, weight_decay=0.0153).build(groups).param_groups[0]
    assert biases["lr"] == pytest.approx(64 * built["lr"])
    assert biases["weight_decay"] * biases["lr"] == pytest.approx(built["weight_decay"] * built["lr"])

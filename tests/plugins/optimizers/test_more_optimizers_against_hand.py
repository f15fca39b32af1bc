"""AdaBound, Lion and LAMB by their papers' algorithms in plain Python; torch's by name against torch."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from torch import nn

from harness.contract import Optimizer
from harness_plugins.optimizers.adabound import AdaBound
from harness_plugins.optimizers.lamb import Lamb
from harness_plugins.optimizers.lion import Lion
from harness_plugins.optimizers.torch_optimizer import UNUSABLE, TorchNamedOptimizer

GRADIENTS = [[0.5, -0.1], [-0.2, 0.3], [0.3, 0.0], [0.0, 0.4], [-0.7, -0.2]]


def path(optimizer: Optimizer, rates: list[float] | None = None) -> list[list[float]]:
    """Follow two weights through given gradients, in double precision; `rates` scale the base rate."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    stepper = optimizer.build([{"params": [weight]}])
    base = stepper.param_groups[0]["lr"]
    weights = []
    for index, gradient in enumerate(GRADIENTS):
        stepper.param_groups[0]["lr"] = base * (rates[index] if rates else 1.0)
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        stepper.step()
        weights.append(weight.detach().tolist())
    return weights


@pytest.mark.parametrize("rates", [None, [1.0, 0.8, 0.6, 0.4, 0.2]])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adabound_follows_algorithm_2_with_both_bounds(decay: float, rates: list[float] | None) -> None:
    lr, final_lr, gamma, beta1, beta2, eps = 0.01, 0.1, 0.3, 0.8, 0.95, 1e-8
    weights, means, squares, expected = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0], []
    clipped = set()
    for t, gradients in enumerate(GRADIENTS, start=1):
        rate = lr * (rates[t - 1] if rates else 1.0)
        final = final_lr * rate / lr
        low, high = final * (1 - 1 / (gamma * t + 1)), final * (1 + 1 / (gamma * t))
        for i, gradient in enumerate(gradients):
            gradient += decay * weights[i]
            means[i] = beta1 * means[i] + (1 - beta1) * gradient
            squares[i] = beta2 * squares[i] + (1 - beta2) * gradient**2
            corrected = rate * math.sqrt(1 - beta2**t) / (1 - beta1**t)
            size = corrected / (math.sqrt(squares[i]) + eps)
            clipped.add("low" if size < low else "high" if size > high else "neither")
            weights[i] -= min(max(size, low), high) * means[i]
        expected.append(list(weights))
    assert "low" in clipped  # the bounds did something
    optimizer = AdaBound(lr, final_lr, gamma, beta1, beta2, eps, decay)
    for ours, theirs in zip(path(optimizer, rates), expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def test_adabound_ends_as_gradient_descent_with_momentum_at_its_final_rate() -> None:
    """With bounds that have closed, every step is final_lr times the first moment."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    stepper = AdaBound(lr=1e-3, final_lr=0.1, gamma=0.999, beta1=0.0).build([{"params": [weight]}])
    for _ in range(20_000):
        weight.grad = torch.tensor([0.01], dtype=torch.float64)
        before = weight.item()
        stepper.step()
    assert before - weight.item() == pytest.approx(0.1 * 0.01, rel=1e-3)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lion_follows_algorithm_2(decay: float) -> None:
    lr, beta1, beta2 = 0.01, 0.9, 0.99
    weights, momentum, expected = [1.0, -2.0], [0.0, 0.0], []
    for gradients in GRADIENTS:
        for i, gradient in enumerate(gradients):
            mixed = beta1 * momentum[i] + (1 - beta1) * gradient
            weights[i] -= lr * (math.copysign(1.0, mixed) * (mixed != 0) + decay * weights[i])
            momentum[i] = beta2 * momentum[i] + (1 - beta2) * gradient
        expected.append(list(weights))
    assert path(Lion(lr, beta1, beta2, decay)) == [pytest.approx(row, rel=1e-12) for row in expected]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lamb_follows_algorithm_2(decay: float) -> None:
    lr, beta1, beta2, eps = 0.01, 0.8, 0.95, 1e-6
    weights, mean, square, expected = [1.0, -2.0], [0.0, 0.0], [0.0, 0.0], []
    for t, gradients in enumerate(GRADIENTS, start=1):
        update = []
        for i, gradient in enumerate(gradients):
            mean[i] = beta1 * mean[i] + (1 - beta1) * gradient
            square[i] = beta2 * square[i] + (1 - beta2) * gradient**2
            corrected = mean[i] / (1 - beta1**t) / (math.sqrt(square[i] / (1 - beta2**t)) + eps)
            update.append(corrected + decay * weights[i])
        trust = math.hypot(*weights) / math.hypot(*update) if decay else 1.0
        weights = [weight - lr * trust * step for weight, step in zip(weights, update, strict=True)]
        expected.append(list(weights))
    ours = path(Lamb(lr, beta1, beta2, eps, decay))
    assert ours == [pytest.approx(row, rel=1e-9) for row in expected]


def kinds() -> list[str]:
    return sorted(
        name
        for name, kind in inspect.getmembers(torch.optim, inspect.isclass)
        if issubclass(kind, torch.optim.Optimizer)
        and kind is not torch.optim.Optimizer
        and name not in UNUSABLE
    )


@pytest.mark.parametrize("name", kinds())
def test_every_usable_name_of_torch_steps_as_torch_itself(name: str) -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    steppers: list[Any] = [
        TorchNamedOptimizer(name, lr=0.01).build([{"params": list(ours.parameters())}]),
        getattr(torch.optim, name)(theirs.parameters(), lr=0.01),
    ]
    for model, stepper in zip((ours, theirs), steppers, strict=True):
        for step in range(3):
            stepper.zero_grad()
            model(torch.full((2, 4), 0.1 * (step + 1))).square().sum().backward()
            stepper.step()
    assert torch.equal(ours.weight, theirs.weight)


@pytest.mark.parametrize(
    ("name", "said"),
    [("NAdm", "torch:NAdam"), ("LBFGS", "closure"), ("SparseAdam", "sparse"), ("Nothing", "no")],
)
def test_unusable_names_are_refused_with_the_reason_or_the_nearest(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TorchNamedOptimizer(name, lr=0.1).build([{"params": [nn.Parameter(torch.zeros(2))]}])


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"torch:SGD with \{'momentun': 0.9\}"):
        TorchNamedOptimizer("SGD", 0.1, options={"momentun": 0.9}).build(
            [{"params": [nn.Parameter(torch.zeros(2))]}]
        )

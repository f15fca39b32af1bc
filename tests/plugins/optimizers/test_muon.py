from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness_plugins.optimizers.muon import Muon, orthogonalise


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6)])
@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_the_iteration_is_the_polynomial_on_the_singular_values(
    shape: tuple[int, int], iterations: int
) -> None:
    matrices = drawn(3, *shape).double()
    found = orthogonalise(matrices, iterations)
    for matrix, result in zip(matrices, found, strict=True):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        values = values / matrix.norm()
        for _ in range(iterations):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        torch.testing.assert_close(result, left @ values.diag() @ right, atol=1e-6, rtol=1e-5)
        if iterations == 5:
            assert bool(((values > 0.6) & (values < 1.3)).all())


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("shape", [(12, 7), (7, 12)])
def test_on_matrices_it_is_torchs(nesterov: bool, shape: tuple[int, int]) -> None:
    ours, theirs = (nn.Parameter(drawn(*shape)) for _ in range(2))
    muon = Muon(lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.2).build([{"params": [ours]}])
    reference = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.2)
    for step in range(4):
        ours.grad = drawn(*shape, seed=10 + step)
        theirs.grad = ours.grad.clone()
        muon.step()
        reference.step()
    # torch averages the gradients where this adds them up, and both round to bfloat16
    torch.testing.assert_close(ours, theirs, atol=8e-3, rtol=0)
    assert float((ours - drawn(*shape)).abs().max().detach()) > 0.1


def test_filters_follow_the_speedruns_formula_by_hand() -> None:
    """Weights at the norm sqrt(rows), Nesterov's momentum added up, three rounds on the flattened filters."""
    lr, momentum = 0.24, 0.6
    shapes = [(4, 3, 3, 3), (8, 4, 3, 3), (8, 8, 3, 3), (8, 8, 3, 3)]
    weights = [nn.Parameter(drawn(*shape, seed=n)) for n, shape in enumerate(shapes)]
    expected = [weight.detach().double() for weight in weights]
    velocity = [torch.zeros_like(weight) for weight in expected]
    settings = Muon(lr, momentum, iterations=3, iteration_precision="fp32", shape_scale=False, unit_rows=True)
    muon = settings.build([{"params": weights[:2]}, {"params": weights[2:]}])
    for step in range(3):
        for n, weight in enumerate(weights):
            weight.grad = drawn(*weight.shape, seed=100 + 10 * step + n)
            gradient = weight.grad.double()
            velocity[n] = momentum * velocity[n] + gradient
            update = (gradient + momentum * velocity[n]).reshape(len(weight), -1)
            left, values, right = torch.linalg.svd(update, full_matrices=False)
            values = values / update.norm()
            for _ in range(3):
                values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
            expected[n] = expected[n] * len(weight) ** 0.5 / expected[n].norm()
            expected[n] = expected[n] - lr * (left @ values.diag() @ right).view_as(expected[n])
        muon.step()
    for weight, wanted in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach().double(), wanted, atol=1e-4, rtol=1e-4)


def test_tall_matrices_take_longer_steps_and_frozen_ones_none() -> None:
    tall, frozen = nn.Parameter(drawn(16, 4)), nn.Parameter(drawn(3, 3), requires_grad=False)
    before, kept = tall.detach().clone(), frozen.detach().clone()
    plain = nn.Parameter(tall.detach().clone())
    tall.grad = plain.grad = drawn(16, 4, seed=1)
    Muon(lr=0.1, iteration_precision="fp32").build([{"params": [tall, frozen]}]).step()
    Muon(lr=0.1, iteration_precision="fp32", shape_scale=False).build([{"params": [plain]}]).step()
    torch.testing.assert_close(tall.detach() - before, 2 * (plain.detach() - before))
    assert torch.equal(frozen, kept)


def test_channels_last_filters_take_the_same_step() -> None:
    one = nn.Parameter(drawn(8, 4, 3, 3))
    other = nn.Parameter(one.detach().to(memory_format=torch.channels_last))
    one.grad = drawn(8, 4, 3, 3, seed=1)
    other.grad = one.grad.to(memory_format=torch.channels_last)
    for weight in (one, other):
        Muon(iteration_precision="fp32").build([{"params": [weight]}]).step()
    torch.testing.assert_close(one, other)


def test_vectors_are_refused_with_their_shape() -> None:
    with pytest.raises(
        ValueError, match=r'not a parameter of shape \(5,\); give it `parameters = "matrices"`'
    ):
        Muon().build([{"params": [nn.Parameter(torch.zeros(5))]}])

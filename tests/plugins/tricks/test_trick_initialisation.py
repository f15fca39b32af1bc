from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from harness_plugins.tricks.dirac_init import DiracInit
from harness_plugins.tricks.freeze_norm_scale import FreezeNormScale


def test_a_dirac_convolution_passes_its_input_on_in_its_first_channels(kit: Any) -> None:
    torch.manual_seed(0)
    wider, narrower = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 4, 5, padding=2, bias=False)
    model = nn.Sequential(wider, narrower)
    drawn = wider.weight.detach().clone()
    assert DiracInit().model(model, kit.context(model)) is model
    image = torch.randn(2, 3, 7, 6)
    assert torch.equal(wider(image)[:, :3], image)
    features = torch.randn(2, 8, 7, 6)
    assert torch.equal(narrower(features), features[:, :4])
    assert torch.equal(wider.weight[3:], drawn[3:])
    expected = nn.init.dirac_(torch.empty(3, 3, 3, 3))
    assert torch.equal(wider.weight[:3], expected)
    assert DiracInit().bind(kit.context(model)).observe() == 2


def test_convolutions_without_a_centre_and_grouped_ones_stay(kit: Any) -> None:
    stem, grouped = nn.Conv2d(3, 24, 2), nn.Conv2d(24, 24, 3, groups=24)
    model = nn.Sequential(stem, grouped, nn.Conv1d(24, 24, 3))
    before = [stem.weight.detach().clone(), grouped.weight.detach().clone()]
    DiracInit().model(model, kit.context(model))
    assert torch.equal(stem.weight, before[0]) and torch.equal(grouped.weight, before[1])
    assert DiracInit().bind(kit.context(model)).observe() == 1
    with pytest.raises(ValueError, match="no ungrouped convolution with odd sides"):
        DiracInit().model(nn.Sequential(stem, grouped), kit.context(model))


def test_convolutions_that_are_not_dirac_are_not_counted(kit: Any) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3))
    assert DiracInit().bind(kit.context(model)).observe() == 0


def test_scales_are_one_and_stay_while_biases_are_trained(kit: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Flatten(), nn.LazyLinear(5)
    )
    model(torch.zeros(2, 1, 8, 8))
    nn.init.constant_(model[1].weight, 0.5)
    model = FreezeNormScale().model(model, kit.context(model))
    ctx = kit.context(model)
    slots = FreezeNormScale().bind(ctx)
    kit.run(ctx, slots, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1))
    for norm in (model[1], model[2]):
        assert torch.equal(norm.weight, torch.ones(4))
        assert bool((norm.bias != 0).all())
    assert slots.observe() == 2
    with torch.no_grad():
        model[2].weight[0] = 0.9
    assert slots.observe() == 1


def test_a_network_without_norms_is_refused(kit: Any) -> None:
    with pytest.raises(ValueError, match="no normalisation layer"):
        FreezeNormScale().model(nn.Linear(2, 2), kit.context(nn.Linear(2, 2)))

"""Factors by layer against timm's parameter groups; which parameters have no weight decay."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from harness.contract import DataInfo, Scale
from harness_plugins.backbones.resnet_cifar import ResNetCifar
from harness_plugins.backbones.small_input import blocks_in_order
from harness_plugins.tricks.gradual_unfreeze import GradualUnfreeze
from harness_plugins.tricks.head_lr import HeadLr
from harness_plugins.tricks.layer_wise_decay import LayerWiseDecay
from harness_plugins.tricks.layer_wise_lr import LayerWiseLr
from harness_plugins.tricks.layers import layers_of
from harness_plugins.tricks.no_bias_decay import NoBiasDecay

MODELS = ("resnet18", "vit_tiny_patch16_224", "convnext_atto")


def context(model: nn.Module) -> Any:
    return SimpleNamespace(model=model, blocks=blocks_in_order(model))


@pytest.fixture(scope="module", params=MODELS[:2])
def model(request: pytest.FixtureRequest) -> nn.Module:
    return timm.create_model(request.param, num_classes=10)


def by_name(model: nn.Module, groups: list[dict[str, Any]], key: str) -> dict[str, float]:
    values = {id(p): group[key] for group in groups for p in group["params"]}
    return {name: values[id(parameter)] for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("decay", [0.75, 1 / 2.6])
def test_layer_wise_rates_are_timm_s(model: nn.Module, decay: float) -> None:
    wanted = by_name(model, param_groups_layer_decay(model, layer_decay=decay), "lr_scale")
    scales = LayerWiseLr(decay).scales(context(model))
    assert {name: scale.lr for name, scale in scales.items()} == pytest.approx(wanted, rel=1e-12)
    assert {scale.weight_decay for scale in scales.values()} == {1.0}
    assert len(set(wanted.values())) > 8


@pytest.mark.parametrize("name", MODELS)
def test_what_has_no_weight_decay_is_timm_s(name: str) -> None:
    model = timm.create_model(name, num_classes=10)
    exempt = sorted(model.no_weight_decay()) if hasattr(model, "no_weight_decay") else []
    present = tuple(one for one in exempt if one in dict(model.named_parameters()))
    for also in ((), present):
        groups = param_groups_weight_decay(model, 1.0, no_weight_decay_list=also)
        wanted = {name for name, decay in by_name(model, groups, "weight_decay").items() if decay == 0}
        scales = NoBiasDecay(also).scales(context(model))
        assert set(scales) == wanted and set(scales.values()) == {Scale(weight_decay=0.0)}
        count = sum(p.numel() for n, p in model.named_parameters() if n in wanted)
        assert NoBiasDecay(also).bind(context(model)).observe() == count


def test_a_glob_that_fits_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match='also: no parameter of the backbone fits "pos_embed"'):
        NoBiasDecay(("pos_embed",)).scales(context(nn.Linear(2, 2)))


class Blocky(nn.Module):
    """A stem and its norm, a body, a norm before the head, a head; and a token that is in no block."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.stem, self.stem_norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.body, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)
        self.pool, self.head = nn.Identity(), nn.Linear(4, 2)


LAYERS = [
    {"token", "stem.weight", "stem.bias", "stem_norm.weight", "stem_norm.bias"},
    {"body.weight", "body.bias", "norm.weight", "norm.bias"},
    {"head.weight", "head.bias"},
]


def blocky() -> Any:
    model = Blocky()
    return SimpleNamespace(model=model, blocks=list(model.named_children()))


def test_each_parameter_is_in_one_layer_norms_with_what_they_follow() -> None:
    assert [set(layer) for layer in layers_of(blocky())] == LAYERS


def test_layers_of_the_residual_network_are_its_blocks() -> None:
    backbone = ResNetCifar(depth=8, width=4)
    model = backbone.build(DataInfo(3, {"image": (1, 8, 8)}))
    ctx: Any = SimpleNamespace(model=model, blocks=backbone.blocks(model))
    assert [name for name, _ in ctx.blocks] == ["stem", "stage1", "stage2", "stage3", "head"]
    assert len(layers_of(ctx)) == 5
    assert sum(map(len, layers_of(ctx))) == len(list(model.parameters()))


def test_factors_fall_from_the_head_by_hand() -> None:
    rates = LayerWiseLr(0.5).scales(blocky())
    decays = LayerWiseDecay(0.1).scales(blocky())
    for layer, rate, decay in zip(LAYERS, (0.25, 0.5, 1.0), (0.1**2, 0.1, 1.0), strict=True):
        for name in layer:
            assert rates[name] == Scale(lr=rate) and decays[name] == Scale(weight_decay=decay)
    assert HeadLr(10.0).scales(blocky()) == {name: Scale(lr=10.0) for name in LAYERS[-1]}
    assert LayerWiseLr(0.5).bind(blocky()).observe() == 0.75
    assert LayerWiseDecay(0.0).bind(blocky()).observe() == 1.0
    assert HeadLr(10.0).bind(blocky()).observe() == 4 * 2 + 2
    for still in (LayerWiseLr(1.0), LayerWiseDecay(1.0), HeadLr(1.0)):
        assert still.bind(blocky()).observe is None


@pytest.mark.parametrize("trick", [LayerWiseLr(), LayerWiseDecay(), HeadLr()])
def test_a_backbone_of_one_block_is_refused(trick: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    ctx = SimpleNamespace(model=model, blocks=list(model.named_children()))
    with pytest.raises(ValueError, match="names no blocks to tell apart"):
        trick.scales(ctx)


def test_unfreezing_begins_with_the_head_and_ends_with_everything() -> None:
    ctx = blocky()
    parameters = dict(ctx.model.named_parameters())
    slots = GradualUnfreeze((0.2, 0.6)).bind(ctx)

    def names(tensors: Any) -> set[str]:
        return {name for name, p in parameters.items() if any(p is tensor for tensor in tensors)}

    assert list(slots.freezes) == [0.0] and names(slots.freezes[0.0]) == LAYERS[0] | LAYERS[1]
    assert {share: names(tensors) for share, tensors in slots.unfreezes.items()} == {
        0.2: LAYERS[1],
        0.6: LAYERS[0],
    }
    # the last share lets in all that are left
    (joined,) = GradualUnfreeze((0.5,)).bind(ctx).unfreezes.values()
    assert names(joined) == LAYERS[0] | LAYERS[1]


def test_what_joined_in_is_counted_when_it_did() -> None:
    ctx = blocky()
    slots = GradualUnfreeze((0.2, 0.6)).bind(ctx)
    for parameter in slots.freezes[0.0]:
        parameter.requires_grad_(False)
    assert slots.observe() == 0
    for parameter in slots.unfreezes[0.2]:
        parameter.requires_grad_(True)
    assert slots.observe() == 4 * 4 + 4 + 4 + 4


def test_unfreezing_refuses_more_shares_than_layers_and_shares_that_do_not_rise() -> None:
    with pytest.raises(
        ValueError, match="shares has 3 entries, and the backbone has 2 layers below its head"
    ):
        GradualUnfreeze((0.1, 0.2, 0.3)).bind(blocky())
    for shares in ((0.5, 0.5), (0.5, 0.2)):
        with pytest.raises(ValueError, match="shares must rise"):
            GradualUnfreeze(shares)

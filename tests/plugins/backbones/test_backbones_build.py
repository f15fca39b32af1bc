from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.contract import Backbone, DataInfo
from harness.registry.discovery import discover
from harness_plugins.backbones.resnet_cifar import ResNetCifar
from harness_plugins.backbones.simple_cnn import SimpleCnn
from harness_plugins.backbones.small_input import patch_size
from harness_plugins.backbones.timm_model import TimmModel
from harness_plugins.backbones.torchvision_model import TorchvisionModel

SHAPES = [(1, 8, 8), (3, 32, 32), (3, 28, 20)]
BACKBONES = [
    SimpleCnn(width=8),
    SimpleCnn(width=4, depth=3),
    ResNetCifar(width=4),
    ResNetCifar(depth=14, width=4),
    ResNetCifar(width=4, stem_stride=2),
    TimmModel("resnet18"),
    TimmModel("resnet10t", small_input=True),
    TimmModel("vit_tiny_patch16_224", small_input=True),
    TimmModel("mobilenetv3_small_050", small_input=True),
    TorchvisionModel("resnet18"),
    TorchvisionModel("mobilenet_v3_small", small_input=True),
]


def info(shape: tuple[int, int, int], num_classes: int = 7) -> DataInfo:
    return DataInfo(num_classes, {"image": shape})


def count(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def resolutions(model: nn.Module, shape: tuple[int, int, int]) -> list[int]:
    """The heights of the four-dimensional outputs, in the order in which modules finish."""
    seen: list[int] = []
    for module in model.modules():
        module.register_forward_hook(lambda _m, _i, out: seen.append(out.shape[2]) if out.ndim == 4 else None)
    model.eval()(torch.zeros(1, *shape))
    return seen


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("backbone", BACKBONES, ids=repr)
def test_logits_have_a_column_a_class_and_every_weight_gets_a_gradient(
    backbone: Backbone, shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    model = backbone.build(info(shape))
    logits = model(torch.randn(3, *shape))
    assert logits.shape == (3, 7)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("backbone", BACKBONES, ids=repr)
def test_the_same_generator_state_gives_the_same_weights(backbone: Backbone) -> None:
    models = []
    for _ in range(2):
        torch.manual_seed(5)
        models.append(backbone.build(info((3, 32, 32))).state_dict())
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])


@pytest.mark.parametrize("backbone", BACKBONES, ids=repr)
def test_blocks_hold_the_parameters_from_stem_to_head(backbone: Backbone) -> None:
    model = backbone.build(info((3, 32, 32)))
    blocks = backbone.blocks(model)
    convolution = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    assert any(module is convolution for module in blocks[0][1].modules())
    assert any(module is head for module in blocks[-1][1].modules())
    inside = [id(weight) for _, block in blocks for weight in block.parameters()]
    loose = {id(weight) for weight in model._parameters.values()}  # a transformer's class token
    assert len(inside) == len(set(inside))
    assert set(inside) | loose == {id(weight) for weight in model.parameters()}
    assert all(model.get_submodule(name) is module for name, module in blocks)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_resnet_has_as_many_parameters_as_the_paper_says(depth: int, millions: float) -> None:
    """He et al. 2016, table 6."""
    parameters = count(ResNetCifar(depth=depth).build(info((3, 32, 32), 10))) / 1e6
    assert round(parameters, 1 if millions > 1 else 2) == millions


def test_resnet_20_has_as_many_parameters_as_counted_by_hand() -> None:
    """Each 3x3 convolution without bias, two numbers a channel and norm, a head of 64 x 10 and 10."""
    convolutions = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    norms = 2 * (16 + 6 * 16 + 6 * 32 + 6 * 64)
    assert count(ResNetCifar(depth=20).build(info((3, 32, 32), 10))) == convolutions + norms + 650


def test_resnet_stages_work_at_32_16_and_8_pixels() -> None:
    seen = resolutions(ResNetCifar(width=4).build(info((3, 32, 32))), (3, 32, 32))
    assert sorted(set(seen), reverse=True) == [32, 16, 8, 1]


def test_resnet_with_a_strided_stem_works_at_half_the_resolution_with_the_same_weights() -> None:
    plain = ResNetCifar(width=4).build(info((3, 32, 32)))
    strided = ResNetCifar(width=4, stem_stride=2).build(info((3, 32, 32)))
    assert sorted(set(resolutions(strided, (3, 32, 32))), reverse=True) == [16, 8, 4, 1]
    assert count(strided) == count(plain)


def test_resnet_shortcut_takes_every_second_pixel_and_pads_channels_with_noughts() -> None:
    """With the residual branch silenced a block is the shortcut and a ReLU (option A)."""
    block = dict(ResNetCifar(width=4).build(info((3, 32, 32))).named_modules())["stage2.0"].eval()
    nn.init.zeros_(block.norm2.weight)
    pixels = torch.rand(2, 4, 8, 8)
    output = block(pixels)
    assert output.shape == (2, 8, 4, 4)
    assert torch.equal(output[:, 2:6], pixels[:, :, ::2, ::2])
    assert not output[:, [0, 1, 6, 7]].any()


def test_resnet_starts_with_the_standard_deviation_of_he() -> None:
    torch.manual_seed(0)
    model = ResNetCifar(depth=8, width=64).build(info((3, 32, 32)))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            expected = (2 / (9 * module.out_channels)) ** 0.5
            assert float(module.weight.detach().std()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("depth", [9, 10, 18, 21])
def test_resnet_depths_that_are_not_6n_plus_2_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=f"depth must be 6n \\+ 2, not {depth}; the nearest are"):
        ResNetCifar(depth=depth)


def test_simple_cnn_of_width_8_by_hand() -> None:
    """9*8 + 16 for block 1, 9*8*16 + 32 for block 2, 16*10 + 10 for the head."""
    assert count(SimpleCnn(width=8).build(info((1, 8, 8), 10))) == 88 + 1184 + 170


def test_simple_cnn_refuses_images_under_four_pixels() -> None:
    SimpleCnn(depth=3).build(info((1, 4, 4)))(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match="4x4 pixels or more, not 3x8"):
        SimpleCnn().build(info((1, 3, 8)))


@pytest.mark.parametrize(
    "backbone", [TimmModel("resnet18", True), TorchvisionModel("resnet18", True)], ids=repr
)
def test_small_input_keeps_the_resolution_of_a_resnet(backbone: Backbone) -> None:
    model = backbone.build(info((3, 32, 32)))
    seen = resolutions(model, (3, 32, 32))
    assert list(dict.fromkeys(seen))[:4] == [32, 16, 8, 4]
    assert seen[0] == 32
    assert model.conv1.kernel_size == (3, 3)
    # the published ImageNet count, less the head and the 7x7 stem, plus ours
    assert count(model) == 11_689_512 - 513_000 - 49 * 3 * 64 + 9 * 3 * 64 + 512 * 7 + 7


def test_without_small_input_the_models_are_the_published_ones() -> None:
    for backbone in (TimmModel("resnet18"), TorchvisionModel("resnet18")):
        assert count(backbone.build(info((3, 32, 32), 1000))) == 11_689_512


def test_small_input_cuts_a_transformer_into_small_patches() -> None:
    model = TimmModel("vit_tiny_patch16_224", small_input=True).build(info((3, 32, 32)))
    assert model.patch_embed.proj.weight.shape[2:] == (4, 4)
    assert model.patch_embed.num_patches == 64


@pytest.mark.parametrize(
    ("side", "size"), [(8, 1), (16, 2), (28, 4), (32, 4), (64, 8), (96, 12), (224, 16), (5, 1), (31, 1)]
)
def test_patches_tile_the_image_seven_or_more_a_side(side: int, size: int) -> None:
    assert patch_size(side, side) == size


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (TimmModel("renset18"), 'no "timm:renset18"; did you mean timm:resnet18'),
        (TorchvisionModel("resnet81"), 'no "torchvision:resnet81"; did you mean torchvision:resnet18'),
        (TimmModel("vgg11", small_input=True), "timm:vgg11 with small_input .* no stride to take away"),
        (TimmModel("repvgg_a0", small_input=True), "does not name one first convolution"),
        (TorchvisionModel("vit_b_16", small_input=True), "patches are fixed"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused_with_a_reason(backbone: Backbone, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        backbone.build(info((3, 32, 32)))


def test_libraries_are_named_for_the_process_server() -> None:
    preloads = {entry.name: entry.preload for entry in discover(allow="first-party").entries("backbone")}
    assert preloads == {
        "simple-cnn": (),
        "resnet-cifar": (),
        "timm:": ("timm",),
        "torchvision:": ("torchvision",),
        "speedrun-cnn": (),
    }

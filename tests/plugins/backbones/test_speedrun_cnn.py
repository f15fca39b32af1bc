from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import DataInfo
from harness_plugins.backbones.speedrun_cnn import SpeedrunCnn


def info(*shape: int) -> DataInfo:
    return DataInfo(10, {"image": shape})


def test_at_its_defaults_it_is_the_papers_network() -> None:
    """Appendix A: 24 filters of 2x2; 64, 256 and 256 channels; two million parameters, counted by hand."""
    torch.manual_seed(0)
    model = SpeedrunCnn().build(info(3, 32, 32))
    filters = 24 * 12 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    biases = 24 + 2 * 2 * (64 + 256 + 256)  # batch norm has a scale and a bias, twice a block
    assert sum(weight.numel() for weight in model.parameters()) == filters + biases + 2560
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-12, 0.4)}
    assert len(norms) == 6
    assert model.head.scale == pytest.approx(1 / 9)
    assert torch.equal(model.stem.bias, torch.zeros(24))
    biased = [name for name, _ in model.named_parameters() if name.endswith("bias") and "norm" not in name]
    assert biased == ["stem.bias"]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 9, 9), (3, 20, 28)], ids=str)
def test_it_computes_what_its_docstring_says(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    model = SpeedrunCnn(widths=(4, 6, 5), head_scale=0.25).build(info(*shape))
    image = torch.randn(5, *shape)
    x = F.gelu(F.conv2d(image, model.stem.weight, model.stem.bias))
    for name in ("block1", "block2", "block3"):
        block = model.get_submodule(name)
        x = F.max_pool2d(F.conv2d(x, block.conv1.weight, padding=1), 2)
        x = F.gelu(F.batch_norm(x, None, None, training=True, eps=1e-12))
        x = F.conv2d(x, block.conv2.weight, padding=1)
        x = F.gelu(F.batch_norm(x, None, None, training=True, eps=1e-12))
    expected = x.amax((2, 3)) @ model.head.weight.T * 0.25
    torch.testing.assert_close(model.train()(image), expected)


def test_the_heads_weights_are_scaled_where_asked_and_as_drawn_otherwise() -> None:
    torch.manual_seed(0)
    plain = SpeedrunCnn(widths=(4, 4, 32)).build(info(3, 32, 32))
    torch.manual_seed(0)
    scaled = SpeedrunCnn(widths=(4, 4, 32), head_std=1.0).build(info(3, 32, 32))
    assert float(scaled.head.weight.detach().std()) == pytest.approx(1.0)
    torch.testing.assert_close(scaled.head.weight, plain.head.weight / plain.head.weight.std())


def test_images_that_three_poolings_leave_nothing_of_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images of 9x9 pixels or more, not 8x32"):
        SpeedrunCnn().build(info(3, 8, 32))

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F

from harness.contract import Batch, Slots
from harness_plugins.tricks.test_time_augmentation import TestTimeAugmentation as Views


class Net(nn.Module):
    """Not blind to where things are: a view that is off by a pixel gives other logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 10, 5))

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


def images() -> Tensor:
    return torch.randn(4, 3, 8, 10, generator=torch.Generator().manual_seed(2))


def test_it_equals_six_views_written_out(kit: Any) -> None:
    model, image = Net(), images()
    slots = Views().bind(kit.context(model))
    judged = slots.eval_model(model).eval()
    padded = F.pad(image, [1], padding_mode="reflect")
    # what was at (h, w) is now at (h + 1, w + 1): down and right
    down_right, up_left = F.crop(padded, 0, 0, 8, 10), F.crop(padded, 2, 2, 8, 10)
    mirror = F.horizontal_flip
    expected = (
        (2 * model(image) + 2 * model(mirror(image)))
        + (model(down_right) + model(mirror(down_right)))
        + (model(up_left) + model(mirror(up_left)))
    ) / 8
    torch.testing.assert_close(judged(image), expected)
    assert slots.observe() == 6
    assert not torch.allclose(judged(image), model(image))


@pytest.mark.parametrize(
    ("trick", "count"),
    [
        (Views(), 6),
        (Views(mirror=False), 3),
        (Views(pixels=0), 2),
        (Views(pixels=3, moved_share=0.9), 6),
        (Views(mirror=False, pixels=0), 1),
    ],
    ids=repr,
)
def test_the_weights_sum_to_one_and_views_keep_the_shape(trick: Views, count: int) -> None:
    views = trick.views()
    assert len(views) == count
    assert sum(weight for weight, _ in views) == pytest.approx(1.0)
    image = images()
    seen = [view(image) for _, view in views]
    assert {tuple(one.shape) for one in seen} == {(4, 3, 8, 10)}
    assert len({one.numpy().tobytes() for one in seen}) == count


def test_a_constant_model_is_judged_as_it_is(kit: Any) -> None:
    class Constant(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.arange(5.0).expand(len(image), 5)

    judged = Views(pixels=2, moved_share=0.3).bind(kit.context(Constant())).eval_model(Constant())
    torch.testing.assert_close(judged(images()), torch.arange(5.0).expand(4, 5))


def test_a_model_of_whole_batches_sees_each_view_in_its_batch(kit: Any) -> None:
    class TakesBatch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def forward(self, batch: Batch) -> Tensor:
            return self.net(batch.image) + batch.inputs["text"].float()

    image, text = images(), torch.ones(4, 5, dtype=torch.long)
    model = TakesBatch()
    judged = Views().bind(kit.context(model)).eval_model(model)
    alone = Views().bind(kit.context(model.net)).eval_model(model.net)
    batch = Batch({"image": image, "text": text}, torch.zeros(4, dtype=torch.long), torch.arange(4))
    torch.testing.assert_close(judged(batch), alone(image) + 1)


def test_what_is_no_image_is_refused_and_one_view_is_nothing(kit: Any) -> None:
    judged = Views().bind(kit.context(Net())).eval_model(Net())
    with pytest.raises(ValueError, match=r"needs images \(B, C, H, W\), not \(4, 7\)"):
        judged(torch.zeros(4, 7))
    assert Views(mirror=False, pixels=0).bind(kit.context(Net())) == Slots()

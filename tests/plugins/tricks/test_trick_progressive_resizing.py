"""Images that grow: sizes by hand, pixels against another interpolation, and backbones that do not take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harness.contract import Batch
from harness.engine.check import check_arm
from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.trial import open_run, run_trial
from harness.errors import PluginError
from harness.suite.plan import Job
from harness.testing.jobs import component, toy_job, write_toy_data
from harness.testing.toys import ToyDataset
from harness_plugins.tricks.progressive_resizing import ProgressiveResizing, _resized

CNN = component("simple-cnn", width=4, depth=2)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    data = tmp_path / "data"
    data.mkdir()
    manifest = write_toy_data(data, ToyDataset(size=16))

    def job(**changes: Any) -> Job:
        return toy_job(data, manifest, tmp_path, **{"backbone": CNN, **changes})

    return job


def resizing(**params: Any) -> list[dict[str, Any]]:
    return [component("progressive-resizing", **params)]


@pytest.mark.parametrize(
    ("trick", "side", "sizes"),
    [
        # 32 x (1/2, 2/3, 5/6) = 16, 21.3, 26.7, to multiples of 4
        (ProgressiveResizing(), 32, {0.0: 16, 0.25: 20, 0.5: 28, 0.75: 32}),
        (ProgressiveResizing(multiple=1), 32, {0.0: 16, 0.25: 21, 0.5: 27, 0.75: 32}),
        (ProgressiveResizing(start=0.25, stages=2, until=0.5), 224, {0.0: 56, 0.25: 140, 0.5: 224}),
        # neither nothing nor more than there is
        (ProgressiveResizing(start=0.01, stages=1), 8, {0.0: 4, 0.75: 8}),
        (ProgressiveResizing(start=0.9, stages=1, multiple=16), 8, {0.0: 8, 0.75: 8}),
        (ProgressiveResizing(start=1.0), 28, {0.0: 28, 0.25: 28, 0.5: 28, 0.75: 28}),
    ],
)
def test_sizes_over_the_budget_by_hand(
    trick: ProgressiveResizing, side: int, sizes: dict[float, int]
) -> None:
    assert trick.sizes(side) == pytest.approx(sizes)


@pytest.mark.parametrize("side", [8, 12, 20])
def test_pixels_are_those_of_pillow(side: int) -> None:
    """Pillow's bilinear filter, on single-precision images, is the independent one."""
    image = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    ours = _resized(torch.from_numpy(image)[None], side)[0].numpy()
    for channel, plane in zip(ours, image, strict=True):
        wanted = Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(channel, np.asarray(wanted), atol=1e-5)


def test_a_step_sees_the_size_that_was_told_ahead(make: Any) -> None:
    run = open_run(make(tricks=resizing(until=0.5, stages=2)), Owners())
    assert run.sizes == {0: 8, 12: 12, 25: 16}  # round(12.5) is 12
    seen = []
    forward = run.model.forward
    run.model.forward = lambda image: seen.append(image.shape[-1]) or forward(image)  # type: ignore[method-assign]
    for _ in steps(run, 0, run.total_steps):
        pass
    assert seen == [8] * 12 + [12] * 13 + [16] * 25


def test_it_is_evaluated_at_full_size_and_counted_across_a_checkpoint(make: Any) -> None:
    job = make(tricks=resizing(until=0.5, stages=2))
    straight = run_trial(job, report=lambda _: None, stop=lambda: False)
    asked = iter([False, True])
    assert run_trial(job, report=lambda _: None, stop=lambda: next(asked))["status"] == "preempted"
    resumed = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert resumed["digests"] == straight["digests"]
    for outcome in (straight, resumed):
        assert outcome["observables"]["trick progressive-resizing"]["value"] == 25


def test_smaller_images_cost_less(make: Any) -> None:
    half, whole = (
        run_trial(make(tricks=tricks), report=lambda _: None, stop=lambda: False)["budget"]["training_flops"]
        for tricks in (resizing(start=0.5, stages=1, until=0.8), [])
    )
    # convolutions are nearly all of it, and a quarter of the pixels a quarter of them
    assert half / whole == pytest.approx(0.8 / 4 + 0.2, rel=0.01)


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        (
            component("toy-net", width=4, batch_norm=True, dropout=0.0),
            "mat1 and mat2 shapes cannot be multiplied",
        ),
        (component("speedrun-cnn", widths=[4, 4, 4]), "Output size is too small"),
        (component("timm:", model="vit_tiny_patch16_224", small_input=True), "Input .*8.*16"),
    ],
)
def test_a_backbone_that_takes_one_size_is_refused_with_the_reason(
    make: Any, backbone: Any, reason: str
) -> None:
    with pytest.raises(
        PluginError, match=f"progressive-resizing: the backbone does not take images of 8x8.*{reason}"
    ):
        check_arm(make(backbone=backbone, tricks=resizing()))
    check_arm(make(backbone=backbone, tricks=resizing(start=1.0)))


def test_trying_the_sizes_leaves_no_trace(make: Any) -> None:
    run = open_run(make(tricks=resizing()), Owners())
    plain = open_run(make(), Owners())
    assert all(module.training for module in run.model.modules())
    for ours, wanted in zip(run.model.state_dict().values(), plain.model.state_dict().values(), strict=True):
        assert torch.equal(ours, wanted)


class OneSize:
    image_shape = (2, 1, 8, 12)
    num_classes, total_steps, step = 3, 10, 0

    def training_batches(self, count: int) -> Any:
        yield Batch({"image": torch.zeros(self.image_shape)}, torch.zeros(2).long(), torch.arange(2))


def test_from_the_whole_side_on_nothing_is_done_whatever_the_multiple(make: Any) -> None:
    """16 is no multiple of 5: rounding it to 15 would shrink what the identity leaves alone."""
    run = open_run(make(tricks=resizing(start=1.0, multiple=5)), Owners())
    assert (run.sizes, run.batch_labels) == ({}, [])


def test_images_that_are_not_square_are_refused() -> None:
    with pytest.raises(ValueError, match="images are 8x12; it takes square ones"):
        ProgressiveResizing().bind(OneSize())  # type: ignore[arg-type]

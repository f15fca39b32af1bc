"""A preview: the same draws as in a trial, each augmentation alone and all together, from raw pixels to a picture."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harness.engine.keys import Keys
from harness.engine.preview import Preview, Shown, mixed_shares, preview_arm
from harness.engine.preview_picture import CELL, GAP, draw_picture
from harness.errors import PluginError
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

MADE_UP = '''
"""Augmentations of all sorts."""
from dataclasses import dataclass
from harness.contract import Augmentation, Stage, hookimpl

@dataclass(frozen=True)
class Growing(Augmentation):
    """Brighter by the share of the training that is done."""
    def bind(self, ctx):
        """Add the progress."""
        return lambda batch: batch.with_image(batch.image + ctx.progress)

@dataclass(frozen=True)
class Swap(Augmentation):
    """Three parts of the sample and one of its neighbour."""
    stage = Stage.MIX
    def bind(self, ctx):
        """Mix with the next sample."""
        def mix(batch):
            target = batch.dense_target(ctx.num_classes)
            mixed = batch.with_image(0.75 * batch.image + 0.25 * batch.image.roll(-1, 0))
            return mixed.with_target(0.75 * target + 0.25 * target.roll(-1, 0))
        return mix

@dataclass(frozen=True)
class Halved(Augmentation):
    """Every second row and column, in the loader; darker by the sample's seed."""
    stage = Stage.GEOMETRY
    placement = "loader"
    def bind(self, ctx):
        """Take every second."""
        seeds = ctx.sample_seeds("darker")
        def halve(batch):
            import torch
            darker = torch.tensor([seed % 7 for seed in seeds(batch.ids)], dtype=torch.uint8)
            return batch.with_image(batch.image[:, :, ::2, ::2] // (1 + darker[:, None, None, None]))
        return halve

@dataclass(frozen=True)
class Around(Augmentation):
    """Another one."""
    of: Augmentation
    def bind(self, ctx):
        """Be that one."""
        return self.of.bind(ctx)

@dataclass(frozen=True)
class Broken(Augmentation):
    """Fails."""
    def bind(self, ctx):
        """Fail at the first batch."""
        def fail(batch):
            raise ValueError("made to fail")
        return fail

@hookimpl
def harness_register(registry):
    for name, cls in (("growing", Growing), ("swap", Swap), ("halved", Halved), ("broken", Broken), ("around", Around)):
        registry.add("augmentation", name, cls, summary=name)
'''


@pytest.fixture
def make_arm(make_job: Callable[..., Job], tmp_path: Path) -> Callable[..., Job]:
    path = tmp_path / "made_up.py"
    path.write_text(MADE_UP)

    def make(*augmentations: dict[str, Any], **changes: Any) -> Job:
        return make_job(augmentations=list(augmentations), plugins=(TOYS, str(path)), **changes)

    return make


def raw_pixels(job: Job, labels: np.ndarray) -> np.ndarray:
    """Return, for each sample of a preview, all raw training images of its class."""
    images, all_labels = (np.load(Path(job.data) / f"train.{name}.npy") for name in ("image", "labels"))
    return np.stack([images[all_labels == label] for label in labels]).astype(np.float32)


def test_before_is_the_raw_pixels_of_samples_with_the_classes_in_turn(make_arm: Callable[..., Job]) -> None:
    job = make_arm(component("toy-noise", strength=0.1))
    preview = preview_arm(job, samples=8)
    assert preview.labels[:6].tolist() == [0, 1, 2, 0, 1, 2]
    before = preview.shown[0].images
    assert len(before) == len(preview.labels) == 87  # all that is trained on
    candidates = raw_pixels(job, preview.labels[:8])
    off = np.abs(candidates - before[:8, None]).max(axis=(2, 3, 4)).min(axis=1)
    assert (off < 1e-2).all()


def test_each_row_is_what_a_trial_would_do_with_the_same_draws(make_arm: Callable[..., Job]) -> None:
    job = make_arm(component("toy-noise", strength=0.2), component("toy-noise", strength=0.4))
    preview = preview_arm(job, samples=8)
    assert [(row.label, row.step) for row in preview.shown] == [
        ("before", None),
        ("toy-noise", None),
        ("toy-noise#2", None),
        ("all", None),
    ]
    before, first, second, both = (row.images for row in preview.shown)
    # The table of the last of five epochs, by hand: 96 samples, one number each.
    std = 255 * job.manifest["modalities"]["image"]["std"][0]
    rises = []
    for label, images, strength in (("toy-noise", first, 0.2), ("toy-noise#2", second, 0.4)):
        name = f"sample/augmentation {label}/brightness"
        table = Keys(job.seed, 0).generator(name, 4).random((96, 1), dtype=np.float32)
        rise = (images - before).reshape(len(images), -1)
        assert np.ptp(rise, axis=1).max() < 1e-2
        rises.append(rise[:, 0])
        off = np.abs(rise[:, :1] - strength * table[:, 0] * std).min(axis=1)
        assert off.max() < 1e-2
    assert (both - before)[:, 0, 0, 0] == pytest.approx(rises[0] + rises[1], abs=1e-2)


def test_what_grows_is_shown_at_the_first_the_middle_and_the_last_step(make_arm: Callable[..., Job]) -> None:
    preview = preview_arm(make_arm(component("growing"), component("toy-noise", strength=0.1)), samples=4)
    # 87 samples in batches of 8: ten steps an epoch, five epochs.
    assert [(row.label, row.step) for row in preview.shown[1:]] == [
        ("growing", 0),
        ("growing", 25),
        ("growing", 49),
        ("toy-noise", None),
        ("all", 0),
        ("all", 25),
        ("all", 49),
    ]
    rows = preview.rows()
    assert [row["progress"] for row in rows[:3]] == [0.0, 0.5, 0.98]
    moved = [row["distances"]["brightness"]["mean"] for row in rows[:3]]
    std = 255 * preview_std(preview)
    assert moved == pytest.approx([0.0, 0.5 * std, 0.98 * std], rel=1e-3, abs=1e-3)


def preview_std(preview: Preview) -> float:
    """Return what one normalised unit is in shares of full scale, from the row at half the training."""
    return float((preview.shown[2].images - preview.shown[0].images).mean()) / 0.5 / 255


def test_mixed_targets_are_told_by_their_shares(make_arm: Callable[..., Job]) -> None:
    preview = preview_arm(make_arm(component("swap")), samples=4)
    row = preview.shown[1]
    assert row.targets.sum(1) == pytest.approx(np.ones(len(row.targets)))
    shares = mixed_shares(row.targets[:3], preview.labels[:3])
    assert shares == [[(0, 0.75), (1, 0.25)], [(1, 0.75), (2, 0.25)], [(2, 0.75), (0, 0.25)]]
    before = preview.shown[0]
    assert mixed_shares(before.targets, before.targets.argmax(1)) == [[]] * len(before.targets)
    assert mixed_shares(np.array([[0.0, 1.0]]), np.array([0])) == [[(1, 1.0)]]  # another's altogether


def test_what_runs_in_the_loader_may_give_another_size(make_arm: Callable[..., Job]) -> None:
    preview = preview_arm(make_arm(component("halved"), component("toy-noise", strength=0.1)), samples=4)
    assert [(row.label, row.placement) for row in preview.shown] == [
        ("before", None),
        ("halved", "loader"),
        ("toy-noise", "device"),
        ("all", None),
    ]
    sizes = [row.images.shape[2:] for row in preview.shown]
    assert sizes == [(8, 8), (4, 4), (8, 8), (4, 4)]
    assert preview.shown[1].images.max() < 256
    assert draw_picture(preview, 4)


def test_one_that_wraps_another_says_so(make_arm: Callable[..., Job]) -> None:
    inner = component("around", of=component("swap"))
    preview = preview_arm(make_arm(component("around", of=inner)), samples=4)
    assert [row.label for row in preview.shown] == ["before", "around of around of swap"]


def test_tricks_and_parents_are_left_out(make_arm: Callable[..., Job]) -> None:
    plain = preview_arm(make_arm(component("toy-noise", strength=0.1)), samples=4)
    job = make_arm(component("toy-noise", strength=0.1), tricks=[component("there-is-none")])
    job = replace(job, recipe={**job.recipe, "parents": {"teacher": {"arm": "gone"}}})
    other = preview_arm(job, samples=4)
    assert np.array_equal(plain.shown[-1].images, other.shown[-1].images)


def test_a_failing_augmentation_is_named(make_arm: Callable[..., Job]) -> None:
    with pytest.raises(PluginError, match=r"augmentation broken.*ValueError: made to fail"):
        preview_arm(make_arm(component("toy-noise"), component("broken")), samples=4)


def test_the_same_arm_gives_the_same_bytes_and_another_seed_others(make_arm: Callable[..., Job]) -> None:
    job = make_arm(component("toy-noise", strength=0.5), component("swap"))
    torch.manual_seed(1)
    first = preview_arm(job, samples=4)
    torch.manual_seed(2)
    second = preview_arm(job, samples=4)
    assert draw_picture(first, 4) == draw_picture(second, 4)
    assert first.rows() == second.rows()
    assert draw_picture(preview_arm(replace(job, seed=5), samples=4), 4) != draw_picture(first, 4)


def a_preview(images: np.ndarray, classes: list[str], targets: np.ndarray | None = None) -> Preview:
    labels = np.arange(len(images)) % len(classes)
    hot = np.eye(len(classes))[labels]
    after = Shown("brighter", "device", None, images + 1000, hot if targets is None else targets)
    return Preview([Shown("before", None, None, images, hot), after], labels, classes, 10)


def opened(preview: Preview, samples: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_picture(preview, samples)[0])).convert("RGB"))


def test_a_picture_holds_the_pixels_enlarged_and_cut_off_at_white() -> None:
    images = np.zeros((2, 3, 8, 8), np.float32)
    images[:, 0] = 200.0
    picture = opened(a_preview(images, ["red", "also red"]), 2)
    red = (picture == [200, 0, 0]).all(axis=2)
    # Eight pixels at nine times their size: two blocks of 72 side by side, in the upper row alone.
    assert red.sum() == 2 * CELL * CELL
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert np.ptp(rows) + 1 == CELL and np.ptp(columns) + 1 == 2 * CELL + GAP
    below = picture[rows[-1] + 1 + GAP : rows[-1] + 1 + GAP + CELL, columns[0] : columns[0] + CELL]
    assert (below == 255).all()


def test_shares_take_lines_below_their_row() -> None:
    images = np.zeros((2, 1, 8, 8), np.float32)
    plain = opened(a_preview(images, ["a", "b"]), 2)
    mixed = opened(a_preview(images, ["a", "b"], np.array([[0.7, 0.3], [0.5, 0.5]])), 2)
    assert mixed.shape[0] > plain.shape[0] and mixed.shape[1] == plain.shape[1]


@pytest.mark.parametrize("shape", [(3, 300, 200), (1, 1, 1), (3, 96, 96), (3, 7, 31)], ids=str)
def test_any_size_and_any_name_can_be_drawn(shape: tuple[int, ...]) -> None:
    images = np.full((3, *shape), np.nan, np.float32)
    names = ["x" * 200, "\x1b[31m", "日本語"]
    picture = opened(a_preview(images, names), 32)
    assert picture.shape[0] < 400 and picture.shape[1] < 700


def test_pages_get_the_same_picture_in_a_smaller_file() -> None:
    # Smooth, as photographs are: a different slope in each channel of each sample.
    slopes = np.random.default_rng(0).uniform(1, 4, (8, 3, 1, 1))
    images = (slopes * (np.arange(32)[:, None] + np.arange(32))).astype(np.float32)
    whole, small = draw_picture(a_preview(images, list("abcdefgh")), 8)
    assert len(small) < len(whole)
    one, other = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float) for data in (whole, small))
    assert np.abs(one - other).mean() < 5

"""What an augmentation costs: by hand from seconds that are planted, and in a timing pass."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from harness.contract import Batch
from harness.engine import augmentation_cost
from harness.engine.augmentation_cost import augmentation_costs, images_lost
from harness.engine.culprit import Owners
from harness.engine.timing import empty_timing, time_arm
from harness.engine.trial import open_run
from harness.record.record import dead_timing
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

SLOW = '''
"""Augmentations that take a planted time."""
import time
from dataclasses import dataclass
from harness.contract import Augmentation, hookimpl

@dataclass(frozen=True)
class Slow(Augmentation):
    """Waits."""
    seconds: float = 0.004
    def bind(self, ctx):
        """Wait, and return what came."""
        def wait(batch):
            time.sleep(self.seconds)
            return batch
        return wait

@dataclass(frozen=True)
class SlowLoader(Slow):
    """Waits in the loader."""
    placement = "loader"

@hookimpl
def harness_register(registry):
    registry.add("augmentation", "slow", Slow, summary="waits")
    registry.add("augmentation", "slow-loader", SlowLoader, summary="waits in the loader")
'''


@pytest.fixture(autouse=True)
def only_sleep_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping moves the clock by which augmentations are timed; nothing else does, whatever runs beside."""
    machine = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        machine.now += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(augmentation_cost, "perf_counter", lambda: machine.now)
    monkeypatch.setattr(augmentation_cost, "MOST_CALLS", 5)  # of what takes no time by this clock


@pytest.fixture
def slow(tmp_path: Path) -> str:
    path = tmp_path / "slow_augmentations.py"
    path.write_text(SLOW)
    return str(path)


def test_images_lost_by_hand() -> None:
    # 100 images in 0.1 s are 1,000 a second; without 0.02 s of it 100 in 0.08 s, 1,250 a second.
    assert images_lost(100, 0.1, 0.02) == pytest.approx(250.0)
    assert images_lost(100, 0.1, 0.0) == 0.0
    assert images_lost(100, 0.1, 0.1) is None


def batch_of(count: int = 8) -> Batch:
    return Batch({"image": torch.zeros(count, 1, 4, 4)}, torch.zeros(count).long(), torch.arange(count))


def fake_run(functions: list[tuple[str, Any]], **changes: Any) -> Any:
    """Return what `augmentation_costs` reads of a run."""
    return SimpleNamespace(
        batch_labels=[label for label, _ in functions],
        step=SimpleNamespace(batch_functions=[function for _, function in functions]),
        device=torch.device("cpu"),
        loader=SimpleNamespace(augmenter=None, workers=0, **changes),
        data=SimpleNamespace(train=SimpleNamespace(images=torch.zeros(1))),
        batch_size=8,
    )


def waiting(seconds: float) -> Callable[[Batch], Batch]:
    def wait(batch: Batch) -> Batch:
        time.sleep(seconds)
        return batch

    return wait


def test_each_augmentation_is_timed_alone_on_what_the_one_before_it_returned() -> None:
    seen: list[float] = []

    def brighten(batch: Batch) -> Batch:
        return batch.with_image(batch.image + 1)

    def look(batch: Batch) -> Batch:
        seen.append(float(batch.image[0, 0, 0, 0]))
        time.sleep(0.002)
        return batch

    run = fake_run([("augmentation brighten", brighten), ("trick t", brighten), ("augmentation look", look)])
    first, second = augmentation_costs(run, batch_of(), 0.01, 0.0)
    assert set(seen) == {2.0}  # the trick between them has acted too
    assert (first["label"], second["label"]) == ("augmentation brighten", "augmentation look")
    assert first["seconds_per_batch"] == 0.0
    assert second["seconds_per_batch"] == pytest.approx(0.002)
    assert second["step_share"] == pytest.approx(0.2)
    assert second["images_per_second_lost"] == pytest.approx(200.0)  # 8 in 0.008 s against 8 in 0.01 s


def test_an_arm_without_augmentations_has_nothing_called() -> None:
    def dear(batch: Batch) -> Batch:
        raise AssertionError("a trick's function was called")

    assert augmentation_costs(fake_run([("trick adversarial", dear)]), batch_of(), 0.01, 0.0) == []
    run = fake_run([("augmentation quick", waiting(0.0)), ("trick adversarial", dear)])
    assert len(augmentation_costs(run, batch_of(), 0.01, 0.0)) == 1


class FakeAugmenter:
    """Two augmentations in the loader, the first of which makes its images larger."""

    def __init__(self) -> None:
        self.functions = [("augmentation larger", waiting(0.004)), ("augmentation after", waiting(0.0))]
        self.sizes: dict[str, set[int]] = {}

    def begin(self, wanted: Any) -> None:
        assert (wanted.step, wanted.epoch, wanted.index) == (7, 2, 1)

    def apply(self, label: str, function: Any, images: torch.Tensor, wanted: Any) -> torch.Tensor:
        self.sizes.setdefault(label, set()).add(images.shape[-1])
        function(batch_of())
        return images.repeat(1, 1, 2, 2) if label.endswith("larger") else images


@pytest.mark.parametrize(("workers", "waited"), [(0, 0.0), (2, 1000.0), (2, 0.01)], ids=str)
def test_what_runs_in_the_loader_costs_what_is_waited_for(workers: int, waited: float) -> None:
    run = fake_run([])
    augmenter = FakeAugmenter()
    run.loader.augmenter, run.loader.workers = augmenter, workers
    run.moment = SimpleNamespace(step=7, epoch=2, index=1)
    images = np.zeros((8, 1, 4, 4), np.uint8)
    run.data.train.images = SimpleNamespace(read=lambda ids: images[ids])
    first, second = augmentation_costs(run, batch_of(), 0.01, waited)
    assert (first["placement"], second["placement"]) == ("loader", "loader")
    assert augmenter.sizes == {"augmentation larger": {4}, "augmentation after": {8}}
    seconds = first["seconds_per_batch"]
    assert seconds == pytest.approx(0.004)
    # In the trial's own process the whole of it; with two workers half, and no more than was waited for.
    expected = seconds / 0.01 if workers == 0 else min(seconds / 2 / 0.01, waited)
    assert first["step_share"] == pytest.approx(expected)
    assert waited != 0.01 or first["step_share"] == pytest.approx(0.01)


def timed(job: Job) -> dict[str, Any]:
    timing = time_arm(job, report=lambda _: None)
    assert timing["status"] == "completed", timing["culprit"]
    return timing


def test_a_timing_pass_finds_the_planted_cost(make_job: Callable[..., Job], slow: str) -> None:
    plain = timed(make_job())
    assert plain["augmentations"] == [] and plain["seconds"]["augmentations"] is None
    job = make_job(
        augmentations=[component("slow", seconds=0.004), component("toy-noise", strength=0.1)],
        plugins=(TOYS, slow),
    )
    timing = timed(job)
    waits, noise = timing["augmentations"]
    assert (waits["label"], noise["label"]) == ("augmentation slow", "augmentation toy-noise")
    assert noise["seconds_per_batch"] == 0.0
    assert waits["seconds_per_batch"] == pytest.approx(0.004)
    assert waits["step_share"] == pytest.approx(waits["seconds_per_batch"] / timing["step_seconds"]["median"])
    assert timing["seconds"]["augmentations"] > 0


def test_a_timing_pass_finds_the_planted_cost_in_the_loader(make_job: Callable[..., Job], slow: str) -> None:
    timing = timed(make_job(augmentations=[component("slow-loader", seconds=0.004)], plugins=(TOYS, slow)))
    (cost,) = timing["augmentations"]
    assert timing["loader"]["mode"] == "memory"
    assert cost["placement"] == "loader"
    assert cost["seconds_per_batch"] == pytest.approx(0.004)
    assert cost["step_share"] == pytest.approx(cost["seconds_per_batch"] / timing["step_seconds"]["median"])


def test_every_timing_has_the_key(make_job: Callable[..., Job]) -> None:
    assert empty_timing()["augmentations"] is None
    assert dead_timing("crashed", None).keys() == empty_timing().keys()


def test_what_was_composed_stays_as_it_was(make_job: Callable[..., Job]) -> None:
    run = open_run(make_job(augmentations=[component("toy-noise", strength=0.1)]), Owners())
    run.begin_epoch(0)
    batch = next(run.training_batches(1))
    kept, step = batch.image.clone(), run.moment.step
    augmentation_costs(run, batch, 0.01, 0.0)
    assert torch.equal(batch.image, kept) and run.moment.step == step


@pytest.mark.gpu
def test_on_a_gpu_events_tell_the_seconds(make_job: Callable[..., Job]) -> None:
    job = make_job(augmentations=[component("toy-noise", strength=0.1)])
    (cost,) = timed(replace(job, device="cuda:0"))["augmentations"]
    assert cost["seconds_per_batch"] > 0

"""Resident, memory and stream, with any number of workers, are one and the same training."""

import dataclasses
import hashlib
import multiprocessing
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.engine import loaders
from harness.engine.culprit import Owners
from harness.engine.loader_choice import choose
from harness.engine.run import Run
from harness.engine.trial import open_run, run_trial
from harness.registry.discovery import discover
from harness.suite.plan import Job
from harness.suite.prepare import prepare
from harness.testing.jobs import TOYS, component, toy_job

PLUGIN = str(Path(__file__).parent / "encoded_toys.py")
WAYS = [("memory", 0), ("memory", 1), ("memory", 2), ("stream", 0), ("stream", 1), ("stream", 2)]
DROPOUT = component("toy-net", width=8, batch_norm=True, dropout=0.2)
ON_DEVICE = [component("toy-noise", strength=0.1)]


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The data root, the prepared folder with everything in it, and the manifest."""
    root, cache = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("cache")
    normal = {**component("encoded", samples=96, skip_damaged=False), "validation": 0.1}
    made = prepare(normal, discover([Path(TOYS), Path(PLUGIN)]), root, cache, mode="memory")
    return root, made.folder, made.manifest


@pytest.fixture
def make(encoded: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> Callable[..., Job]:
    root, folder, manifest = encoded

    def job(mode: str, workers: int = 0, place: str = "trial", **changes: Any) -> Job:
        (tmp_path / place).mkdir(exist_ok=True)
        dataset = {**component("encoded", samples=96, skip_damaged=False), "validation": 0.1}
        made = toy_job(
            folder,
            manifest,
            tmp_path / place,
            plugins=(TOYS, PLUGIN),
            **{"dataset": dataset, "backbone": DROPOUT, "augmentations": ON_DEVICE, **changes},
        )
        return dataclasses.replace(made, data_root=str(root), loader={"mode": mode, "workers": workers})

    return job


@pytest.fixture
def opened() -> Iterator[Callable[[Job], Run]]:
    runs: list[Run] = []

    def open_one(job: Job) -> Run:
        runs.append(open_run(job, Owners()))
        return runs[-1]

    yield open_one
    for run in runs:
        run.loader.close()


def trial(job: Job, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    outcome = run_trial(job, report=lambda _: None, stop=stop)
    assert outcome["culprit"] is None, outcome["culprit"]
    return outcome


def same(outcome: dict[str, Any], expected: dict[str, Any]) -> None:
    assert outcome["status"] == expected["status"] == "completed"
    for name in ("digests", "curves", "results", "changes"):
        assert outcome[name] == expected[name], name


@pytest.fixture
def resident(make: Callable[..., Job]) -> dict[str, Any]:
    return trial(make("resident"))


@pytest.mark.parametrize(("mode", "workers"), WAYS)
def test_every_way_trains_the_same_weights_in_the_same_order(
    make: Callable[..., Job], resident: dict[str, Any], mode: str, workers: int
) -> None:
    outcome = trial(make(mode, workers))
    same(outcome, resident)
    assert outcome["loader"]["mode"] == mode
    assert outcome["loader"]["workers"] == workers
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("layout", [False, True])
def test_batches_are_equal_bit_for_bit_from_any_start(
    make: Callable[..., Job], opened: Callable[[Job], Run], layout: bool
) -> None:
    numerics = {**make("auto").recipe["numerics"], "channels_last": layout}
    held = opened(make("resident", numerics=numerics))
    others = [opened(make(mode, workers, numerics=numerics)) for mode, workers in WAYS[2:5]]
    for epoch, start in ((0, 0), (1, 0), (2, 7), (1, 3)):
        expected = list(held.begin_epoch(epoch, start)[0])
        assert len(expected) == held.steps_per_epoch - start
        for run in others:
            found = list(run.begin_epoch(epoch, start)[0])
            assert len(found) == len(expected)
            for one, other in zip(found, expected, strict=True):
                assert torch.equal(one.image, other.image)
                assert one.image.stride() == other.image.stride()
                assert torch.equal(one.ids, other.ids) and torch.equal(one.target, other.target)


@pytest.mark.parametrize(("mode", "workers"), [("memory", 0), ("memory", 2), ("stream", 1), ("stream", 2)])
def test_a_trial_that_goes_on_mid_epoch_equals_a_straight_one(
    make: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, mode: str, workers: int
) -> None:
    monkeypatch.setattr("harness.engine.trial.WINDOW", 4)
    budget = {"unit": "epochs", "amount": 2.5}
    straight = trial(make("resident", place="straight", budget=budget))
    assert straight["budget"]["steps"] == 25
    looks = iter([False, False, False, True])
    job = make(mode, workers, place="stopped", budget=budget)
    assert trial(job, stop=lambda: next(looks))["status"] == "preempted"
    resumed = trial(job)
    assert resumed["resumed_from_step"] % straight["budget"]["steps"] not in (0, 10, 20)
    same(resumed, straight)


@pytest.mark.parametrize(("mode", "workers"), WAYS[1:])
def test_what_runs_in_the_loader_draws_the_same_in_every_way(
    make: Callable[..., Job], resident: dict[str, Any], mode: str, workers: int
) -> None:
    placed = [component("jitter", strength=40), component("unseeded"), *ON_DEVICE]
    expected = trial(make("memory", 0, place="expected", augmentations=placed))
    assert expected["digests"]["order"] == resident["digests"]["order"]
    assert expected["digests"]["final_weights"] != resident["digests"]["final_weights"]
    assert expected["pipeline"].splitlines()[0] == "loader: augmentation unseeded -> augmentation jitter"
    same(trial(make(mode, workers, augmentations=placed)), expected)


def test_the_same_workers_serve_every_epoch_and_the_same_place_twice_gives_the_same(
    make: Callable[..., Job],
    opened: Callable[[Job], Run],
) -> None:
    run = opened(make("stream", 2, augmentations=[component("jitter", strength=40)]))
    seen = set()
    for epoch in range(3):
        batches = list(run.begin_epoch(epoch)[0])
        seen |= {process.pid for process in multiprocessing.active_children()}
        images = torch.cat([batch.image for batch in batches])
        if epoch == 1:
            first = images
    assert len(seen) == 2
    again = torch.cat([batch.image for batch in run.begin_epoch(1)[0]])
    assert torch.equal(again, first)
    assert {process.pid for process in multiprocessing.active_children()}.isdisjoint(seen)
    assert not torch.equal(images, first)
    run.loader.close()
    assert multiprocessing.active_children() == []


def test_draws_in_the_loader_are_keyed_by_epoch_and_sample(
    make: Callable[..., Job], opened: Callable[[Job], Run]
) -> None:
    """Held against numpy's Philox, keyed as PROTOCOL has it: seed, replicate, salt, name, epoch."""
    run = opened(make("stream", 0, augmentations=[component("mark")]))
    for step in (0, 9, 10, 25, 3):
        wanted = next(run.loader._wanted(step))
        text = f"0\x000\x00\x00sample/augmentation mark/grey\x00{step // 10}"
        key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
        table = np.random.Generator(np.random.Philox(key=key)).random((96, 1), dtype=np.float32)
        painted = run.loader._fetch[wanted]
        assert (painted == painted[:, :, :1, :1]).all()
        assert painted[:, 0, 0, 0].tolist() == (table[wanted.ids, 0] * 256).astype(np.uint8).tolist()


@pytest.mark.parametrize("workers", [0, 1])
def test_torchs_global_generator_stays_as_it_is(
    make: Callable[..., Job], opened: Callable[[Job], Run], workers: int
) -> None:
    placed = [component("jitter", strength=40), component("unseeded")]
    run = opened(make("memory", workers, augmentations=placed))
    before = torch.default_generator.get_state()
    assert len(list(run.begin_epoch(0)[0])) == run.steps_per_epoch
    assert torch.equal(torch.default_generator.get_state(), before)


def test_a_timing_goes_round_and_round_with_the_same_workers(
    make: Callable[..., Job], opened: Callable[[Job], Run]
) -> None:
    run = opened(make("stream", 1, budget={"unit": "steps", "amount": 4}))
    run.loader.cycles = True

    def four() -> torch.Tensor:
        batches, _ = run.begin_epoch(0)
        return torch.cat([next(batches).image for _ in range(4)])

    first, (worker,) = four(), multiprocessing.active_children()
    assert torch.equal(four(), first) and torch.equal(four(), first)
    assert multiprocessing.active_children() == [worker]


def test_augmentations_in_the_loader_may_change_the_size_of_images(
    make: Callable[..., Job], opened: Callable[[Job], Run]
) -> None:
    run = opened(make("memory", 1, augmentations=[component("shrink", gives="images")]))
    plain = opened(make("resident", augmentations=[]))
    batch, whole = next(run.begin_epoch(0)[0]), next(plain.begin_epoch(0)[0])
    assert torch.equal(batch.image, whole.image[:, :, ::2, ::2])


def test_a_fetch_that_travels_is_made_again_from_the_job(
    make: Callable[..., Job], opened: Callable[[Job], Run]
) -> None:
    """What a spawned worker gets."""
    for mode in ("memory", "stream"):
        run = opened(make(mode, augmentations=[component("jitter", strength=40)]))
        fetch = run.loader._fetch
        packed = pickle.dumps(fetch)
        assert len(packed) < 20_000
        wanted = next(run.loader._wanted(13))
        assert torch.equal(pickle.loads(packed)[wanted], fetch[wanted])


def test_the_share_of_waiting_is_measured_where_the_step_waits(
    make: Callable[..., Job],
    opened: Callable[[Job], Run],
    encoded: tuple[Path, Path, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock that moves while a file is read (in the trial's own process), and at no other time."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(loaders, "perf_counter", lambda: sum(slept))
    fault = encoded[0] / "fault"
    run = opened(make("stream", 0))
    fault.write_text("sleep 0.02")
    try:
        list(run.begin_epoch(0)[0])
    finally:
        fault.unlink()
    waited = run.loader.waited_seconds
    assert waited == pytest.approx(0.02 * run.steps_per_epoch)
    list(run.begin_epoch(1)[0])
    assert run.loader.waited_seconds == waited


@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_is_evaluated_once_and_nothing_is_left_over(
    make: Callable[..., Job],
    opened: Callable[[Job], Run],
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    monkeypatch.setattr("harness.engine.loaders.FEW_SAMPLES", 0)
    run = opened(make("stream", workers, evaluation={"batch_size": 5}))
    held = opened(make("resident"))
    for part, other in ((run.data.test(), held.data.test()), (run.data.validation, held.data.validation)):
        pairs = list(run.loader.evaluated(part, 5))
        assert torch.cat([ids for _, ids in pairs]).tolist() == other.ids.tolist()
        assert torch.equal(torch.cat([images for images, _ in pairs]), other.take(other.ids))
    some = run.loader.evaluated(run.data.test(), 5)
    next(some)
    some.close()  # as where a model fails
    assert multiprocessing.active_children() == []


def test_auto_takes_what_suits_and_says_why(
    make: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = discover([Path(TOYS), Path(PLUGIN)])

    def chosen(mode: str, **changes: Any) -> tuple[str, int, str]:
        return dataclasses.astuple(choose(make(mode, 2, **changes), registry))

    assert chosen("auto") == ("resident", 0, "the data fits the device")
    placed = [component("jitter", strength=40)]
    reason = "augmentation jitter runs in the loader, on a CPU"
    assert chosen("auto", augmentations=placed) == ("memory", 2, reason)
    assert chosen("resident", augmentations=placed) == (
        "memory",
        2,
        f"the suite asks for resident, but {reason}",
    )
    monkeypatch.setattr("harness.engine.loader_choice.free_bytes", lambda _: 10_000)
    mode, workers, reason = chosen("auto")
    assert (mode, workers) == ("memory", 2)
    # 96 + 48 images of 64 bytes, against half of what is free
    assert "9,216 bytes" not in reason and "cpu has room for 5,000" in reason


def test_a_resident_set_that_does_not_fit_is_one_clear_error_before_training(
    make: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.engine.loader_choice.free_bytes", lambda _: 10_000)
    outcome = run_trial(make("resident"), report=lambda _: None, stop=lambda: False)
    assert outcome["status"] == "failed"
    assert '[loader] mode = "resident"' in outcome["culprit"]["error"]
    assert 'use "auto" or "memory"' in outcome["culprit"]["error"]
    assert outcome["budget"]["steps"] is None
    fallen = trial(make("auto"))
    assert fallen["loader"]["mode"] == "memory"
    assert "room for 5,000" in fallen["loader"]["reason"]


@pytest.mark.gpu
@pytest.mark.parametrize(("mode", "workers"), WAYS)
def test_on_a_gpu_batches_are_those_of_the_resident_set(
    make: Callable[..., Job], opened: Callable[[Job], Run], mode: str, workers: int
) -> None:
    runs = []
    for way in (("resident", 0), (mode, workers)):
        job = dataclasses.replace(make(*way, augmentations=[]), device="cuda:0")
        runs.append(opened(job))
    for epoch in range(3):
        for one, other in zip(runs[0].begin_epoch(epoch)[0], runs[1].begin_epoch(epoch)[0], strict=True):
            assert other.image.device.type == "cuda"
            assert torch.equal(one.image, other.image) and torch.equal(one.ids, other.ids)

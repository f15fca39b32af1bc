"""Datasets around others, in every way that samples reach the device: the same samples, and versions kept together."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.engine.check import check_arm
from harness.engine.culprit import Owners
from harness.engine.run import Run
from harness.engine.trial import open_run, run_trial
from harness.errors import DataError
from harness.registry.discovery import discover
from harness.suite.plan import Job
from harness.suite.prepare import prepare
from harness.testing.jobs import TOYS, toy_job

PLUGIN = str(Path(__file__).parent / "encoded_toys.py")
REGISTRY = discover([Path(TOYS), Path(PLUGIN)], allow="first-party")
ENCODED = {"name": "encoded", "samples": 96}
NOISY = {"name": "label-noise", "of": ENCODED, "rate": 0.3}
WRAPPED: dict[str, dict[str, Any]] = {
    "label-noise": NOISY,
    "imbalance": {"name": "imbalance", "of": ENCODED, "factor": 3.0},
    "cache": {"name": "cache", "of": ENCODED, "limit_bytes": 4000},
    "memory-map": {"name": "memory-map", "of": ENCODED},
    "one around the other": {"name": "cache", "of": {"name": "imbalance", "of": NOISY, "factor": 2.0}},
    "precomputed-augmentation": {
        "name": "precomputed-augmentation",
        "of": ENCODED,
        "augmentation": {"name": "padded-crop", "padding": 2},
        "copies": 2,
    },
}
WAYS = [("resident", 0), ("memory", 0), ("stream", 0), ("stream", 2)]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Job]:
    def job(table: dict[str, Any], mode: str = "resident", workers: int = 0, **changes: Any) -> Job:
        dataset, problems = REGISTRY.validate("dataset", {"validation": 0.25, **table}, "dataset")
        assert problems == []
        made = prepare(dataset, REGISTRY, tmp_path, tmp_path / "cache", mode="memory")
        place = tmp_path / f"{mode}-{workers}"
        place.mkdir(exist_ok=True)
        budget = {"unit": "epochs", "amount": 2}
        files = (TOYS, PLUGIN)
        job = toy_job(
            made.folder, made.manifest, place, plugins=files, dataset=dataset, **{"budget": budget, **changes}
        )
        return dataclasses.replace(job, data_root=str(tmp_path), loader={"mode": mode, "workers": workers})

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


def trial(job: Job) -> dict[str, Any]:
    outcome = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert outcome["status"] == "completed", outcome["culprit"]
    return {name: outcome[name] for name in ("digests", "curves", "results")}


@pytest.mark.parametrize("name", WRAPPED)
def test_every_way_trains_the_same_weights(make: Callable[..., Job], name: str) -> None:
    expected = trial(make(WRAPPED[name], *WAYS[0]))
    for mode, workers in WAYS[1:]:
        assert trial(make(WRAPPED[name], mode, workers)) == expected, mode


@pytest.mark.parametrize("name", ["cache", "memory-map"])
def test_where_the_data_lies_changes_nothing(make: Callable[..., Job], name: str) -> None:
    assert trial(make(WRAPPED[name], "stream")) == trial(make(ENCODED))


def test_images_are_kept_from_epoch_to_epoch(make: Callable[..., Job], opened: Callable[[Job], Run]) -> None:
    """72 of 96 are trained on, 9 batches of 8; with room for all, the second epoch decodes nothing."""
    run = opened(make({"name": "cache", "of": ENCODED}, "stream"))
    kept = run.data.train.images._of
    before = kept.misses
    for epoch in (0, 1):
        hits, misses = kept.hits, kept.misses
        assert len(list(run.begin_epoch(epoch)[0])) == 9
        assert kept.hits - hits + kept.misses - misses == 72
    assert (kept.misses - misses, kept.hits - hits) == (0, 72)
    assert kept.misses - before > 50


def test_labels_are_wrong_in_training_and_validation_and_right_in_the_test(
    make: Callable[..., Job], opened: Callable[[Job], Run]
) -> None:
    noisy, clean = opened(make(NOISY)).data, opened(make(ENCODED)).data
    wrong = np.flatnonzero(noisy.labels != clean.labels)
    counts = np.bincount(clean.labels)
    assert np.bincount(clean.labels[wrong]).tolist() == [round(0.3 * int(count)) for count in counts]
    assert noisy.validation is not None
    assert (
        np.isin(wrong, noisy.validation.ids.numpy()).any() and np.isin(wrong, noisy.train.ids.numpy()).any()
    )
    assert torch.equal(noisy.test().labels, clean.test().labels)


@pytest.mark.parametrize("mode", ["resident", "stream"])
def test_versions_of_one_image_are_never_on_both_sides(
    make: Callable[..., Job], opened: Callable[[Job], Run], mode: str
) -> None:
    versions = opened(make(WRAPPED["precomputed-augmentation"], mode)).data
    plain = opened(make(ENCODED, mode)).data
    assert versions.samples == 3 * plain.samples
    held, trained = versions.validation.ids, versions.train.ids
    # What is judged is what the plain dataset is judged on: the images as they are.
    assert torch.equal(held, plain.validation.ids)
    assert torch.equal(versions.validation.labels, plain.validation.labels)
    assert set((trained % 96).tolist()).isdisjoint(held.tolist())
    assert len(trained) == 3 * (96 - len(held))
    assert trained[: len(plain.train)].tolist() == plain.train.ids.tolist()
    # One normalises by the statistics of all versions, so pixels are compared.
    pixels, expected = (
        data.validation.take(held) * data.train.std + data.train.mean for data in (versions, plain)
    )
    assert torch.allclose(pixels, expected, atol=1e-3)


def test_sources_that_were_edited_are_refused(make: Callable[..., Job], opened: Callable[[Job], Run]) -> None:
    job = make(WRAPPED["precomputed-augmentation"])
    file = Path(job.data) / "train.sources.npy"
    np.save(file, np.load(file)[::-1])
    with pytest.raises(DataError, match=r"train\.sources\.npy: not what was prepared"):
        opened(job)


def test_an_augmentation_made_ahead_that_changes_what_a_label_means_is_warned_of(
    make: Callable[..., Job],
) -> None:
    def warnings(augmentation: str) -> list[str]:
        return check_arm(
            make(
                {
                    "name": "precomputed-augmentation",
                    "of": "digits",
                    "augmentation": augmentation,
                    "copies": 1,
                }
            )
        )

    assert warnings("padded-crop") == []
    (warning,) = warnings("horizontal-flip")
    assert warning.startswith("augmentation horizontal-flip: dataset precomputed-augmentation says")

"""The speedrun's suite arm and the plain script of the recipe are one and the same training."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
SUITE = (ROOT / "benchmarks" / "suites" / "speedrun-cpu.toml").read_text()

BLOBS = """
from dataclasses import dataclass
from harness.contract import Dataset, Prepared, Split, hookimpl

@dataclass(frozen=True)
class Blobs(Dataset):
    def prepare(self, root):
        import numpy as np
        generator = np.random.default_rng(3)
        prototypes = generator.integers(0, 256, (10, 3, 4, 4)).repeat(4, axis=2).repeat(4, axis=3)

        def split(count):
            labels = np.arange(count, dtype=np.int64) % 10
            noise = generator.normal(0, 60, (count, 3, 16, 16))
            return Split({"image": np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)}, labels)

        return Prepared(split(200), split(50), tuple("abcdefghij"))

@hookimpl
def harness_register(registry):
    registry.add("dataset", "blobs", Blobs, summary="coloured squares under noise")
"""


@pytest.fixture(scope="module")
def compare() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks" / "speedrun"))
    import compare as module

    yield module
    sys.path.remove(str(ROOT / "benchmarks" / "speedrun"))


@pytest.fixture
def job(compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The small suite's arm on 200 images of 16x16, four epochs of five steps."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "blobs.py").write_text(BLOBS)
    cifar = '{ name = "subset", of = { name = "cifar10" }, samples = 5000, validation = 0.0 }'
    assert cifar in SUITE
    text = SUITE.replace(cifar, '{ name = "blobs", validation = 0.0 }')
    (tmp_path / "suite.toml").write_text('plugins = ["./blobs.py"]\n' + text)
    options = argparse.Namespace(
        suite=tmp_path / "suite.toml",
        arm="airbench94",
        data=None,
        device="cpu",
        epochs=4.0,
        batch_size=40,
        widths=[8, 12, 8],
    )
    job = compare.make_job(options, str(tmp_path))
    for normal in job.recipe["optimizer"]:
        normal["params"]["lr"] *= 5  # rates are per sample, and batches are small here
    return job


def test_curve_and_logits_are_the_plain_scripts_to_a_few_roundings(compare: Any, job: Any) -> None:
    ((plain, ours),) = compare.interleave(job, rounds=1)
    assert len(plain.losses) == len(ours.losses) == 20
    assert compare.largest_difference(plain.losses, ours.losses) < 5e-6
    torch.testing.assert_close(ours.logits, plain.logits, atol=2e-4, rtol=0)
    assert len(set(ours.losses)) == 20 and ours.losses[-1] < ours.losses[0]
    assert compare.show([(plain, ours)], plain, "cpu") > 0


def test_a_rate_that_is_a_hundredth_off_is_seen(compare: Any, job: Any) -> None:
    plain = compare.run_plain(job)
    job.recipe["optimizer"][0]["params"]["lr"] *= 1.01
    ours = compare.run_suite_arm(job)
    assert compare.largest_difference(plain.losses, ours.losses) > 5e-6


def test_another_arm_than_the_scripts_is_refused(compare: Any, job: Any) -> None:
    without = [trick for trick in job.recipe["tricks"] if trick["name"] != "lookahead"]
    with pytest.raises(ValueError, match="use airbench94"):
        compare.plain_recipe({**job.recipe, "tricks": without})


@pytest.mark.gpu
def test_on_a_gpu_in_half_precision_the_curves_stay_within_its_rounding(compare: Any, job: Any) -> None:
    job.recipe["numerics"]["precision"] = "pure-fp16"
    ((plain, ours),) = compare.interleave(dataclasses.replace(job, device="cuda"), rounds=1)
    assert compare.largest_difference(plain.losses, ours.losses) < 2e-2
    assert plain.seconds > 0 and ours.seconds > 0

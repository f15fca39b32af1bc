"""The largest micro-batch that fits: bytes by hand, against what is there, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from harness.contract import Batch
from harness.engine.check import check_arm
from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.run import Run
from harness.engine.trial import open_run, run_trial
from harness.errors import PluginError
from harness.registry.discovery import discover
from harness.suite.plan import Job
from harness.suite.recipe import incompatible
from harness.testing.jobs import component, toy_job, toy_recipe, write_toy_data
from harness.testing.toys import ToyDataset
from harness_plugins.tricks.batch_size_finder import GIB, BatchSizeFinder

NET = component("toy-net", width=8, batch_norm=False, dropout=0.0)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    data = tmp_path / "data"
    data.mkdir()
    manifest = write_toy_data(data)

    def job(**changes: Any) -> Job:
        return toy_job(data, manifest, tmp_path, **{"backbone": NET, "batch_size": 16, **changes})

    return job


def finder(**params: Any) -> dict[str, Any]:
    return component("batch-size-finder", **params)


def parts_of(job: Job) -> int:
    return open_run(job, Owners()).step.micro_batches


def context(model: nn.Module, images: torch.Tensor) -> Any:
    batch = Batch({"image": images}, torch.zeros(len(images)).long(), torch.arange(len(images)))
    return SimpleNamespace(
        model=model,
        device=torch.device("cpu"),
        forward=lambda part: model(part.image),
        training_batches=lambda count: iter([batch]),
    )


def test_bytes_of_two_layers_by_hand() -> None:
    """Linear 6 -> 4, ReLU, Linear 4 -> 3, cross-entropy.

    For the backward pass are kept, for each sample: 6 numbers of input for the first layer's weights, 4 of the
    ReLU's output (the second layer's input is the same storage), 3 log-probabilities, and the target of 8 bytes. The
    weight of the loss, one number, does not grow.
    """
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    ctx = context(model, torch.randn(10, 6))
    fixed, slope = BatchSizeFinder(states=2)._needed_bytes(ctx, next(ctx.training_batches(1)))
    assert slope == (6 + 4 + 3) * 4 + 8
    weights = (6 * 4 + 4 + 4 * 3 + 3) * 4
    assert fixed == weights * (1 + 1 + 2) + 10 * 6 * 4 + 4
    held = BatchSizeFinder(states=0)._needed_bytes(ctx, next(ctx.training_batches(1)))[0]
    assert fixed - held == 2 * weights


def test_the_line_through_two_small_batches_holds_for_a_large_one() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    ctx = context(model, torch.randn(48, 1, 8, 8))
    sample = next(ctx.training_batches(1))
    fixed, slope = BatchSizeFinder()._needed_bytes(ctx, sample)
    grown, _ = BatchSizeFinder()._needed_bytes(ctx, sample)
    assert (grown, slope > 0) == (fixed, True)
    kept: dict[int, torch.Tensor] = {}
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        nn.functional.cross_entropy(model(sample.image), sample.target)
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    small = fixed - 4 * sum(p.numel() for p in model.parameters()) * 4
    small -= sum(b.numel() * b.element_size() for b in model.buffers()) + sample.image.numel() * 4
    assert small + 48 * slope == found


def test_the_parts_are_as_few_as_fit(make: Any) -> None:
    run = open_run(make(), Owners())
    ctx = context(run.model, next(run.training_batches(1)).image)
    fixed, slope = BatchSizeFinder()._needed_bytes(ctx, next(ctx.training_batches(1)))
    for fitting, parts in ((16, 1), (15, 2), (8, 2), (7, 3), (4, 4), (1, 16)):
        limit = (fixed + (fitting + 0.5) * slope) / GIB
        assert parts_of(make(tricks=[finder(limit_gib=limit, reserve=0.0)])) == parts
        assert parts_of(make(tricks=[finder(limit_gib=limit * 2, reserve=0.5)])) == parts


def test_the_update_is_that_of_as_many_parts_given_and_the_choice_is_recorded(make: Any) -> None:
    found = run_trial(
        make(tricks=[finder(limit_gib=1.4e-5, reserve=0.0)]), report=lambda _: None, stop=lambda: False
    )
    parts = next(line for line in found["pipeline"].splitlines() if line.startswith("micro-batches"))
    number = int(parts.split()[1])
    assert number > 1 and parts == f"micro-batches: {number} -> trick batch-size-finder (OBJECTIVE)"
    assert found["observables"]["trick batch-size-finder"]["value"] == -(-16 // number)
    given = run_trial(
        make(tricks=[component("grad-accumulation", micro_batches=number)]),
        report=lambda _: None,
        stop=lambda: False,
    )
    assert found["digests"] == given["digests"]


def test_half_precision_leaves_room_for_more(make: Any) -> None:
    numerics = {"channels_last": False, "compile": False, "threads": 1, "deterministic": False}
    full, half = (
        parts_of(
            make(
                tricks=[finder(limit_gib=1.4e-5, reserve=0.0)], numerics={**numerics, "precision": precision}
            )
        )
        for precision in ("fp32", "pure-bf16")
    )
    assert half < full


def test_measuring_leaves_no_trace(make: Any) -> None:
    net = component("toy-net", width=8, batch_norm=True, dropout=0.3)
    tricks = [finder(limit_gib=1.0)]
    plain, found = (
        run_trial(make(backbone=net, tricks=t), report=lambda _: None, stop=lambda: False)
        for t in ([], tricks)
    )
    assert found["digests"] == plain["digests"]
    run = open_run(make(backbone=net, tricks=tricks), Owners())
    assert all(parameter.grad is None for parameter in run.model.parameters())
    assert int(run.model.state_dict()["2.num_batches_tracked"]) == 0


def test_without_a_limit_a_cpu_is_refused_and_so_is_one_that_holds_no_sample(make: Any) -> None:
    with pytest.raises(PluginError, match="batch-size-finder: limit_gib is missing, and the device is cpu"):
        check_arm(make(tricks=[finder()]))
    with pytest.raises(PluginError, match=r"limit_gib leaves 9e-07 GiB .* one sample needs .* GiB"):
        check_arm(make(tricks=[finder(limit_gib=1e-6, reserve=0.1)]))


def test_two_that_split_the_batch_are_refused() -> None:
    registry = discover(allow="first-party")
    for other in ("grad-accumulation", "batch-size-finder"):
        recipe = toy_recipe(tricks=[finder(limit_gib=1.0), component(other)])
        assert 'it conflicts with "micro-batches"' in incompatible(recipe, registry)[0].message


@pytest.mark.gpu
def test_a_gpu_stays_within_the_limit_and_is_its_own_where_none_is_given(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    manifest = write_toy_data(data, ToyDataset(samples=1200, size=32))

    def gpu_run(**params: Any) -> Run:
        job = toy_job(
            data,
            manifest,
            tmp_path,
            backbone=component("resnet-cifar", depth=20, width=32),
            batch_size=1000,
            tricks=[finder(states=1, **params)],
        )
        return open_run(dataclasses.replace(job, device="cuda"), Owners())

    assert gpu_run().step.micro_batches == 1
    run = gpu_run(limit_gib=1.0)
    assert run.step.micro_batches > 1
    torch.cuda.reset_peak_memory_stats()
    for _ in steps(run, 0, 2):
        pass
    assert torch.cuda.max_memory_allocated() < GIB

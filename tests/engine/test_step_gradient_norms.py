"""Gradient norms by layer: against norms taken by hand, through a checkpoint, and nothing at all when off."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.engine.checkpoint import load_checkpoint, save_checkpoint
from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.run import Run
from harness.engine.trial import open_run, run_trial
from harness.suite.plan import Job

NET = {"name": "toy-net", "params": {"width": 8, "batch_norm": True, "dropout": 0.0}}
LAYERS = ["1", "2", "4"]
CLIP = [{"name": "grad-clip", "params": {"max_norm": 0.01}}]


def with_norms(job: Job, on: bool = True) -> Job:
    return Job.from_json({**job.to_json(), "measure": {**job.measure, "gradient_norms": on}})


def opened(job: Job) -> Run:
    return open_run(with_norms(job), Owners())


def test_they_are_the_means_over_an_epoch_of_each_layer_s_norm(make_job: Callable[..., Job]) -> None:
    run = opened(make_job(backbone=NET))
    by_hand: dict[str, list[list[float]]] = {layer: [[], []] for layer in LAYERS}
    for step, _ in steps(run, 0, 15):  # an epoch of ten steps, and half of one
        for layer in LAYERS:
            module = run.model.get_submodule(layer)
            whole = torch.cat([parameter.grad.flatten() for parameter in module.parameters()])
            by_hand[layer][step // 10].append(float(whole.norm()))
    read = run.gradient_norms()
    assert list(read) == LAYERS
    for layer, epochs in by_hand.items():
        assert [len(norms) for norms in epochs] == [10, 5]
        assert read[layer] == pytest.approx([sum(norms) / len(norms) for norms in epochs], rel=1e-5)


def test_they_are_taken_before_a_gradients_slot_changes_anything(make_job: Callable[..., Job]) -> None:
    plain, clipped = opened(make_job(backbone=NET)), opened(make_job(backbone=NET, tricks=CLIP))
    for run in (plain, clipped):
        next(steps(run, 0, 1))
    assert plain.gradient_norms() == clipped.gradient_norms()


def test_a_frozen_layer_has_a_norm_of_nought_and_a_step_that_overflowed_does_not_count(
    make_job: Callable[..., Job],
) -> None:
    run = opened(make_job(backbone=NET))
    run.model.get_submodule("1").requires_grad_(False)
    taken = steps(run, 0, 2)
    next(taken)
    first = run.gradient_norms()
    assert first["1"] == [0.0] and first["4"][0] > 0
    for parameter in run.model.get_submodule("4").parameters():
        parameter.grad.fill_(torch.inf)
    run.norms.add([])
    assert run.gradient_norms()["4"] == first["4"]


def test_no_bit_of_the_result_depends_on_them_and_a_resumed_trial_has_the_same(
    make_job: Callable[..., Job],
) -> None:
    def outcome(job: Job, stop: Callable[[], bool] = lambda: False) -> dict:
        return run_trial(job, report=lambda _: None, stop=stop)

    job = make_job(backbone=NET)
    assert outcome(job)["digests"] == outcome(with_norms(job))["digests"]

    straight = opened(job)
    for _ in steps(straight, 0, 30):
        pass
    stopped, resumed = opened(job), opened(job)
    for _ in steps(stopped, 0, 14):
        pass
    folder = Path(job.folder)
    save_checkpoint(stopped, folder, {})
    assert load_checkpoint(resumed, folder) == {}
    for _ in steps(resumed, 14, 30):
        pass
    assert resumed.gradient_norms() == straight.gradient_norms()


def test_nothing_is_there_where_nobody_asked(make_job: Callable[..., Job]) -> None:
    run = open_run(make_job(backbone=NET), Owners())
    assert run.norms is None and list(run.step.gradient_functions) == [] and run.gradient_norms() == {}

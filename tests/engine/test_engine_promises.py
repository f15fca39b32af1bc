"""What the core promises of a step (DESIGN, section 4), one test a promise; probes write down what they see."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import harness.engine.source
from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.trial import open_run, run_trial
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

PROBES = """
import dataclasses, json
import torch
from dataclasses import dataclass
from harness.contract import *

def note(*entry):
    with open({log!r}, "a") as file:
        file.write(json.dumps(entry) + "\\n")

class Probe(Trick):
    def bind(self, ctx):
        name = type(self).__name__
        (norm,) = [m for m in ctx.model.modules() if isinstance(m, torch.nn.BatchNorm1d)]

        def batch(batch):
            note("batch", name, len(batch))
            return batch

        def wrap_objective(inner):
            def objective(batch):
                note("objective", name, batch.ids.tolist(), torch.rand(3).tolist(), norm.track_running_stats)
                return inner(batch)
            return objective

        def wrap_update(inner):
            def update(closure):
                note("update", name)
                result = inner(closure)
                note("end of update", name)
                return result
            return update

        def judge(model):
            note("judge", name)
            return model

        return Slots(batch=batch, objective=wrap_objective, update=wrap_update, eval_model=judge,
                     gradients=lambda gradients: note("gradients", name, len(gradients)))

@dataclass(frozen=True)
class Inner(Probe):
    stage = Stage.GRADIENT

@dataclass(frozen=True)
class Outer(Probe):
    stage = Stage.AVERAGE

@dataclass(frozen=True)
class Dense(Trick):
    stage = Stage.TARGET
    def model(self, model, ctx):
        torch.rand(5)
        return model
    def bind(self, ctx):
        return Slots(batch=lambda batch: batch.with_target(batch.dense_target(ctx.num_classes)))

@dataclass(frozen=True)
class Back(Trick):
    stage = Stage.ATTACK
    def bind(self, ctx):
        return Slots(batch=lambda batch: batch.with_target(batch.target.argmax(1)))

@dataclass(frozen=True)
class Head(Trick):
    def model(self, model, ctx):
        model.register_module("head", torch.nn.Linear(4, 4))
        return model

@dataclass(frozen=True)
class Freezing(Trick):
    def plan(self, plan):
        return dataclasses.replace(plan, boundaries=(0.3,))
    def bind(self, ctx):
        def phase():
            note("phase", "Freezing", ctx.step)
            if ctx.step:
                next(ctx.model.parameters()).requires_grad_(False)
        return Slots(phase=phase)

@dataclass(frozen=True)
class ShortOrder(Sampler):
    def order(self, labels, generator):
        return generator.permutation(len(labels))[:9]

@hookimpl
def harness_register(registry):
    for one in (Inner, Outer, Dense, Back, Head, Freezing):
        registry.add("trick", one.__name__.lower(), one, summary="a probe")
    registry.add("sampler", "short", ShortOrder, summary="too few")
"""

BACKBONE = component("toy-net", width=8, batch_norm=True, dropout=0.2)


@pytest.fixture
def probe(tmp_path: Path, make_job: Callable[..., Job]) -> Callable[..., Job]:
    file = tmp_path / "probes.py"
    file.write_text(PROBES.format(log=str(tmp_path / "log")))
    return lambda **changes: make_job(plugins=(TOYS, str(file)), backbone=BACKBONE, **changes)


@pytest.fixture
def seen(tmp_path: Path) -> Callable[[], list[list[Any]]]:
    def read() -> list[list[Any]]:
        return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    return read


def one_step(job: Job) -> None:
    run = open_run(job, Owners())
    next(steps(run, 0, 1))


def trial(job: Job) -> dict[str, Any]:
    return run_trial(job, report=lambda _: None, stop=lambda: False)


def kinds(entries: Sequence[Sequence[Any]], *of: str) -> list[tuple[str, str]]:
    return [(entry[0], entry[1]) for entry in entries if entry[0] in of]


def test_the_batch_slot_comes_before_the_split_into_micro_batches(
    probe: Callable[..., Job], seen: Callable[[], list[list[Any]]]
) -> None:
    one_step(probe(tricks=[component("toy-parts", parts=3), component("inner")]))
    assert [entry[2] for entry in seen() if entry[0] == "batch"] == [8]
    assert [len(entry[2]) for entry in seen() if entry[0] == "objective"] == [3, 3, 2]


def test_without_micro_batches_too_both_passes_start_from_the_steps_key(
    probe: Callable[..., Job], seen: Callable[[], list[list[Any]]]
) -> None:
    one_step(probe(tricks=[component("toy-ascent", rho=0.1), component("inner")]))
    first, second = (entry for entry in seen() if entry[0] == "objective")
    assert first[2:4] == second[2:4]


def test_every_pass_of_a_step_sees_the_same_batch_from_the_same_key_and_the_first_tracks_no_statistics(
    probe: Callable[..., Job], seen: Callable[[], list[list[Any]]]
) -> None:
    two_passes = [component("toy-ascent", rho=0.1), component("toy-parts", parts=2), component("inner")]
    run = open_run(probe(tricks=two_passes), Owners())
    for _ in steps(run, 0, 2):
        pass
    passes = [entry[2:] for entry in seen() if entry[0] == "objective"]
    assert len(passes) == 8  # steps x passes x micro-batches
    for first, second in ((passes[0], passes[2]), (passes[1], passes[3]), (passes[4], passes[6])):
        assert first[:2] == second[:2]
        assert (first[2], second[2]) == (False, True)
    assert len({str(entry[1]) for entry in passes}) == 4  # a key for each step and micro-batch


def test_gradients_are_handed_over_once_an_update_within_it_and_never_on_an_ascent_pass(
    probe: Callable[..., Job], seen: Callable[[], list[list[Any]]]
) -> None:
    one_step(probe(tricks=[component("outer"), component("toy-ascent", rho=0.1), component("inner")]))
    acted = kinds(seen(), "update", "end of update", "gradients")
    # AVERAGE around ASCENT around GRADIENT; GRADIENT's function ahead of AVERAGE's, and each once.
    assert acted == [
        ("update", "Outer"),
        ("update", "Inner"),
        ("gradients", "Inner"),
        ("gradients", "Outer"),
        ("end of update", "Inner"),
        ("end of update", "Outer"),
    ]
    assert kinds(seen(), "objective") == [("objective", "Outer"), ("objective", "Inner")] * 2


def test_gradients_come_between_the_closure_and_the_optimizers_step(probe: Callable[..., Job]) -> None:
    run = open_run(probe(tricks=[component("toy-ascent", rho=0.0)]), Owners())
    before = [parameter.detach().clone() for parameter in run.model.parameters()]
    calls = []

    def nothing_left(gradients: list[torch.Tensor]) -> None:
        calls.append(len(gradients))
        for gradient in gradients:
            gradient.zero_()

    run.step.gradient_functions = [nothing_left]
    next(steps(run, 0, 1))
    assert calls == [len(before)]
    assert all(map(torch.equal, before, run.model.parameters()))


def test_the_pipeline_is_recorded_as_text(probe: Callable[..., Job]) -> None:
    tricks = [component("outer"), component("toy-ascent", rho=0.1), component("inner"), component("dense")]
    noise = [component("toy-noise", strength=0.5)] * 2
    outcome = trial(probe(tricks=tricks, augmentations=noise, budget={"unit": "steps", "amount": 1}))
    assert outcome["pipeline"].splitlines() == [
        "batch: augmentation toy-noise (CONTENT) -> augmentation toy-noise#2 (CONTENT) -> trick dense (TARGET)"
        " -> trick inner (GRADIENT) -> trick outer (AVERAGE)",
        "loss: cross-entropy",
        "objective: trick inner (GRADIENT) -> trick outer (AVERAGE)",
        "gradients: trick inner (GRADIENT) -> trick outer (AVERAGE)",
        "update: toy-sgd[all] -> trick inner (GRADIENT) -> trick toy-ascent (ASCENT) -> trick outer (AVERAGE)",
        "judged: trick inner (GRADIENT) -> trick outer (AVERAGE)",
    ]


def test_targets_are_classes_until_something_asks_for_dense_ones_and_stay_dense(
    probe: Callable[..., Job],
) -> None:
    run = open_run(probe(), Owners())
    next(steps(run, 0, 1))
    assert run.step.batch is not None and run.step.batch.target.dtype == torch.int64
    assert trial(probe(tricks=[component("dense")]))["status"] == "completed"
    culprit = trial(probe(tricks=[component("back"), component("dense")]))["culprit"]
    assert culprit["plugin"] == "trick back"
    assert "dense targets stay dense" in culprit["error"]


def test_what_a_trick_adds_with_plain_constructors_starts_the_same_whoever_comes_before_it(
    probe: Callable[..., Job],
) -> None:
    def initial(*before: str) -> dict[str, str]:
        tricks = [component(name) for name in (*before, "head")]
        return open_run(probe(tricks=tricks), Owners()).initial_parameters

    alone = initial()
    assert "head.weight" in alone
    assert initial("dense") == alone  # it draws from torch's global generator while it looks at the model


def test_the_test_split_is_read_once_at_the_end_and_its_labels_are_not_shown(
    probe: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    opened = harness.engine.source.Source.open

    def watched(source: harness.engine.source.Source, split: str) -> Any:
        read.append(split)
        return opened(source, split)

    monkeypatch.setattr(harness.engine.source.Source, "open", watched)
    assert trial(probe())["status"] == "completed"
    assert read == ["train", "test"]
    run = open_run(probe(), Owners())
    targets = []
    monkeypatch.setattr(
        type(run),
        "predict",
        lambda *_: lambda batch: (targets.append(batch.target), batch.image[:, 0, 0, :3])[1],
    )
    from harness.engine.evaluate import predict

    predict(run, run.model, run.data.test())
    assert len(torch.cat(targets)) == 48
    assert not torch.cat(targets).any()


def test_each_phase_counts_its_own_flops(
    probe: Callable[..., Job], seen: Callable[[], list[list[Any]]]
) -> None:
    """After 15 of 50 steps the first layer is frozen: its weights' gradient is no longer computed."""
    plain = trial(probe())["budget"]
    frozen = trial(probe(tricks=[component("freezing")]))["budget"]
    assert frozen["flops_per_step"] == plain["flops_per_step"]
    assert plain["training_flops"] - frozen["training_flops"] == 35 * 2 * 8 * 64 * 8
    assert [entry[2] for entry in seen()] == [0, 15]


def test_an_order_that_is_too_short_is_refused(probe: Callable[..., Job]) -> None:
    outcome = trial(probe(sampler=component("short")))
    assert outcome["status"] == "failed"
    assert (outcome["culprit"]["plugin"], outcome["culprit"]["slot"]) == ("sampler short", "order")
    assert "expected int64 (87,), got int64 (9,)" in outcome["culprit"]["error"]


def test_more_parts_than_samples_are_refused(probe: Callable[..., Job]) -> None:
    culprit = trial(probe(tricks=[component("toy-parts", parts=9)]))["culprit"]
    assert (culprit["plugin"], culprit["slot"]) == ("trick toy-parts", "plan")
    assert "a batch of 8 cannot be split into 9 parts" in culprit["error"]

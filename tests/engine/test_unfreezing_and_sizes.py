"""States that tricks tell ahead: `Slots.unfreezes`, `Slots.sizes`, `Slots.micro_batches`."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from harness.engine.contract_check import ContractError
from harness.engine.culprit import Owners
from harness.engine.first import first_step
from harness.engine.loop import steps
from harness.engine.run import Run
from harness.engine.together import run_together
from harness.engine.trial import open_run, run_trial
from harness.engine.warm_up import warm_up
from harness.engine.windows import endless
from harness.record.record import together_mode
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

PLUGIN = """
import torch.nn.functional as F
from dataclasses import dataclass, field
from torch import nn
from harness.contract import Backbone, Slots, Stage, StepPlan, Trick, hookimpl

def chosen(ctx, names):
    return [ctx.model.get_parameter(name) for name in names]

@dataclass(frozen=True)
class Hold(Trick):
    names: tuple[str, ...]
    since: float = 0.0
    until: float | None = None
    def bind(self, ctx):
        lets = {} if self.until is None else {self.until: chosen(ctx, self.names)}
        return Slots(freezes={self.since: chosen(ctx, self.names)}, unfreezes=lets)

@dataclass(frozen=True)
class Never(Trick):
    names: tuple[str, ...]
    def model(self, model, ctx):
        for name in self.names:
            model.get_parameter(name).requires_grad_(False)
        return model

@dataclass(frozen=True)
class Grow(Trick):
    stage = Stage.GEOMETRY
    sides: tuple[int, ...] = (4, 6, 8)
    shares: tuple[float, ...] = (0.0, 0.3, 0.7)
    def bind(self, ctx):
        def batch(batch):
            side = [s for at, s in zip(self.shares, self.sides) if round(at * ctx.total_steps) <= ctx.step][-1]
            return batch.with_image(F.interpolate(batch.image, (side, side)))
        return Slots(batch=batch, sizes=dict(zip(self.shares, self.sides)))

@dataclass(frozen=True)
class Parts(Trick):
    parts: int = 3
    def bind(self, ctx):
        return Slots(micro_batches=self.parts)

@dataclass(frozen=True)
class AnySize(Backbone):
    def build(self, info):
        layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(*layers, nn.Linear(4, info.num_classes))

@hookimpl
def harness_register(registry):
    for one in (Hold, Never, Grow, Parts):
        registry.add("trick", "test-" + one.__name__.lower(), one, summary="a trick")
    registry.add("backbone", "test-any-size", AnySize, summary="a backbone")
"""

Jobs = Callable[..., Job]


@pytest.fixture
def make(make_job: Callable[..., Job], tmp_path: Path) -> Jobs:
    file = tmp_path / "told_ahead.py"
    file.write_text(PLUGIN)
    return lambda **changes: make_job(plugins=(TOYS, str(file)), **changes)


def hold(*names: str, since: float = 0.0, until: float | None = None) -> dict[str, Any]:
    return component("test-hold", names=list(names), since=since, until=until)


def run_of(job: Job) -> Run:
    return open_run(job, Owners())


def moved_in(run: Run, name: str) -> list[int]:
    """Return the steps in which a parameter moved."""
    parameter = run.model.get_parameter(name)
    was, moved = parameter.detach().clone(), []
    for step, _ in steps(run, 0, run.total_steps):
        if not torch.equal(parameter, was):
            moved.append(step)
        was = parameter.detach().clone()
    return moved


@pytest.mark.parametrize(
    ("tricks", "trained"),
    [
        ([hold("1.weight", until=0.5)], range(25, 50)),
        ([hold("1.weight", since=0.2, until=0.5)], [*range(10), *range(25, 50)]),
        # the last of them that lets it go decides; one never does, and one froze it before training
        ([hold("1.weight", until=0.3), hold("1.weight", until=0.6)], range(30, 50)),
        ([hold("1.weight", until=0.3), hold("1.weight")], []),
        ([component("test-never", names=["1.weight"]), hold("1.weight", until=0.3)], []),
        # at one share after the freeze, also where only rounding makes them one step
        ([hold("1.weight", since=0.5, until=0.5)], range(50)),
        ([hold("1.weight", since=0.5, until=0.504)], range(50)),
    ],
)
def test_a_parameter_is_trained_where_nobody_holds_it(make: Jobs, tricks: list, trained: Any) -> None:
    assert moved_in(run_of(make(tricks=tricks)), "1.weight") == list(trained)
    other = moved_in(run_of(make(tricks=tricks)), "3.weight")
    assert other == list(range(50))


def test_a_held_parameter_goes_on_from_the_momentum_that_it_had(make: Jobs) -> None:
    run = run_of(make(tricks=[hold("1.weight", since=0.2, until=0.5)]))
    parameter = run.model.get_parameter("1.weight")
    buffers = []
    for _ in steps(run, 0, 26):
        buffers.append(run.step.optimizers[0].state[parameter]["momentum_buffer"].clone())
    assert torch.equal(buffers[9], buffers[24]) and not torch.equal(buffers[9], buffers[25])
    assert parameter.grad is not None
    torch.testing.assert_close(buffers[25], 0.9 * buffers[9] + parameter.grad)


def test_a_trial_that_resumes_between_freeze_and_unfreeze_equals_a_straight_one(make: Jobs) -> None:
    tricks = [hold("1.weight", since=0.1, until=0.5), hold("3.bias", until=0.7)]
    job = make(tricks=tricks)
    straight = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert [line for line in straight["pipeline"].splitlines() if line.startswith("unfreezes: ")]
    for windows in (1, 2, 3):
        asked = iter([False] * (windows - 1) + [True])
        stopped = run_trial(job, report=lambda _: None, stop=partial(next, asked))
        assert stopped["status"] == "preempted"
        resumed = run_trial(job, report=lambda _: None, stop=lambda: False)
        assert resumed["resumed_from_step"] == 10 * windows
        assert resumed["digests"] == straight["digests"]


@pytest.mark.parametrize(
    ("tricks", "first", "second"),
    [
        ([hold("1.weight", since=0.5)], (True, True), (False, True)),
        ([hold("1.weight", since=0.5), hold("3.bias", until=0.5)], (True, False), (False, True)),
    ],
)
def test_a_budget_that_is_taken_again_begins_as_it_did(
    make: Jobs, tricks: list, first: tuple[bool, bool], second: tuple[bool, bool]
) -> None:
    run = run_of(make(tricks=tricks))
    stream, watched = endless(run), [run.model.get_parameter(name) for name in ("1.weight", "3.bias")]
    seen = []
    for _ in range(80):
        next(stream)
        seen.append(tuple(parameter.requires_grad for parameter in watched))
    assert seen == [first] * 25 + [second] * 25 + [first] * 25 + [second] * 5


def test_replicates_at_once_unfreeze_as_one_by_one(make: Jobs, tmp_path: Path) -> None:
    job = make(tricks=[hold("1.weight", "1.bias", until=0.4)], budget={"unit": "steps", "amount": 25})
    jobs = [dataclasses.replace(job, replicate=r, folder=str(tmp_path / str(r))) for r in range(3)]
    outcomes: dict[int, dict[str, Any]] = {}
    mode = together_mode(3, ratio=2.0, difference=0.0)
    run_together(jobs, mode=mode, report=lambda _: None, stop=lambda: False, finished=outcomes.__setitem__)
    for number, one in enumerate(jobs):
        serial = run_trial(one, report=lambda _: None, stop=lambda: False)
        assert outcomes[number]["status"] == serial["status"] == "completed"
        losses = outcomes[number]["curves"]["train_loss"]
        assert losses == pytest.approx(serial["curves"]["train_loss"], rel=1e-4)


def test_a_compiled_model_is_ready_for_every_size_and_every_state(
    make: Jobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    torch._dynamo.reset()
    real = torch.compile
    # all of torch.compile but the code generator, which takes a minute
    monkeypatch.setattr(
        torch,
        "compile",
        lambda model, **options: real(model, backend="aot_eager", dynamic=options["dynamic"]),
    )
    numerics = {
        "precision": "fp32",
        "compile": True,
        "channels_last": False,
        "threads": 1,
        "deterministic": False,
    }
    tricks = [hold("0.weight", "1.weight", until=0.4), component("test-grow")]
    run = run_of(
        make(
            backbone=component("test-any-size"),
            numerics=numerics,
            tricks=tricks,
            budget={"unit": "steps", "amount": 10},
        )
    )
    assert run.sizes == {0: 4, 3: 6, 7: 8} and sorted(run.freezes) == [0, 4]
    assert "sizes: trick test-grow (4 from 0, 6 from 0.3, 8 from 0.7)" in run.pipeline.splitlines()
    before = copy.deepcopy(run.model.state_dict())
    trained = [parameter.requires_grad for parameter in run.model.parameters()]
    assert warm_up(run) > 0
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    assert [parameter.requires_grad for parameter in run.model.parameters()] == trained
    graphs = counters["stats"]["unique_graphs"]
    for _ in steps(run, 0, run.total_steps):
        pass
    assert counters["stats"]["unique_graphs"] == graphs


def test_the_operations_of_each_size_are_counted(make: Jobs) -> None:
    """4, 6 and 8 pixels a side give 2, 4 and 6 positions a side to a 3x3 convolution."""
    job = make(backbone=component("test-any-size"), tricks=[component("test-grow")])
    outcome = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert outcome["status"] == "completed"
    # forward and the filters' gradient of the convolution, its input takes none; and the head, forward and both
    convolution = [2 * 2 * 8 * 4 * 9 * side**2 for side in (2, 4, 6)]
    head = 3 * 2 * 8 * 4 * 3
    steps_of = [15, 20, 15]
    wanted = sum((each + head) * count for each, count in zip(convolution, steps_of, strict=True))
    assert outcome["budget"]["training_flops"] == wanted


@pytest.mark.parametrize(
    ("tricks", "message"),
    [
        ([component("test-grow"), component("test-grow")], "sizes: .*it is exclusive"),
        ([component("test-grow", shares=[0.0, 1.0], sides=[4, 8])], r"within \[0, 1\), got 1"),
        ([component("test-grow", sides=[0, 4, 8])], "a side in pixels, 1 or above, got 0"),
        ([hold("1.weight", since=1.0)], r"freezes: .*within \[0, 1\), got 1"),
        ([hold("1.weight", until=-0.1)], r"unfreezes: .*within \[0, 1\), got -0.1"),
        ([component("test-parts", parts=9)], "a batch of 8 cannot be split into 9 parts"),
        ([component("test-parts", parts=0)], "a batch of 8 cannot be split into 0 parts"),
        ([component("test-parts"), component("test-parts")], "another trick splits the batch"),
        ([component("test-parts"), component("toy-parts")], "another trick splits the batch"),
    ],
)
def test_what_cannot_be_is_refused_naming_slot_and_trick(make: Jobs, tricks: list, message: str) -> None:
    with pytest.raises(ContractError, match=f"trick test-.*{message}"):
        run_of(make(tricks=tricks))


def test_parts_that_a_bound_trick_decides_are_those_of_a_plan(make: Jobs) -> None:
    slot, plan = (
        run_trial(make(tricks=tricks), report=lambda _: None, stop=lambda: False)
        for tricks in ([component("test-parts")], [component("toy-parts", parts=3)])
    )
    assert slot["digests"] == plan["digests"]
    assert "micro-batches: 3 -> trick test-parts (OBJECTIVE)" in slot["pipeline"].splitlines()
    assert "micro-batches: 3" in plan["pipeline"].splitlines()
    whole = run_trial(make(), report=lambda _: None, stop=lambda: False)
    assert whole["digests"]["final_weights"] != slot["digests"]["final_weights"]
    first_step(run_of(make(tricks=[component("test-parts", parts=1)])), 0)

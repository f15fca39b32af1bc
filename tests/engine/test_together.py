"""Replicates trained at once, held against the same replicates trained one by one."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import harness.engine.probe
from harness.engine.keys import Keys
from harness.engine.loop import steps
from harness.engine.probe import probe
from harness.engine.replicates import compose, step_at_once
from harness.engine.together import run_together
from harness.engine.trial import run_trial
from harness.record.record import together_mode
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

REPLICATES = 4
AT_ONCE = together_mode(REPLICATES, ratio=2.0, difference=0.0)

TRICKS = """
import torch
from dataclasses import dataclass, replace
from torch import nn
from harness.contract import *

def who(ctx):
    return float(torch.rand(1, generator=ctx.generator("who")))

@dataclass(frozen=True)
class Clip(Trick):
    stage = Stage.CLIP
    def bind(self, ctx):
        def clip(gradients):
            torch._foreach_mul_(gradients, 0.5)
        return Slots(gradients=clip)

@dataclass(frozen=True)
class Decay(Trick):
    stage = Stage.OBJECTIVE
    def bind(self, ctx):
        def wrap(inner):
            def objective(batch):
                loss, logits = inner(batch)
                return loss + 0.01 * sum(p.square().sum() for p in ctx.model.parameters()), logits
            return objective
        return Slots(objective=wrap)

@dataclass(frozen=True)
class Average(Trick):
    stage = Stage.AVERAGE
    def bind(self, ctx):
        kept = [p.detach().clone() for p in ctx.model.parameters()]
        def wrap(inner):
            def update(closure):
                result = inner(closure)
                with torch.no_grad():
                    torch._foreach_lerp_(kept, list(ctx.model.parameters()), 0.1)
                return result
            return update
        return Slots(update=wrap, state={"kept": kept})

@dataclass(frozen=True)
class Freeze(Trick):
    def plan(self, plan):
        return replace(plan, boundaries=(0.5,))
    def bind(self, ctx):
        def phase():
            if ctx.step:
                next(ctx.model.parameters()).requires_grad_(False)
        return Slots(phase=phase)

@dataclass(frozen=True)
class Twice(Trick):
    stage = Stage.OBJECTIVE
    def bind(self, ctx):
        def wrap(inner):
            def objective(batch):
                inner(batch)
                return inner(batch)
            return objective
        return Slots(objective=wrap)

@dataclass(frozen=True)
class Elsewhere(Trick):
    stage = Stage.OBJECTIVE
    def bind(self, ctx):
        def wrap(inner):
            return lambda batch: inner(batch.with_image(batch.image * 2))
        return Slots(objective=wrap)

@dataclass(frozen=True)
class Late(Trick):
    after: int = 30
    stage = Stage.AVERAGE
    def bind(self, ctx):
        def wrap(inner):
            def update(closure):
                if ctx.step >= self.after:
                    closure()
                return inner(closure)
            return update
        return Slots(update=wrap)

@dataclass(frozen=True)
class Breaks(Trick):
    '''Breaks the replicates whose draw is above a number: by a NaN, or by an error in a slot.'''
    slot: str = "loss"
    above: float = 0.0
    stage = Stage.OBJECTIVE
    def bind(self, ctx):
        if who(ctx) <= self.above:
            return Slots()
        def due():
            return ctx.step == 7
        def fail(*_):
            if due():
                raise ValueError("it had to come")
        def wrap(inner):
            def objective(batch):
                loss, logits = inner(batch)
                if self.slot == "objective":
                    fail()
                return loss * (float("nan") if due() and self.slot == "loss" else 1.0), logits
            return objective
        if self.slot == "batch":
            def batch(batch):
                fail()
                return batch
            return Slots(batch=batch)
        if self.slot == "gradients":
            return Slots(gradients=fail)
        return Slots(objective=wrap)

class Scaled(nn.Module):
    def __init__(self, net, how):
        super().__init__()
        self.net, self.how = net, how
        self.register_buffer("count", torch.zeros(()))
    def forward(self, x):
        if self.how == "buffer":
            self.count = self.count + 1
        elif torch._C._functorch.is_batchedtensor(x):
            return self.net(x) * 1.01
        return self.net(x)

@dataclass(frozen=True)
class Odd(Trick):
    how: str = "loss"
    def model(self, model, ctx):
        return Scaled(model, self.how)

@dataclass(frozen=True)
class Adam(Optimizer):
    lr: float = 0.01
    decay: float = 0.1
    def build(self, groups):
        return torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.decay)

@dataclass(frozen=True)
class Whole(Optimizer):
    '''Steps by the norm of the whole gradient: not by element.'''
    lr: float = 0.05
    def build(self, groups):
        class Normed(torch.optim.SGD):
            def step(self):
                nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 0.1)
                super().step()
        return Normed(groups, lr=self.lr)

@hookimpl
def harness_register(registry):
    for one in (Clip, Decay, Average, Freeze, Twice, Elsewhere, Late, Breaks, Odd):
        registry.add("trick", "test-" + one.__name__.lower(), one, summary="a trick")
    for one in (Adam, Whole):
        registry.add("optimizer", "test-" + one.__name__.lower(), one, summary="an optimizer")
"""

Jobs = Callable[..., list[Job]]


@pytest.fixture
def jobs(tmp_path: Path, make_job: Callable[..., Job]) -> Jobs:
    """Return a function that gives the jobs of some replicates of an arm."""
    file = tmp_path / "tricks.py"
    file.write_text(TRICKS)

    def make(**changes: Any) -> list[Job]:
        changes = {"budget": {"unit": "steps", "amount": 45}, **changes}
        made = [make_job(replicate=r, plugins=(TOYS, str(file)), **changes) for r in range(REPLICATES)]
        return [dataclasses.replace(job, folder=str(tmp_path / f"trial-{job.replicate}")) for job in made]

    return make


def at_once(
    jobs: Sequence[Job], mode: dict[str, Any] | None = AT_ONCE, stop: Callable[[], bool] = lambda: False
) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    outcomes: dict[int, dict[str, Any]] = {}
    came_to = run_together(jobs, mode=mode, report=lambda _: None, stop=stop, finished=outcomes.__setitem__)
    return came_to, outcomes


def one_by_one(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    return [run_trial(job, report=lambda _: None, stop=lambda: False) for job in jobs]


ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch norm": {"backbone": component("toy-net", width=8, batch_norm=True, dropout=0.0)},
    "warm-up and augmentation": {
        "augmentations": [component("toy-noise")],
        "schedule": {**component("toy-constant"), "warmup": 0.5},
    },
    "a penalty on the logits": {"tricks": [component("toy-penalty")]},
    "a penalty on the weights": {"tricks": [component("test-decay")]},
    "scaled gradients": {"tricks": [component("test-clip")]},
    "averaged weights": {"tricks": [component("test-average")]},
    "a phase that freezes": {"tricks": [component("test-freeze")]},
    "adam": {"optimizer": [{**component("test-adam"), "parameters": "all"}]},
    "adam and a phase": {
        "optimizer": [{**component("test-adam"), "parameters": "all"}],
        "tricks": [component("test-freeze")],
    },
    "two optimizers": {
        "optimizer": [
            {**component("test-adam"), "parameters": "matrices"},
            {**component("toy-sgd"), "parameters": "rest"},
        ]
    },
    "an optimizer of another kind": {"optimizer": [{**component("test-whole"), "parameters": "all"}]},
}


@pytest.mark.parametrize("arm", ARMS)
def test_outcomes_are_those_of_replicates_trained_one_by_one(arm: str, jobs: Jobs) -> None:
    wanted = one_by_one(jobs(**ARMS[arm]))
    mode, outcomes = at_once(jobs(**ARMS[arm]))
    assert mode == AT_ONCE
    assert list(outcomes) == list(range(REPLICATES))
    for number, serial in enumerate(wanted):
        ours = outcomes[number]
        assert serial["status"] == ours["status"] == "completed"
        assert ours["mode"] == AT_ONCE and serial["mode"] is None
        assert ours.keys() == serial.keys()
        for exact in ("budget", "initial_parameters", "parameters", "pipeline", "changes", "chance_top1"):
            assert ours[exact] == serial[exact], exact
        for name in ("order", "initial_weights"):
            assert ours["digests"][name] == serial["digests"][name]
        for name in ("epoch", "learning_rate"):
            assert ours["curves"][name] == serial["curves"][name]
        for name in ("train_loss", "validation_loss"):
            assert ours["curves"][name] == pytest.approx(serial["curves"][name], rel=1e-4)
        assert ours["results"]["test"]["nll"] == pytest.approx(serial["results"]["test"]["nll"], rel=1e-4)
        assert ours["results"]["test"]["correct_bits"] == serial["results"]["test"]["correct_bits"]
    digests = {outcome["digests"]["order"] for outcome in outcomes.values()}
    assert len(digests) == REPLICATES  # each has a batch of its own


def test_weights_statistics_and_the_state_of_tricks_follow_the_serial_ones(jobs: Jobs) -> None:
    changes = {**ARMS["batch norm"], **ARMS["averaged weights"]}
    stacked, serial = compose(jobs(**changes)), compose(jobs(**changes))
    for replicate in stacked:
        next(steps(replicate.run, 0, 1))
    for _ in step_at_once(stacked, 1, 25):
        pass
    for one, other in zip(serial, stacked, strict=True):
        for _ in steps(one.run, 0, 25):
            pass
        ours = other.run.model.state_dict()
        for name, wanted in one.run.model.state_dict().items():
            torch.testing.assert_close(ours[name], wanted, rtol=1e-4, atol=1e-6)
        assert int(ours["2.num_batches_tracked"]) == 25
        for name, kept in one.run.state.items():
            torch.testing.assert_close(list(other.run.state[name]), list(kept), rtol=1e-4, atol=1e-6)
        buffers = [group["params"] for group in one.run.step.optimizers[0].param_groups]
        for wanted_row, row in zip(
            buffers[0], other.run.step.optimizers[0].param_groups[0]["params"], strict=True
        ):
            torch.testing.assert_close(
                other.run.step.optimizers[0].state[row]["momentum_buffer"],
                one.run.step.optimizers[0].state[wanted_row]["momentum_buffer"],
                rtol=1e-4,
                atol=1e-6,
            )


LONG = {"budget": {"unit": "steps", "amount": 170}}


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("random", {"backbone": component("toy-net", width=8, batch_norm=False, dropout=0.5)}),
        ("two passes", {"tricks": [component("toy-ascent")]}),
        ("micro-batches", {"tricks": [component("toy-parts")]}),
        ("runs the model twice", {"tricks": [component("test-twice")]}),
        ("on another batch", {"tricks": [component("test-elsewhere")]}),
        ("two passes", {"tricks": [component("test-late", after=5)]}),
        ("losses differ", {"tricks": [component("test-odd", how="loss")]}),
        ("count differs", {"tricks": [component("test-odd", how="buffer")]}),
        ("it had to come", {"tricks": [component("test-breaks", slot="batch")]}),
        ("losses differ", {"tricks": [component("test-breaks", slot="loss")]}),
        ("too short", {"budget": {"unit": "steps", "amount": 159}}),
    ],
)
def test_what_cannot_be_trained_at_once_is_not_and_says_why(
    reason: str, changes: dict[str, Any], jobs: Jobs
) -> None:
    mode, outcomes = at_once(jobs(**{**LONG, **changes}), mode=None)
    assert outcomes == {}
    assert mode["together"] == 1
    assert reason in mode["reason"]


def test_what_can_be_trained_at_once_passes_the_probe(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock of a probe: blocks of 3 s one by one and 2 s at once.
    times = iter([0, 3, 5, *(10 * block + t for block in (1, 2, 3) for t in (0, 3, 5))])
    monkeypatch.setattr(harness.engine.probe, "_clock", lambda *_: lambda: float(next(times)))
    mode, outcomes = at_once(jobs(**LONG), mode=None)
    assert (mode["together"], mode["probe_ratio"], mode["reason"]) == (REPLICATES, 1.5, None)
    assert 0 <= mode["probe_loss_difference"] < 1e-4
    assert [outcome["mode"] for outcome in outcomes.values()] == [mode] * REPLICATES


@pytest.mark.parametrize(("seconds_at_once", "asked"), [(3.1, 12), (30.0, 6)])
def test_what_is_slower_at_once_is_trained_one_by_one(
    seconds_at_once: float, asked: int, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def clock() -> float:
        calls.append(None)
        block, place = divmod(len(calls) - 1, 3)
        return 100.0 * block + (0, 3, 3 + seconds_at_once)[place]

    monkeypatch.setattr(harness.engine.probe, "_clock", lambda *_: clock)
    mode = probe(jobs(**LONG), lambda: None)
    assert mode["together"] == 1
    assert "does not pay" in mode["reason"]
    assert mode["probe_ratio"] == pytest.approx(3 / seconds_at_once)
    assert len(calls) == asked  # a hopeless one is given up after its first timed block


@pytest.mark.parametrize("slot", ["loss", "batch", "objective", "gradients"])
def test_a_replicate_that_breaks_does_not_take_the_others_with_it(slot: str, jobs: Jobs) -> None:
    drawn = [
        float(torch.rand(1, generator=Keys(0, r).torch_generator("trick test-breaks/who")))
        for r in range(REPLICATES)
    ]
    above = sorted(drawn)[1]
    broken = [value > above for value in drawn]
    changes = {"tricks": [component("test-breaks", slot=slot, above=above)]}
    wanted = one_by_one(jobs(**changes))
    mode, outcomes = at_once(jobs(**changes))
    assert mode == AT_ONCE
    for number, is_broken in enumerate(broken):
        ours, serial = outcomes[number], wanted[number]
        assert ours["status"] == serial["status"]
        if is_broken:
            assert ours["status"] == ("diverged" if slot == "loss" else "failed")
            assert ours["culprit"]["plugin"] == serial["culprit"]["plugin"]
            assert ours["culprit"]["step"] == serial["culprit"]["step"]
            assert ours["results"] == {"test": None, "validation": None}
        else:
            assert ours["curves"]["train_loss"] == pytest.approx(serial["curves"]["train_loss"], rel=1e-4)
            assert ours["results"]["test"]["nll"] == pytest.approx(serial["results"]["test"]["nll"], rel=1e-4)


def test_what_turns_out_unfit_later_leaves_no_outcome_and_says_when(jobs: Jobs) -> None:
    mode, outcomes = at_once(jobs(tricks=[component("test-late", after=30)]))
    assert outcomes == {}
    assert mode["together"] == 1
    assert "at step 30: its update takes two passes" in mode["reason"]


def test_replicates_that_are_asked_to_stop_are_all_preempted(jobs: Jobs) -> None:
    asked = iter([False, True])
    _, outcomes = at_once(jobs(), stop=lambda: next(asked))
    assert [outcome["status"] for outcome in outcomes.values()] == ["preempted"] * REPLICATES
    # Window edges are the ends of epochs here, ten steps apart.
    assert {outcome["budget"]["steps"] for outcome in outcomes.values()} == {20}


def test_seconds_are_each_ones_share(jobs: Jobs) -> None:
    _, outcomes = at_once(jobs())
    seconds = [outcome["seconds"] for outcome in outcomes.values()]
    assert len({(one["train"], one["total"]) for one in seconds}) == 1
    parts = sum(one["build"] + one["train"] + one["evaluate"] for one in seconds)
    assert 0 < parts <= sum(one["total"] for one in seconds) * 1.001


@pytest.mark.gpu
@pytest.mark.parametrize("arm", ["plain", "batch norm", "adam and a phase", "averaged weights"])
def test_on_a_gpu_outcomes_are_those_of_replicates_trained_one_by_one(arm: str, jobs: Jobs) -> None:
    def on_gpu() -> list[Job]:
        return [dataclasses.replace(job, device="cuda:0") for job in jobs(**ARMS[arm])]

    wanted = one_by_one(on_gpu())
    mode, outcomes = at_once(on_gpu())
    assert mode == AT_ONCE
    for number, serial in enumerate(wanted):
        ours = outcomes[number]["curves"]["train_loss"]
        assert ours == pytest.approx(serial["curves"]["train_loss"], rel=1e-3)

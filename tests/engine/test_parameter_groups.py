"""Parameter groups that tricks ask for: `Trick.scales`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.engine.contract_check import ContractError
from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.run import Run
from harness.engine.together import run_together
from harness.engine.trial import open_run, run_trial
from harness.errors import HarnessError
from harness.record.record import together_mode
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

PLUGIN = """
import torch
from dataclasses import dataclass, field
from harness.contract import Optimizer, Scale, Schedule, Slots, Trick, hookimpl

@dataclass(frozen=True)
class Scaled(Trick):
    lr: dict[str, float] = field(default_factory=dict)
    weight_decay: dict[str, float] = field(default_factory=dict)
    def scales(self, ctx):
        names = list(dict.fromkeys([*self.lr, *self.weight_decay]))
        return {n: Scale(self.lr.get(n, 1.0), self.weight_decay.get(n, 1.0)) for n in names}

@dataclass(frozen=True)
class Wrong(Trick):
    def scales(self, ctx):
        return {"1.weight": 0.5}

@dataclass(frozen=True)
class Decaying(Optimizer):
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.01
    def build(self, groups):
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)

@dataclass(frozen=True)
class Adamw(Optimizer):
    lr: float = 0.01
    weight_decay: float = 0.1
    def build(self, groups):
        return torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay)

@dataclass(frozen=True)
class Hidden(Optimizer):
    lr: float = 0.05
    weight_decay: float = 0.01
    merges: bool = False
    def build(self, groups):
        if self.merges:
            groups = [{"params": [p for group in groups for p in group["params"]]}]
        made = torch.optim.SGD(groups, lr=self.lr)
        for group in made.param_groups:
            del group["weight_decay"]
        return made

@dataclass(frozen=True)
class Falling(Schedule):
    def rate(self, progress):
        return 1.0 - progress

@hookimpl
def harness_register(registry):
    for one in (Scaled, Wrong):
        registry.add("trick", "test-" + one.__name__.lower(), one, summary="a trick")
    for one in (Decaying, Adamw, Hidden):
        registry.add("optimizer", "test-" + one.__name__.lower(), one, summary="an optimizer")
    registry.add("schedule", "test-falling", Falling, summary="a schedule")
"""

Jobs = Callable[..., Job]
NET = component("toy-net", width=8, batch_norm=True, dropout=0.0)
NAMES = ["1.weight", "1.bias", "2.weight", "2.bias", "4.weight", "4.bias"]


def scaled(
    lr: dict[str, float] | None = None, weight_decay: dict[str, float] | None = None
) -> dict[str, Any]:
    return component("test-scaled", lr=lr or {}, weight_decay=weight_decay or {})


def entry(name: str, parameters: str = "all", **params: Any) -> dict[str, Any]:
    return {**component(name, **params), "parameters": parameters}


@pytest.fixture
def make(make_job: Callable[..., Job], tmp_path: Path) -> Jobs:
    file = tmp_path / "scaled.py"
    file.write_text(PLUGIN)
    plain = {"backbone": NET, "optimizer": [entry("test-decaying")]}
    return lambda **changes: make_job(plugins=(TOYS, str(file)), **{**plain, **changes})


def train_by_hand(
    run: Run, build: Callable[[dict[str, Any]], list[torch.optim.Optimizer]], rate: Callable[[int], float]
) -> list[torch.Tensor]:
    """A loop as one writes it in a notebook, over the run's model, batches and seeds; its optimizers are torch's."""
    model = run.model
    assert isinstance(model, nn.Module)
    optimizers = build(dict(model.named_parameters()))
    groups = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    for epoch in range(5):
        batches, seeds = run.begin_epoch(epoch)
        for index, batch in enumerate(batches):
            torch.manual_seed(seeds[index])
            for group, base in groups:
                group["lr"] = base * rate(epoch * run.steps_per_epoch + index)
            for optimizer in optimizers:
                optimizer.zero_grad()
            F.cross_entropy(model(batch.image), batch.target).backward()
            for optimizer in optimizers:
                optimizer.step()
    return list(model.state_dict().values())


def weights_after_training(job: Job) -> list[torch.Tensor]:
    run = open_run(job, Owners())
    for _ in steps(run, 0, run.total_steps):
        pass
    return list(run.model.state_dict().values())


def equal(ours: list[torch.Tensor], wanted: list[torch.Tensor]) -> bool:
    return len(ours) == len(wanted) and all(map(torch.equal, ours, wanted))


def test_weights_are_those_of_a_hand_written_loop_with_torch_parameter_groups(make: Jobs) -> None:
    vectors = {name: 0.0 for name in NAMES if name not in ("1.weight", "4.weight")}
    tricks = [scaled(weight_decay=vectors), scaled(lr={"4.weight": 4.0, "4.bias": 4.0, "1.weight": 0.5})]
    schedule = {**component("test-falling"), "warmup": 0.0}

    def build(p: dict[str, Any]) -> list[torch.optim.Optimizer]:
        groups = [
            {"params": [p["1.weight"]], "lr": 0.025},
            {"params": [p["1.bias"], p["2.weight"], p["2.bias"]], "weight_decay": 0.0},
            {"params": [p["4.weight"]], "lr": 0.2},
            {"params": [p["4.bias"]], "lr": 0.2, "weight_decay": 0.0},
        ]
        return [torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=0.01)]

    wanted = train_by_hand(open_run(make(), Owners()), build, lambda step: 1 - step / 50)
    assert equal(weights_after_training(make(tricks=tricks, schedule=schedule)), wanted)
    # and the loop can tell: with other factors it is another network
    assert not equal(weights_after_training(make(tricks=tricks[:1], schedule=schedule)), wanted)


def test_each_of_several_optimizers_has_groups_of_its_own(make: Jobs) -> None:
    optimizer = [entry("test-adamw", "matrices"), entry("test-decaying", "rest")]
    tricks = [scaled(lr={"1.weight": 0.1, "1.bias": 0.1, "2.weight": 0.1}, weight_decay={"4.weight": 0.5})]

    def build(p: dict[str, Any]) -> list[torch.optim.Optimizer]:
        matrices = [
            {"params": [p["1.weight"]], "lr": 0.001},
            {"params": [p["4.weight"]], "weight_decay": 0.05},
        ]
        rest = [
            {"params": [p["1.bias"], p["2.weight"]], "lr": 0.005},
            {"params": [p["2.bias"], p["4.bias"]]},
        ]
        sgd = torch.optim.SGD(rest, lr=0.05, momentum=0.9, weight_decay=0.01)
        return [torch.optim.AdamW(matrices, lr=0.01, weight_decay=0.1), sgd]

    wanted = train_by_hand(open_run(make(), Owners()), build, lambda _: 1.0)
    assert equal(weights_after_training(make(tricks=tricks, optimizer=optimizer)), wanted)


def test_factors_of_one_are_one_group_and_are_not_told(make: Jobs) -> None:
    plain, ones = (open_run(make(tricks=t), Owners()) for t in ([], [scaled(lr=dict.fromkeys(NAMES, 1.0))]))
    assert [len(group["params"]) for group in ones.step.optimizers[0].param_groups] == [6]
    assert "groups" not in plain.pipeline and "groups" not in ones.pipeline
    assert equal(
        weights_after_training(make(tricks=[scaled(lr={"1.bias": 1.0})])), weights_after_training(make())
    )


def test_groups_are_told_and_the_curve_holds_the_rate_that_no_factor_has_moved(make: Jobs) -> None:
    tricks = [scaled(lr={"1.weight": 0.5}), scaled(lr={"1.weight": 0.5}, weight_decay={"4.weight": 0.0})]
    job = make(tricks=tricks, schedule={**component("test-falling"), "warmup": 0.0})
    outcome = run_trial(job, report=lambda _: None, stop=lambda: False)
    told = next(line for line in outcome["pipeline"].splitlines() if line.startswith("groups"))
    wanted = "1 tensors lr x 0.25; 4 tensors as they are; 1 tensors weight decay x 0"
    assert told == f"groups: test-decaying[all] {wanted}"
    assert outcome["curves"]["learning_rate"] == [0.05 * (1 - step / 50) for step in (9, 19, 29, 39, 49)]


def test_an_unknown_name_a_wrong_value_and_a_wrong_factor_are_refused(make: Jobs) -> None:
    with pytest.raises(ContractError, match=r'no parameter "4\.wieght"; did you mean "?4\.weight'):
        open_run(make(tricks=[scaled(lr={"4.wieght": 0.5})]), Owners())
    with pytest.raises(ContractError, match=r"expected a Scale for 1\.weight, got float"):
        open_run(make(tricks=[component("test-wrong")]), Owners())
    with pytest.raises(ContractError, match=r"4\.bias: weight_decay is -1"):
        open_run(make(tricks=[scaled(weight_decay={"4.bias": -1.0})]), Owners())


def test_a_weight_decay_that_no_group_has_is_refused_unless_there_is_none(make: Jobs) -> None:
    tricks, decaying = [scaled(weight_decay={"4.bias": 0.0})], entry("test-hidden", weight_decay=0.01)
    with pytest.raises(HarnessError, match="keeps one weight decay for all"):
        open_run(make(tricks=tricks, optimizer=[decaying]), Owners())
    open_run(make(tricks=tricks, optimizer=[entry("test-hidden", weight_decay=0.0)]), Owners())
    open_run(make(tricks=[scaled(lr={"4.bias": 0.5})], optimizer=[decaying]), Owners())
    with pytest.raises(ContractError, match="made 1 parameter groups of the 2"):
        open_run(make(tricks=tricks, optimizer=[entry("test-hidden", merges=True)]), Owners())


def test_a_resumed_trial_has_its_groups_again(make: Jobs) -> None:
    job = make(tricks=[scaled(lr={"4.weight": 3.0}, weight_decay={"1.weight": 0.0})])
    straight = run_trial(job, report=lambda _: None, stop=lambda: False)
    asked = iter([False, False, True])
    assert run_trial(job, report=lambda _: None, stop=lambda: next(asked))["status"] == "preempted"
    resumed = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert resumed["resumed_from_step"] == 30
    assert resumed["digests"] == straight["digests"] and resumed["curves"] == straight["curves"]


def test_a_loss_scale_keeps_the_groups(make: Jobs) -> None:
    numerics = {"channels_last": False, "threads": 1, "deterministic": False, "compile": False}
    tricks = [scaled(lr={"4.weight": 3.0}, weight_decay={"1.weight": 0.0})]
    run = open_run(make(tricks=tricks, numerics={**numerics, "precision": "fp16"}), Owners())
    (optimizer,) = run.step.optimizers
    kept = [(len(g["params"]), g["lr"], g["weight_decay"], g["fused"]) for g in optimizer.param_groups]
    assert kept == [(1, 0.05, 0.0, True), (4, 0.05, 0.01, True), (1, 0.05 * 3.0, 0.01, True)]
    for _ in steps(run, 0, 3):
        pass


@pytest.mark.parametrize("name", ["test-decaying", "test-adamw"])
def test_replicates_at_once_have_groups_too(make: Jobs, tmp_path: Path, name: str) -> None:
    tricks = [scaled(lr={"3.weight": 3.0, "1.bias": 0.3}, weight_decay={"1.weight": 0.0})]
    net = component("toy-net", width=8, batch_norm=False, dropout=0.0)
    budget = {"unit": "steps", "amount": 25}
    job = make(backbone=net, tricks=tricks, optimizer=[entry(name)], budget=budget)
    jobs = [dataclasses.replace(job, replicate=r, folder=str(tmp_path / str(r))) for r in range(3)]
    outcomes: dict[int, dict[str, Any]] = {}
    mode = together_mode(3, ratio=2.0, difference=0.0)
    run_together(jobs, mode=mode, report=lambda _: None, stop=lambda: False, finished=outcomes.__setitem__)
    for number, one in enumerate(jobs):
        serial = run_trial(one, report=lambda _: None, stop=lambda: False)
        assert outcomes[number]["status"] == serial["status"] == "completed"
        assert outcomes[number]["curves"]["train_loss"] == pytest.approx(
            serial["curves"]["train_loss"], rel=1e-4
        )
        assert outcomes[number]["results"]["test"]["nll"] == pytest.approx(
            serial["results"]["test"]["nll"], rel=1e-4
        )

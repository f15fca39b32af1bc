"""Parameters that a trick freezes at a share of the budget: `Slots.freezes`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch

from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.trial import open_run, run_trial
from harness.testing.jobs import TOYS, component, toy_job, write_toy_data

PLUGIN = '''
from dataclasses import dataclass
from harness.contract import Slots, Trick, hookimpl


@dataclass(frozen=True)
class FreezeHead(Trick):
    """Train the head's bias for 30 % of the budget, and its weight for none of it."""

    def bind(self, ctx):
        head = list(ctx.model.modules())[-1]
        return Slots(freezes={0.0: [head.weight], 0.3: [head.bias]})


@hookimpl
def harness_register(registry):
    registry.add("trick", "freeze-head", FreezeHead, summary="freezes the head")
'''


def test_frozen_parameters_stand_still_from_their_step_on_and_the_rest_trains(tmp_path: Path) -> None:
    (tmp_path / "freeze_head.py").write_text(PLUGIN)
    data = tmp_path / "data"
    data.mkdir()
    manifest = write_toy_data(data)
    changes = {
        "tricks": [component("freeze-head")],
        "optimizer": [{**component("toy-sgd", lr=0.05, momentum=0.9), "parameters": "all"}],
    }
    job = toy_job(data, manifest, tmp_path, plugins=[TOYS, str(tmp_path / "freeze_head.py")], **changes)
    run = open_run(job, Owners())
    assert run.total_steps == 50 and sorted(run.freezes) == [0, 15]
    assert "freezes: trick freeze-head" in run.pipeline or "freezes: freeze-head" in run.pipeline
    head = list(run.model.modules())[-1]
    weight, biases, first = head.weight.detach().clone(), [], next(run.model.parameters())
    starts = [first.detach().clone()]
    for _ in steps(run, 0, 50):
        biases.append(head.bias.detach().clone())
        starts.append(first.detach().clone())
    assert torch.equal(head.weight, weight)
    moved = [not torch.equal(one, other) for one, other in pairwise(biases)]
    assert all(moved[:14]) and not any(moved[14:])  # step 14 is the last that trains the bias
    assert all(not torch.equal(one, other) for one, other in pairwise(starts))


def test_a_resumed_trial_stays_frozen(tmp_path: Path) -> None:
    (tmp_path / "freeze_head.py").write_text(PLUGIN)
    data = tmp_path / "data"
    data.mkdir()
    manifest = write_toy_data(data)
    job = toy_job(
        data,
        manifest,
        tmp_path,
        plugins=[TOYS, str(tmp_path / "freeze_head.py")],
        tricks=[component("freeze-head")],
    )
    straight = run_trial(job, report=lambda _: None, stop=lambda: False)
    asked = iter([False, False, True])
    assert run_trial(job, report=lambda _: None, stop=lambda: next(asked))["status"] == "preempted"
    resumed = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert resumed["resumed_from_step"] == 30
    assert resumed["digests"] == straight["digests"]

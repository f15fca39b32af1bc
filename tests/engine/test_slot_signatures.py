"""A function that cannot be called as its slot is: refused as it is bound, by its plugin's and its slot's name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engine.check import check_arm
from harness.engine.contract_check import ContractError, check_call
from harness.engine.preview import preview_arm
from harness.engine.trial import run_trial
from harness.errors import PluginError
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component

FILE = """
import functools
from dataclasses import dataclass
import torch
from harness.contract import *

def logged(function):
    @functools.wraps(function)
    def wrapper(batch):
        return function(batch, "what only the decorator gives")
    return wrapper

class Loss(torch.nn.Module):
    def forward(self, {loss_takes}):
        return torch.nn.functional.cross_entropy(logits, target)

@dataclass(frozen=True)
class Odd(Trick):
    def bind(self, ctx):
        def given(batch): return batch
        @logged
        def decorated(batch, why): return batch
        return Slots({slots})

@dataclass(frozen=True)
class Grow(Augmentation):
    stage = Stage.GEOMETRY
    placement = "{placement}"
    def bind(self, ctx):
        def grow({grow_takes}): return batch
        return grow

@hookimpl
def harness_register(registry):
    registry.add("trick", "odd", Odd, summary="a slot as it is not called")
    registry.add("augmentation", "grow", Grow, summary="leaves all as it is")
"""

MakeOdd = Callable[..., Job]


@pytest.fixture
def odd(tmp_path: Path, make_job: Callable[..., Job]) -> MakeOdd:
    def make(
        slots: str = "",
        grow_takes: str = "batch",
        placement: str = "device",
        loss_takes: str = "logits, target",
        **changes: Any,
    ) -> Job:
        file = tmp_path / "odd.py"
        told = {"slots": slots, "grow_takes": grow_takes, "placement": placement, "loss_takes": loss_takes}
        file.write_text(FILE.format(**told))
        recipe = {"tricks": [component("odd")], "augmentations": [component("grow")], **changes}
        return make_job(plugins=(TOYS, str(file)), budget={"unit": "steps", "amount": 2}, **recipe)

    return make


def trial(job: Job) -> dict[str, Any]:
    return run_trial(job, report=lambda _: None, stop=lambda: False)


@pytest.mark.parametrize(
    ("slots", "slot", "told"),
    [
        ("phase=lambda step: None", "phase", "takes (step) and is given ()"),
        ("batch=lambda batch, targets: batch", "batch", "takes (batch, targets) and is given (batch)"),
        ("loss=lambda logits: logits.sum()", "loss", "takes (logits) and is given (logits, target)"),
        ("objective=lambda: None", "objective", "takes () and is given (objective)"),
        ("objective=lambda objective: lambda: 0", "objective", "takes () and is given (batch)"),
        ("gradients=lambda grads, *, norm: None", "gradients", "takes (grads, *, norm) and is given (gradients)"),
        ("update=lambda update, closure: None", "update", "takes (update, closure) and is given (update)"),
        ("update=lambda update: lambda: update", "update", "takes () and is given (closure)"),
        ("update=lambda update: None", "update", "expected a function of (closure), got None"),
        ("eval_model=lambda: None", "eval_model", "takes () and is given (model)"),
        ("observe=lambda step: 1.0", "observe", "takes (step) and is given ()"),
        ("batch='soften'", "batch", "expected a function of (batch), got str"),
    ],
)  # fmt: skip
def test_a_slot_that_cannot_be_called_so_is_told_before_the_first_step(
    odd: MakeOdd, slots: str, slot: str, told: str
) -> None:
    job = odd(slots)
    with pytest.raises(ContractError) as error:
        check_arm(job)
    assert str(error.value).startswith(f"trick odd, slot {slot}: ") and told in str(error.value)
    outcome = trial(job)
    assert outcome["status"] == "failed"
    assert (outcome["culprit"]["plugin"], outcome["culprit"]["slot"]) == ("trick odd", slot)
    assert told in outcome["culprit"]["error"]


def test_a_loss_that_is_a_module_is_held_to_its_forward(odd: MakeOdd) -> None:
    assert trial(odd("loss=Loss()"))["status"] == "completed"
    culprit = trial(odd("loss=Loss()", loss_takes="logits"))["culprit"]
    assert (culprit["plugin"], culprit["slot"]) == ("trick odd", "loss")
    assert "Loss takes (logits) and is given (logits, target)" in culprit["error"]


@pytest.mark.parametrize("placement", ["device", "loader"])
def test_so_is_an_augmentation_wherever_it_runs(odd: MakeOdd, placement: str) -> None:
    job = odd(grow_takes="batch, epoch", placement=placement, tricks=[])
    told = "augmentation grow, slot batch: grow takes (batch, epoch) and is given (batch)"
    for built in (check_arm, lambda one: preview_arm(one, samples=2)):
        with pytest.raises(PluginError) as error:
            built(job)
        assert told in str(error.value)
    culprit = trial(job)["culprit"]
    assert (culprit["plugin"], culprit["slot"]) == ("augmentation grow", "batch")


@pytest.mark.parametrize(
    "slots", ["batch=given", "batch=decorated", "batch=functools.partial(given)", "phase=print"]
)
def test_what_can_be_called_so_is_left_alone(odd: MakeOdd, slots: str) -> None:
    outcome = trial(odd(slots))
    assert outcome["status"] == "completed", outcome["culprit"]


def test_a_function_of_which_python_cannot_tell_what_it_takes_is_taken_as_it_is() -> None:
    class Compiled:
        __signature__ = "no signature"

        def __call__(self, batch: object) -> object:
            return batch

    check_call("trick odd", "batch", Compiled(), "batch")

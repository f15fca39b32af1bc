"""The loss scale of fp16: an overflow skips a step whole; gradients are unscaled where anybody sees them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.engine.checkpoint import load_checkpoint, save_checkpoint
from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.run import Run
from harness.engine.scaler import skipping
from harness.engine.trial import open_run
from harness.suite.plan import Job
from harness.testing.jobs import TOYS

NUMERICS = {"channels_last": False, "compile": False, "threads": 1, "deterministic": False}
OVERFLOWS = (0, 3)
PLUGIN = '''
from dataclasses import dataclass
from typing import Any
from harness.contract import *

@dataclass(frozen=True)
class Explode(Trick):
    """Makes the gradient of some steps too large for half precision."""
    at: tuple[int, ...] = ()
    def bind(self, ctx):
        def wrap(inner):
            def exploding(batch):
                loss, logits = inner(batch)
                return (loss * 1e8 if ctx.step in self.at else loss), logits
            return exploding
        return Slots(objective=wrap)

@dataclass(frozen=True)
class Look(Trick):
    """Keeps the norms of the gradients that a `gradients` slot is given."""
    stage = Stage.GRADIENT
    def bind(self, ctx):
        import torch
        norms = torch.zeros(50)
        def look(gradients):
            norms[ctx.step] = torch.nn.utils.get_total_norm(gradients)
        return Slots(gradients=look, state={"norms": [norms]})

@dataclass(frozen=True)
class Adamw(Optimizer):
    lr: float = 0.01
    def build(self, groups: list[dict[str, Any]]):
        from torch.optim import AdamW
        return AdamW(groups, lr=self.lr)

@dataclass(frozen=True)
class Rms(Optimizer):
    lr: float = 0.01
    def build(self, groups: list[dict[str, Any]]):
        from torch.optim import RMSprop
        return RMSprop(groups, lr=self.lr)

@hookimpl
def harness_register(registry):
    registry.add("trick", "explode", Explode, summary="too large")
    registry.add("trick", "look", Look, summary="looks")
    registry.add("optimizer", "adamw-here", Adamw, summary="AdamW")
    registry.add("optimizer", "rms-here", Rms, summary="RMSprop")
'''


def optimizer(name: str, parameters: str = "all", **params: float) -> dict:
    return {"name": name, "params": params, "parameters": parameters}


SGD = [optimizer("toy-sgd", lr=0.05, momentum=0.9)]
OPTIMIZERS = {
    "sgd": SGD,
    "adamw": [optimizer("adamw-here")],
    "two": [optimizer("toy-sgd", "matrices", lr=0.05, momentum=0.9), optimizer("adamw-here", "rest")],
    "not fused": [optimizer("rms-here")],
}


@pytest.fixture
def opened(make_job: Callable[..., Job], tmp_path: Path) -> Callable[..., Run]:
    file = tmp_path / "plugin.py"
    file.write_text(PLUGIN)

    def make(precision: str = "fp16", **changes: object) -> Run:
        changes = {"numerics": {**NUMERICS, "precision": precision}, **changes}
        return open_run(make_job(plugins=(TOYS, str(file)), **changes), Owners())

    return make


def trick(name: str, **params: object) -> dict:
    return {"name": name, "params": params}


def everything(run: Run) -> list[torch.Tensor]:
    """Weights, optimizers' state and tricks' state."""
    kept = [*run.model.state_dict().values(), *(t for tensors in run.state.values() for t in tensors)]
    for one in run.step.optimizers:
        for values in one.state.values():
            kept.extend(value for value in values.values() if isinstance(value, torch.Tensor))
    return [tensor.clone() for tensor in kept]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("parts", [1, 3])
def test_an_overflow_leaves_weights_optimizers_and_averages_as_they_were(
    opened: Callable[..., Run], name: str, parts: int
) -> None:
    run = opened(
        optimizer=OPTIMIZERS[name],
        tricks=[trick("explode", at=OVERFLOWS), trick("ema", decay=0.9), trick("toy-parts", parts=parts)],
    )
    scale = 2.0**16
    for step in range(6):
        before = everything(run)
        _, result = next(steps(run, step, step + 1))
        after = everything(run)
        skipped = step in OVERFLOWS
        assert bool(result.applied) is not skipped
        assert isinstance(result.applied, torch.Tensor) == (name != "not fused")
        if step > 1:  # before the first step that is taken there may be no state
            assert len(before) == len(after)
        same = [torch.equal(a, b) for a, b in zip(before, after, strict=False)]
        assert all(same) if skipped else not all(same)
        assert all(tensor.isfinite().all() for tensor in after)
        scale /= 2 if skipped else 1
        assert run.step.scaler is not None and run.step.scaler.state()["scale"] == scale


@pytest.mark.parametrize("name", ["sgd", "adamw", "two"])
def test_a_skipped_first_step_starts_the_optimizer_as_if_it_had_not_been(
    opened: Callable[..., Run], name: str
) -> None:
    """Fused SGD has momentum buffers by then, and must not take over what memory held."""
    runs = [opened(optimizer=OPTIMIZERS[name], tricks=[trick("explode", at=at)]) for at in ((0,), ())]
    next(steps(runs[0], 0, 1))
    for run in runs:
        # the same gradient in both: that of step 1, from untouched weights
        next(steps(run, 1, 2))
    # one halving of the scale apart: a power of two, so that only what underflows differs
    for a, b in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("parts", [1, 3])
def test_gradients_slots_see_unscaled_gradients(opened: Callable[..., Run], parts: int) -> None:
    norms = {}
    for precision in ("fp32", "fp16"):
        run = opened(precision, tricks=[trick("look"), trick("toy-parts", parts=parts)])
        for _ in steps(run, 0, 5):
            pass
        norms[precision] = run.state["trick look/norms"][0][:5]
    assert (norms["fp32"] > 1e-3).all()
    torch.testing.assert_close(norms["fp16"], norms["fp32"], rtol=0.02, atol=0)


def test_the_scale_goes_through_a_checkpoint(opened: Callable[..., Run], tmp_path: Path) -> None:
    run = opened(tricks=[trick("explode", at=OVERFLOWS)])
    for _ in steps(run, 0, 6):
        pass
    save_checkpoint(run, tmp_path, {"step": 6})
    resumed = opened(tricks=[trick("explode", at=OVERFLOWS)])
    assert load_checkpoint(resumed, tmp_path) == {"step": 6}
    assert resumed.step.scaler is not None and run.step.scaler is not None
    assert resumed.step.scaler.state() == run.step.scaler.state()
    assert run.step.scaler.state()["scale"] == 2.0**14 and run.step.scaler.state()["_growth_tracker"] == 2


def test_an_average_moves_the_same_whether_applied_is_known_here_or_on_the_device(
    opened: Callable[..., Run],
) -> None:
    averages = []
    for known_here in (True, False):
        run = opened(tricks=[trick("ema", decay=0.9)])
        if known_here:
            run.step.scaler._all._step_supports_amp_scaling = False  # type: ignore[union-attr]
        for _ in steps(run, 0, 8):
            pass
        averages.append(run.state["trick ema/averages"])
    for a, b in zip(*averages, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad])
def test_an_optimizer_taken_fused_keeps_its_groups_and_their_settings(kind: type) -> None:
    first, second = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    plain = kind([{"params": [first], "lr": 0.5, "weight_decay": 0.1}, {"params": [second], "lr": 0.25}])
    fused = skipping(plain)
    assert type(fused) is kind and fused._step_supports_amp_scaling  # type: ignore[attr-defined]
    for ours, theirs in zip(fused.param_groups, plain.param_groups, strict=True):
        assert ours["params"] == theirs["params"]
        different = {name for name in theirs if name != "params" and ours[name] != theirs[name]}
        assert different == {"fused"}


def test_a_class_derived_from_torchs_is_left_as_it_is() -> None:
    class Mine(torch.optim.SGD):
        pass

    mine = Mine([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    assert skipping(mine) is mine

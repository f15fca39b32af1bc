"""Every optimizer takes the factors of parameter groups: of the rate and of the weight decay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.culprit import Owners
from harness.engine.loop import steps
from harness.engine.trial import open_run
from harness.testing.jobs import TOYS, component, toy_job, write_toy_data

PLUGIN = """
from dataclasses import dataclass
from harness.contract import Scale, Trick, hookimpl

@dataclass(frozen=True)
class Scaled(Trick):
    of: str
    lr: float = 1.0
    weight_decay: float = 1.0
    def scales(self, ctx):
        return {self.of: Scale(self.lr, self.weight_decay)}

@hookimpl
def harness_register(registry):
    registry.add("trick", "test-scaled", Scaled, summary="a trick")
"""

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {"lr": 0.1}),
    ("adam", {"lr": 0.01}),
    ("adamw", {"lr": 0.01}),
    ("adabound", {"lr": 0.01}),
    ("lamb", {"lr": 0.01}),
    ("lion", {"lr": 0.01}),
    ("decoupled-sgd", {"lr": 0.1}),
    ("muon", {"lr": 0.02}),
    ("timm:", {"model": "adan", "lr": 0.01}),
    ("torch:", {"model": "RMSprop", "lr": 0.01}),
]
NAME = "3.weight"  # of the toy network's head


def head_after(
    folder: Path, optimizer: str, params: dict[str, Any], factors: dict[str, float], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the head's weights, and the first layer's, after a few steps."""
    file, data = folder / "scaled.py", folder / "data"
    file.write_text(PLUGIN)
    data.mkdir(exist_ok=True)
    entries = [{**component(optimizer, **params), "parameters": "all"}]
    if optimizer == "muon":
        rest = {**component("sgd", lr=0.1), "parameters": "rest"}
        entries = [{**entries[0], "parameters": "matrices"}, rest]
    tricks = [component("test-scaled", of=NAME, **factors)]
    job = toy_job(
        data, write_toy_data(data), folder, plugins=(TOYS, str(file)), optimizer=entries, tricks=tricks
    )
    run = open_run(job, Owners())
    for _ in steps(run, 0, count):
        pass
    return tuple(run.model.get_parameter(name).detach().clone() for name in (NAME, "1.weight"))  # type: ignore[return-value]


@pytest.mark.parametrize(("optimizer", "params"), OPTIMIZERS, ids=[name for name, _ in OPTIMIZERS])
def test_a_group_at_no_rate_stands_still_and_the_others_do_not(
    optimizer: str, params: dict[str, Any], tmp_path: Path
) -> None:
    decaying = {**params, "weight_decay": 0.1}
    started, first = head_after(tmp_path, optimizer, decaying, {}, 0)
    still, moved = head_after(tmp_path, optimizer, decaying, {"lr": 0.0}, 3)
    assert torch.equal(still, started)
    assert not torch.equal(moved, first)


@pytest.mark.parametrize(("optimizer", "params"), OPTIMIZERS, ids=[name for name, _ in OPTIMIZERS])
def test_a_group_without_weight_decay_steps_as_if_there_were_none(
    optimizer: str, params: dict[str, Any], tmp_path: Path
) -> None:
    """In the first step, for which the gradients are the same."""
    scaled, others = head_after(
        tmp_path, optimizer, {**params, "weight_decay": 0.5}, {"weight_decay": 0.0}, 1
    )
    without, undecayed = head_after(tmp_path, optimizer, {**params, "weight_decay": 0.0}, {}, 1)
    decayed, _ = head_after(tmp_path, optimizer, {**params, "weight_decay": 0.5}, {}, 1)
    torch.testing.assert_close(scaled, without, rtol=0, atol=1e-7)
    assert not torch.allclose(decayed, without, rtol=0, atol=1e-6)
    assert not torch.allclose(others, undecayed, rtol=0, atol=1e-6)

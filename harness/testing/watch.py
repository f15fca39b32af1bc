"""A composed run whose slots are looked at in every step: what they write to, what they draw from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from harness.contract import Batch

if TYPE_CHECKING:
    from harness.engine.run import Run


def watch(run: Run, notes: list[str]) -> None:
    """Have every function that is given a batch looked at; what it does and may not do is added to `notes`.

    The engine holds the first step of each phase to the contract; this is for all the others, for the loader's
    functions, and for what a loss, an objective or the network does with a micro-batch.
    """
    step = run.step
    step.batch_functions = [
        partial(_watched, label, function, notes, True)
        for label, function in zip(run.batch_labels, step.batch_functions, strict=True)
    ]
    step.objective = partial(_watched, " ".join(run.objective_owner), step.objective, notes, False)
    if run.loader.augmenter is not None:
        functions = run.loader.augmenter.functions
        functions[:] = [
            (label, partial(_watched, label, function, notes, False)) for label, function in functions
        ]


def _watched(
    label: str, function: Callable[[Batch], Any], notes: list[str], may_not_draw: bool, batch: Batch
) -> Any:
    tensors = {**batch.inputs, "target": batch.target, "ids": batch.ids}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    state = torch.get_rng_state() if may_not_draw else None
    after = function(batch)
    for name, tensor in tensors.items():
        if not torch.equal(tensor, before[name]):
            notes.append(f"{label} wrote into the batch's {name}")
    if state is not None and not torch.equal(torch.get_rng_state(), state):
        notes.append(f"{label} drew from torch's global generator in its batch slot")
    return after

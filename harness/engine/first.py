"""A checked step: the contract is held to and the FLOPs are counted; the first, and the first of each phase."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.contract import Batch, StepResult
from harness.engine.contract_check import check_objective, check_result, checked_batch
from harness.engine.loop import steps

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.run import Run


def first_step(run: Run, step: int) -> tuple[StepResult, int]:
    """Take one step, checked.

    The numbers are those of any other step; only Python's side differs. A compiled model takes it uncompiled,
    for operations inside compiled code cannot be counted.

    Returns:
        The result, and the floating-point operations of the step (2 for each multiply-add), all passes of
        all its functions.

    Raises:
        ContractError: Saying what was expected and what came.
    """
    taken = run.step
    functions, objective = taken.batch_functions, taken.objective
    classes = run.data.num_classes

    def checked_objective(batch: Batch) -> tuple[Tensor, Tensor]:
        outcome = objective(batch)
        check_objective(*run.objective_owner, outcome, len(batch), classes)
        return outcome

    taken.batch_functions = [
        partial(_keyed_batch, run, label, function)
        for label, function in zip(run.batch_labels, functions, strict=True)
    ]
    taken.objective = checked_objective
    try:
        with ExitStack() as stack:
            if run.job.recipe["numerics"]["compile"]:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
                stack.enter_context(warnings.catch_warnings())
                # The counter's own hooks.
                warnings.filterwarnings("ignore", message=".*global hooks on modules")
            counter = stack.enter_context(FlopCounterMode(display=False))
            _, outcome = next(steps(run, step, step + 1))
    finally:
        taken.batch_functions, taken.objective = functions, objective
    check_result(run.update_label, outcome)
    return outcome, counter.get_total_flops()


def _keyed_batch(run: Run, label: str, function: Callable[[Batch], Batch], batch: Batch) -> Batch:
    """Apply a batch function, checked; note it where it draws from what is not keyed by sample."""
    before = [generator.get_state() for generator in run.step.generators]
    after = checked_batch(label, function, batch, num_classes=run.data.num_classes)
    drawn = f"torch's global generator, from which {label} draws in its batch slot"
    now = [generator.get_state() for generator in run.step.generators]
    if drawn not in run.changes and not all(map(torch.equal, before, now)):
        run.changes.append(drawn)
    return after

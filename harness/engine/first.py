"""The first step of a trial: the contract is checked and the FLOPs are counted, once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch.utils.flop_counter import FlopCounterMode

from harness.contract import Batch, StepResult
from harness.engine.contract_check import check_objective, check_result, checked_batch
from harness.engine.loop import steps

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.compile import Run


def first_step(run: Run, step: int) -> tuple[StepResult, int]:
    """Take one step, checked.

    The numbers are those of any other step; only Python's side differs.

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
        check_objective(run.objective_label, run.objective_slot, outcome, len(batch), classes)
        return outcome

    taken.batch_functions = [
        partial(checked_batch, label, function, num_classes=classes)
        for label, function in zip(run.batch_labels, functions, strict=True)
    ]
    taken.objective = checked_objective
    try:
        with FlopCounterMode(display=False) as counter:
            _, outcome = next(steps(run, step, step + 1))
    finally:
        taken.batch_functions, taken.objective = functions, objective
    check_result(run.update_label, outcome)
    return outcome, counter.get_total_flops()

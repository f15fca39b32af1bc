"""Replicates of one arm as one stack of tensors: their parameters and buffers become rows of it.

One forward of the stack under `torch.func.vmap` and one backward of the sum of the losses serve all replicates.
Everything else stays each replicate's own code: its batch functions, its objective, its update. Where that code
looks at the model in a way that one shared forward cannot serve, `Ineligible` says so, and the replicates are
trained one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.func import functional_call, vmap

from harness.contract import Batch, StepResult
from harness.engine.joined import Ineligible, JoinedOptimizers
from harness.engine.precision import autocast

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.engine.loop import Step
    from harness.engine.run import Run

_PRECISIONS = ("fp32", "tf32", "bf16")
Gathered = tuple[Batch, Sequence[int]]


class Gather:
    """Stands in for a run's step while its batches are gathered: applies the batch functions, and no more."""

    __slots__ = ("micro_batches", "step")

    def __init__(self, step: Step) -> None:
        self.step = step
        self.micro_batches = step.micro_batches

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> Gathered:
        """Return the batch as the objective sees it, and the step's seeds."""
        for function in self.step.batch_functions:
            batch = function(batch)
        return batch, seeds


def check_eligible(run: Run) -> None:
    """Say at once what would not work, before anything is tried.

    Raises:
        Ineligible: With the reason.
    """
    numerics = run.job.recipe["numerics"]
    hooked = [
        name
        for name, module in run.model.named_modules()
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
    ]
    for is_so, reason in (
        (numerics["compile"], "its model is compiled"),
        (numerics["precision"] not in _PRECISIONS, f"its precision is {numerics['precision']}"),
        (numerics["channels_last"], "its layout is channels_last"),
        (run.step.micro_batches > 1, "its batch is split into micro-batches"),
        (run.loader.workers, f"each replicate's loader has {run.loader.workers} workers of its own"),
        (run.takes == "batch", "its backbone takes the whole batch"),
        (run.has_ascent, "its update takes two passes"),
        (hooked, f"its module {hooked[0] or 'at the top'} has hooks" if hooked else ""),
    ):
        if is_so:
            raise Ineligible(reason)


class Stack:
    """The replicates from one phase of the budget to the next.

    Args:
        runs: Replicates of one arm, each having taken the phase's first step.

    Attributes:
        parameters: By name, (R, ...) leaves; row r shares its memory with the parameter of replicate r.
        buffers: By name, (R, ...), likewise.

    Raises:
        Ineligible: Where the replicates differ in what they are made of.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self.steps = [run.step for run in self.runs]
        first = self.runs[0]
        numerics = first.job.recipe["numerics"]
        self._precision, self._device, self._takes = numerics["precision"], first.device, first.takes
        self.parameters = {
            name: _joined(name, rows).requires_grad_(rows[0].requires_grad)
            for name, rows in _by_name([dict(run.model.named_parameters()) for run in self.runs]).items()
        }
        self.buffers = {
            name: _joined(name, rows)
            for name, rows in _by_name([dict(run.model.named_buffers()) for run in self.runs]).items()
        }
        # Whoever gives neither loss nor objective leaves both to the backbone's owner.
        self._is_plain = all(run.objective_owner[0].startswith("backbone ") for run in self.runs)
        self._trained = [
            (leaf, [run.model.get_parameter(name) for run in self.runs])
            for name, leaf in self.parameters.items()
            if leaf.requires_grad
        ]
        self._optimizers = JoinedOptimizers.of(self.runs, self._trained)
        model = first.model

        def forward(parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
            logits: Tensor = functional_call(model, (parameters, buffers), (inputs,))
            return logits

        # Draws in the forward pass raise: under vmap they would not be those of the replicates' own keys.
        self._forward = vmap(forward, randomness="error")

    def take(self, gathered: Sequence[Gathered | None]) -> list[StepResult | BaseException | None]:
        """Take one step of all replicates.

        Args:
            gathered: For each replicate its batch and seeds, or None for one that has ended.

        Returns:
            For each replicate its result, or what its own code raised; None for one that has ended.

        Raises:
            Ineligible: Where a replicate's code needs a forward or a backward of its own.
        """
        some = next(one for one in gathered if one is not None)
        with autocast(self._precision, self._device):
            # A row that nobody trains any more takes another's batch.
            inputs = torch.stack([(one or some)[0].inputs[self._takes] for one in gathered])
            logits = self._forward(self.parameters, self.buffers, inputs)
        for leaf, _ in self._trained:
            leaf.grad = None
        if self._is_plain:
            losses: list[Any] = list(
                self._plain_losses(logits, [(one or some)[0].target for one in gathered])
            )
        else:
            losses = self._own_losses(logits.unbind(), gathered)
            self._add_direct()
        if self._optimizers is not None:
            self._optimizers.step()
            return [
                loss if isinstance(loss, BaseException) else StepResult(loss) if one is not None else None
                for loss, one in zip(losses, gathered, strict=True)
            ]
        return self._update_each(losses, gathered)

    def dissolve(self) -> None:
        """Give each replicate's own optimizers the state that the stack's have come to."""
        if self._optimizers is not None:
            self._optimizers.hand_back()

    def _plain_losses(self, logits: Tensor, targets: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the cross-entropies, by one call; their sum has been gone back from."""
        replicates, size = logits.shape[:2]
        each = F.cross_entropy(logits.float().flatten(0, 1), torch.cat(list(targets)), reduction="none")
        losses = each.view(replicates, size).mean(1)
        losses.sum().backward()
        return losses.detach().unbind()

    def _own_losses(self, rows: Sequence[Tensor], gathered: Sequence[Gathered | None]) -> list[Any]:
        """Return each objective's loss, or what it raised; their sum has been gone back from."""
        losses: list[Any] = []
        for run, step, logits, one in zip(self.runs, self.steps, rows, gathered, strict=True):
            if one is None:
                losses.append(None)
                continue
            for parameter in step.parameters:
                parameter.grad = None
            try:
                losses.append(_own_loss(run, step, logits, *one))
            except Ineligible:
                raise
            except (Exception, SystemExit) as error:
                losses.append(error)
        torch.autograd.backward([loss for loss in losses if isinstance(loss, torch.Tensor)])
        return [loss.detach() if isinstance(loss, torch.Tensor) else loss for loss in losses]

    def _add_direct(self) -> None:
        """Add what came past the model: an objective's penalty on the weights goes back to them directly."""
        for leaf, rows in self._trained:
            direct = [(number, row.grad) for number, row in enumerate(rows) if row.grad is not None]
            if direct and leaf.grad is None:
                leaf.grad = torch.zeros_like(leaf)
            for number, gradient in direct:
                leaf.grad[number].add_(gradient)  # type: ignore[index]

    def _update_each(
        self, losses: Sequence[Any], gathered: Sequence[Gathered | None]
    ) -> list[StepResult | BaseException | None]:
        for leaf, rows in self._trained:
            if leaf.grad is None:
                continue
            for parameter, gradient in zip(rows, leaf.grad.unbind(), strict=True):
                parameter.grad = gradient
        results: list[StepResult | BaseException | None] = []
        for step, loss, one in zip(self.steps, losses, gathered, strict=True):
            if one is None or isinstance(loss, BaseException):
                results.append(loss if one is not None else None)
                continue
            try:
                results.append(_own_update(step, loss, one))
            except Ineligible:
                raise
            except (Exception, SystemExit) as error:
                results.append(error)
        return results


def _own_loss(run: Run, step: Step, logits: Tensor, batch: Batch, seeds: Sequence[int]) -> Tensor:
    """Call a replicate's objective, whose model answers with what the stack's forward gave."""
    calls = 0

    def answer(inputs: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if inputs is not batch.inputs[run.takes]:
            raise Ineligible("its objective runs the model on another batch")
        if calls > 1:
            raise Ineligible("its objective runs the model twice")
        return logits

    model: Module = run.model
    step.seed(seeds[0])
    model.__dict__["forward"] = answer
    try:
        loss, _ = step.objective(batch)
    finally:
        del model.__dict__["forward"]
    if not calls:
        raise Ineligible("its objective does not run the model as a whole")
    return loss


def _own_update(step: Step, loss: Tensor, one: Gathered) -> StepResult:
    """Call a replicate's update, whose closure finds loss and gradients ready."""
    calls = 0

    def closure(*, ascent: bool = False) -> Tensor:
        nonlocal calls
        calls += 1
        if ascent or calls > 1:
            raise Ineligible("its update takes two passes")
        return loss

    step.batch, step.seeds = one
    result = step.update(closure)
    if not calls:
        raise Ineligible("its update takes no pass")
    return result


def _by_name(tensors: Sequence[dict[str, Tensor]]) -> dict[str, list[Tensor]]:
    if any(one.keys() != tensors[0].keys() for one in tensors):
        raise Ineligible("its replicates' models have different parts")
    return {name: [one[name] for one in tensors] for name in tensors[0]}


def _joined(name: str, rows: Sequence[Tensor]) -> Tensor:
    """Return the rows as one tensor, of which they have become views."""
    kinds = {(row.shape, row.dtype, row.device, row.requires_grad) for row in rows}
    if len(kinds) > 1:
        raise Ineligible(f"its replicates' models differ in {name}")
    whole = torch.stack([row.detach() for row in rows])
    for row, view in zip(rows, whole.unbind(), strict=True):
        # The tensor itself stays: optimizers and tricks hold on to it.
        row.data = view
    return whole

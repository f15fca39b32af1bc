"""The step, whole, and the loop over it.

Composed once a trial from the functions that exist; nothing here knows a plugin, and what no component asked
for is not there. `<slot>` marks where the functions of `Slots` act, in the order of their stages:

    for each step of the budget:
        <phase>                                 at step 0 and at the boundaries of the plan
        learning rates = base rates x schedule
        batch = next batch of the epoch's order, on the device
        <batch> GEOMETRY < CONTENT < MIX < TARGET < ATTACK
        <update> AVERAGE around ASCENT around:
            closure():                          every call sees this batch and starts from the step's key
                gradients = none
                for each micro-batch:
                    seed torch's generators from the key
                    <objective> around:
                        logits = model(micro-batch)
                        loss = <loss>(logits, target)
                    backward of the loss, weighted by its share of the samples, and scaled with fp16
                with fp16: gradients unscaled
            <gradients> GRADIENT < CLIP
            optimizers' steps; with fp16: unless a gradient overflowed
    at an epoch's end, and at the end of the budget:
        judged = <eval_model>(model)            AVERAGE < EVALUATION

There is no synchronisation with the device in a step: losses stay where they are until a window's edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from harness.contract import Batch, Closure, StepResult, Update

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn.modules.batchnorm import _BatchNorm

    from harness.engine.run import Run
    from harness.engine.scaler import LossScaler

Objective = Callable[[Batch], "tuple[Tensor, Tensor]"]


@dataclass(slots=True)
class Step:
    """One step: call it with a batch and the step's seeds, one for each micro-batch.

    Attributes:
        scaler: The loss scale, with fp16.
        announce: Called as a step begins, where the step is recorded as CUDA graphs.
    """

    parameters: Sequence[Tensor]
    optimizers: Sequence[torch.optim.Optimizer]
    objective: Objective
    batch_functions: Sequence[Callable[[Batch], Batch]]
    gradient_functions: Sequence[Callable[[list[Tensor]], None]]
    norms: Sequence[_BatchNorm]
    generators: Sequence[torch.Generator]
    micro_batches: int = 1
    scaler: LossScaler | None = None
    announce: Callable[[], None] | None = None
    update: Update = field(init=False)
    batch: Batch | None = field(init=False, default=None)
    seeds: Sequence[int] = field(init=False, default=())

    def __post_init__(self) -> None:
        self.update = self.plain_update

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> StepResult:
        """Take one step."""
        if self.announce is not None:
            self.announce()
        for function in self.batch_functions:
            batch = function(batch)
        self.batch, self.seeds = batch, seeds
        return self.update(self.closure)

    def closure(self, *, ascent: bool = False) -> Tensor:
        """Run forward and backward over the batch; the gradients stay in the parameters."""
        batch = self.batch
        if batch is None:
            raise RuntimeError("a closure was called outside its step")
        for parameter in self.parameters:
            parameter.grad = None
        if ascent:
            self._track_statistics(False)
        if self.micro_batches == 1:
            self.seed(self.seeds[0])
            loss, _ = self.objective(batch)
            self.backward(loss)
            total = loss.detach()
        else:
            total = self._micro_batches(batch)
        if ascent:
            self._track_statistics(True)
        if self.scaler is not None:
            self.scaler.unscale()
        return total

    def backward(self, loss: Tensor) -> None:
        """Run the backward pass."""
        if self.scaler is None:
            loss.backward()
        else:
            self.scaler.backward(loss)

    def plain_update(self, closure: Closure) -> StepResult:
        """Run the closure, the gradient functions and the optimizers: the innermost update."""
        loss = closure()
        if self.gradient_functions:
            gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
            for function in self.gradient_functions:
                function(gradients)
        if self.scaler is not None:
            return StepResult(loss, self.scaler.step())
        for optimizer in self.optimizers:
            optimizer.step()
        return StepResult(loss)

    def seed(self, seed: int) -> None:
        """Seed torch's generators: a tenth of the price of `torch.manual_seed`."""
        for generator in self.generators:
            generator.manual_seed(seed)

    def _micro_batches(self, batch: Batch) -> Tensor:
        parts = zip(
            *(v.tensor_split(self.micro_batches) for v in (*batch.inputs.values(), batch.target, batch.ids)),
            strict=True,
        )
        losses = []
        for seed, (*inputs, target, ids) in zip(self.seeds, parts, strict=True):
            self.seed(seed)
            loss, _ = self.objective(Batch(dict(zip(batch.inputs, inputs, strict=True)), target, ids))
            loss = loss * (len(target) / len(batch))
            self.backward(loss)
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def _track_statistics(self, on: bool) -> None:
        for norm in self.norms:
            norm.track_running_stats = on


def steps(run: Run, first: int, last: int) -> Iterator[tuple[int, StepResult]]:
    """Yield (step, result) for the steps from `first` up to but not `last`."""
    step, rate_in_force = first, -1.0
    moment, rates, groups, take, micro = run.moment, run.rates, run.groups, run.step, run.step.micro_batches
    while step < last:
        epoch, start = divmod(step, run.steps_per_epoch)
        batches, seeds = run.begin_epoch(epoch, start)
        for index, batch in enumerate(batches, start):
            moment.step, moment.epoch, moment.index = step, epoch, index
            for phase in run.phases.get(step, ()):
                phase()
            if rates[step] != rate_in_force:
                rate_in_force = rates[step]
                for group, base in groups:
                    group["lr"] = base * rate_in_force
            yield step, take(batch, seeds[index * micro : (index + 1) * micro])
            step += 1
            if step == last:
                return

"""A warm-up that leaves no trace: what the first passes pay for is paid before the training clock starts.

On CUDA that is cuDNN's choice of kernels, the libraries' handles and the allocator's first blocks; with
`compile`, the compiler's work. Only the model runs, forward and backward, on training samples as they are before
any augmentation: tricks' and augmentations' own functions have state, and are not called.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from harness.contract import Batch

if TYPE_CHECKING:
    from harness.engine.run import Run

PASSES = 3
"""CUDA graphs are run, then recorded, then played."""


def warm_up(run: Run) -> float:
    """Run the model forward and backward a few times and leave everything as it was.

    Weights, buffers, gradients, optimizers, the loss scale, torch's generators and the trial's counters are
    afterwards what they were, bit for bit. Call it ahead of the first step: on CUDA, or where the recipe says
    `compile`; elsewhere there is nothing to pay ahead, and it does nothing.

    Returns:
        Seconds, those of the compiler included; 0 where nothing was done.

    Raises:
        Exception: What the model raises, and what the compiler does (torch._dynamo.exc.TorchDynamoException).
    """
    compiled = bool(run.job.recipe["numerics"]["compile"])
    if not compiled and run.device.type != "cuda":
        return 0.0
    begun = perf_counter()
    with _left_alone(run):
        whole = parts = _micro_batches(run)
        # A model with fewer parameters to train, or on smaller images, is another one to the compiler.
        for step in sorted({0, *run.freezes, *run.sizes}):
            if step in run.freezes:
                run.freezes[step].apply()
            if step in run.sizes:
                parts = [_resized(part, run.sizes[step]) for part in whole]
            if compiled:
                # What is wrong with the model is told from what is wrong with compiling it.
                with torch.compiler.set_stance("force_eager"):
                    _pass(run, parts)
            for _ in range(PASSES):
                _pass(run, parts)
    if run.device.type == "cuda":
        torch.cuda.synchronize(run.device)
    return perf_counter() - begun


def _pass(run: Run, parts: list[Batch]) -> None:
    """Do what a closure does, without the components' own functions."""
    if run.step.announce is not None:
        run.step.announce()
    for parameter in run.step.parameters:
        parameter.grad = None
    for part in parts:
        F.cross_entropy(run.forward(part), part.target).backward()


def _resized(part: Batch, side: int) -> Batch:
    if part.image.shape[-2:] == (side, side):
        return part
    return part.with_image(F.interpolate(part.image, (side, side)))


def _micro_batches(run: Run) -> list[Batch]:
    batch = next(iter(run.training_batches(1)))
    split = [
        t.tensor_split(run.step.micro_batches) for t in (*batch.inputs.values(), batch.target, batch.ids)
    ]
    return [
        Batch(dict(zip(batch.inputs, inputs, strict=True)), target, ids)
        for *inputs, target, ids in zip(*split, strict=True)
    ]


@contextmanager
def _left_alone(run: Run) -> Iterator[None]:
    """Put back what a pass moves."""
    buffers = [(buffer, buffer.clone()) for buffer in run.model.buffers()]
    gradients = [(parameter, parameter.grad, parameter.requires_grad) for parameter in run.step.parameters]
    states = [generator.get_state() for generator in run.step.generators]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)
        for parameter, gradient, is_trained in gradients:
            parameter.requires_grad_(is_trained)
            parameter.grad = gradient
        for generator, state in zip(run.step.generators, states, strict=True):
            generator.set_state(state)

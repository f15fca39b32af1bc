"""How long one image takes in inference."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.contract import Batch

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.run import Run

CALLS = 200
SECONDS = 2.0
WARMUP_CALLS = 10
_FEWEST_FOR_P99 = 100


def latency(run: Run, image: Tensor) -> dict[str, Any]:
    """Time the judged model on a batch of one.

    Each call is waited for, on a GPU by events on its stream, so that what the host takes to launch it counts.

    Args:
        run: Whose model.
        image: (1, C, H, W), normalised, on the device.

    Returns:
        `{p50, p99, calls}` in seconds over 200 calls, or fewer where those would take over 2 s; p99 is None
        where fewer than 100 calls cannot tell it.
    """
    batch = Batch({"image": image}, torch.zeros(1, dtype=torch.int64, device=run.device), _no_ids(run.device))
    model = run.judged()
    modes = [(module, module.training) for module in model.modules()]
    forward = run.predict(model.eval())
    timed = _by_events if run.device.type == "cuda" else _by_clock
    try:
        with torch.inference_mode():
            for _ in range(WARMUP_CALLS):
                timed(forward, batch)
            return spread_of_calls(lambda: timed(forward, batch))
    finally:
        for module, training in modes:
            module.training = training


def spread_of_calls(call: Callable[[], float]) -> dict[str, Any]:
    """Return `{p50, p99, calls}` over calls that each return their seconds."""
    taken: list[float] = []
    begun = perf_counter()
    while len(taken) < CALLS and (len(taken) < 2 or perf_counter() - begun < SECONDS):
        taken.append(call())
    percentiles = statistics.quantiles(taken, n=100, method="inclusive")
    return {
        "p50": percentiles[49],
        "p99": percentiles[98] if len(taken) >= _FEWEST_FOR_P99 else None,
        "calls": len(taken),
    }


def _by_clock(forward: Callable[[Batch], Tensor], batch: Batch) -> float:
    begun = perf_counter()
    forward(batch)
    return perf_counter() - begun


def _by_events(forward: Callable[[Batch], Tensor], batch: Batch) -> float:
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    forward(batch)
    ended.record()
    ended.synchronize()
    return float(begun.elapsed_time(ended)) / 1000


def _no_ids(device: torch.device) -> Tensor:
    return torch.zeros(1, dtype=torch.int64, device=device)

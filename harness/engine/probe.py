"""Whether replicates trained at once give the losses of serial ones, and whether that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from time import monotonic, process_time  # bound before any plugin is loaded
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.first import first_step
from harness.engine.joined import Ineligible
from harness.engine.loop import steps
from harness.engine.replicates import Replicate, compose, step_at_once
from harness.engine.seconds import is_in_seconds
from harness.engine.stack import check_eligible
from harness.record.record import together_mode

if TYPE_CHECKING:
    from torch import Tensor

    from harness.contract import StepResult
    from harness.suite.plan import Job

BLOCK, BLOCKS = 4, 4
"""Steps a block, and blocks a side. The first block of each side is not timed: it pays for lazy imports."""

COMPARED = 2
"""Blocks whose losses are compared. Later ones are timed alone: at a high rate training multiplies the rounding of
equal arithmetic in another order (1e-7) by ten every few steps, and after some twenty it says nothing any more."""

PAYS = 1.0
"""Least ratio of serial time to time at once."""

HOPELESS = 0.8
"""Below this ratio, one timed block is enough."""

SHORTEST = 10
"""A budget of fewer than so many probes is trained one by one: the probe would cost what it may win."""

LOSS_TOLERANCE = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 3e-2}
"""Largest relative difference of a loss in the steps of the probe, by precision. Equal arithmetic in another order
was seen to differ by 1e-7 to 1e-5 in fp32."""

STATE_TOLERANCE = 10.0
"""Times the losses' tolerance: how far a parameter or a buffer may be off after the probe, relative to its norm."""


def probe(jobs: Sequence[Job], tell: Callable[[], None]) -> dict[str, Any]:
    """Train throw-away copies both ways, in turn, from the same start, and return the mode to train in.

    Args:
        jobs: One for each replicate.
        tell: Called now and then, so that a watchdog sees progress.
    """
    ratios: list[float] = []
    worst = 0.0
    try:
        if is_in_seconds(jobs[0].recipe):
            raise Ineligible("a budget in seconds: each replicate measures its own step")
        serial, at_once = compose(jobs), compose(jobs)
        run = serial[0].run
        check_eligible(run)
        if run.total_steps < SHORTEST * BLOCK * BLOCKS:
            raise Ineligible(f"a budget of {run.total_steps} steps is too short to pay for a probe")
        worst = _compare(serial, at_once, ratios, tell)
    except Exception as error:
        text = str(error) if isinstance(error, Ineligible) else f"{type(error).__name__}: {_line(error)}"
        return together_mode(1, text, ratio=_middle(ratios))
    ratio = _middle(ratios)
    if ratio is None or ratio < PAYS:
        return together_mode(1, "it does not pay: slower in the probe", ratio=ratio, difference=worst)
    return together_mode(len(jobs), ratio=ratio, difference=worst)


def _compare(
    serial: Sequence[Replicate], at_once: Sequence[Replicate], ratios: list[float], tell: Callable[[], None]
) -> float:
    """Step both sides in turn; add a ratio for each timed block, and return the largest difference of a loss.

    Raises:
        Ineligible: Where a replicate fails, or losses or weights differ.
    """
    run = serial[0].run
    last = 1 + BLOCK * BLOCKS
    if any(1 <= step < last for step in run.phases):
        raise Ineligible("a phase begins within the steps of the probe")
    for replicate in (*serial, *at_once):
        first_step(replicate.run, 0)
    loops = [steps(replicate.run, 1, last) for replicate in serial]
    stacked = step_at_once(at_once, 1, last)
    precision = run.job.recipe["numerics"]["precision"]
    clock = _clock(run.device, run.job.recipe["numerics"]["threads"])
    worst = 0.0
    for block in range(BLOCKS):
        tell()
        begun = clock()
        one_by_one = [_losses(loop) for loop in loops]
        middle = clock()
        together = [_all_there(next(stacked, [None])) for _ in range(BLOCK)]
        end = clock()
        if block < COMPARED:
            worst = max(worst, _difference(one_by_one, together, LOSS_TOLERANCE[precision]))
        if block == COMPARED - 1:
            _check_states(serial, at_once, STATE_TOLERANCE * LOSS_TOLERANCE[precision])
        if block:
            ratios.append((middle - begun) / (end - middle))
            if ratios[0] < HOPELESS:
                break
    return worst


def _losses(loop: Iterator[tuple[int, StepResult]]) -> list[Tensor]:
    """Take a block of steps of one replicate."""
    return [next(loop)[1].loss.detach() for _ in range(BLOCK)]


def _all_there(results: Sequence[StepResult | None]) -> Tensor:
    """Return the losses of a step of the stack, (R,)."""
    losses = [result.loss.detach() for result in results if result is not None]
    if len(losses) < len(results):
        raise Ineligible("a replicate fails in the probe")
    return torch.stack(losses)


def _difference(serial: Sequence[Sequence[Tensor]], together: Sequence[Tensor], tolerance: float) -> float:
    """Return the largest relative difference of a loss.

    Raises:
        Ineligible: Where it is above the tolerance, or a loss is no number.
    """
    wanted = torch.stack([torch.stack(list(losses)) for losses in serial], 1)
    apart = float(((wanted - torch.stack(list(together))).abs() / wanted.abs().clamp_min(1e-3)).max())
    if not apart <= tolerance:
        raise Ineligible(f"its losses differ from the serial ones by {apart:.1e} of their size in the probe")
    return apart


def _check_states(serial: Sequence[Replicate], at_once: Sequence[Replicate], tolerance: float) -> None:
    """Hold weights and buffers against the serial ones: statistics that training never reads would go unseen."""
    for one, other in zip(serial, at_once, strict=True):
        ours = other.run.model.state_dict()
        for name, wanted in one.run.model.state_dict().items():
            apart = float((wanted.double() - ours[name].double()).norm())
            if not apart <= tolerance * max(1e-2, float(wanted.double().norm())):
                raise Ineligible(f"its {name} differs from the serial one after the probe")


def _clock(device: torch.device, threads: int) -> Callable[[], float]:
    """Return a clock in seconds that waits for the device; CPU time where one thread does all the work."""
    if device.type == "cpu":
        return process_time if threads == 1 else monotonic

    def synchronised() -> float:
        torch.cuda.synchronize(device)
        return monotonic()

    return synchronised


def _middle(ratios: Sequence[float]) -> float | None:
    return median(ratios) if ratios else None


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:300]

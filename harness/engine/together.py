"""The replicates of an arm trained at once in one process; every one leaves a record of its own.

What is shared is the forward and backward pass (`engine.stack`); what is measured is each one's share. There are
no checkpoints: replicates that are asked to stop start over. Where replicates cannot go on at once, nothing is
written of them, and they are trained one by one, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

from harness.engine.first import first_step
from harness.engine.flags import restore_flags
from harness.engine.joined import Ineligible
from harness.engine.outcome import Preempted, described, measured
from harness.engine.probe import probe
from harness.engine.replicates import Replicate, compose, step_at_once
from harness.engine.trial import REPORT_SECONDS, WINDOW, Report, end_of_epoch, judge, look
from harness.errors import StoreError
from harness.record.record import together_mode

if TYPE_CHECKING:
    from harness.contract import StepResult
    from harness.suite.plan import Job

Finished = Callable[[int, dict[str, Any]], None]


def run_together(
    jobs: Sequence[Job],
    *,
    mode: dict[str, Any] | None,
    report: Report,
    stop: Callable[[], bool],
    finished: Finished,
) -> dict[str, Any]:
    """Train and judge the replicates of one arm at once, where the probe allows it.

    Args:
        jobs: One for each replicate; they differ in replicate and folder alone.
        mode: What an earlier probe of this arm and number of replicates found; None to probe.
        report: Gets the messages of docs/dataflow.md, once for all replicates, and `{"kind": "mode", "mode": …}`
            when the mode is known and when it changes.
        stop: Asked at window edges; when true, every replicate ends as `preempted`.
        finished: Called with a replicate's place among the jobs and its outcome, for all of them or for none.

    Returns:
        The mode: where its `together` is 1, nothing was trained, and each replicate is to be run by itself.
    """
    mode = mode or probe(jobs, lambda: report({"kind": "phase", "name": "probe"}))
    report({"kind": "mode", "mode": mode})
    if mode["together"] == 1:
        return mode
    begun = monotonic()
    try:
        report({"kind": "phase", "name": "build"})
        replicates = compose(jobs)
        for replicate in replicates:
            replicate.outcome |= described(replicate.run)
        _Lockstep(replicates, report, stop).train()
    except Exception as error:
        text = str(error) if isinstance(error, Ineligible) else f"{type(error).__name__}: {error}"
        reason = f"could not be trained at once: {text[:500]}"
        ratio, difference = mode["probe_ratio"], mode["probe_loss_difference"]
        mode = together_mode(1, reason, ratio=ratio, difference=difference)
        report({"kind": "mode", "mode": mode})
        return mode
    _judge_all(replicates, report)
    _hand_in(replicates, mode, (monotonic() - begun) / len(replicates), finished)
    return mode


class _Lockstep:
    """Takes the steps of the budget, all replicates side by side."""

    def __init__(self, replicates: Sequence[Replicate], report: Report, stop: Callable[[], bool]) -> None:
        self._replicates = replicates
        self._report = report
        self._stop = stop
        self._run = replicates[0].run
        self._unseen = 0
        self._since = self._reported = monotonic()

    def train(self) -> None:
        """Train until the budget is spent or every replicate has ended.

        Raises:
            Ineligible: Where they cannot go on at once.
        """
        for replicate in self._replicates:
            _attempt(replicate, lambda one: one.tally.warm_up(one.run))
        self._report({"kind": "phase", "name": "train"})
        self._report({"kind": "first_step", "seconds": monotonic()})
        self._replicates[0].tally.peaks.begin("train")
        total, phases = self._run.total_steps, self._run.phases
        step = 0
        self._since = self._reported = monotonic()
        while step < total and self._active():
            # The first step of a phase is checked and counted, as in every trial: one by one.
            for replicate in self._active():
                _take_first(replicate, step)
            self._look(step)
            end = min((phase for phase in phases if phase > step), default=total)
            active = self._active()
            if not active:
                return
            for at, results in enumerate(step_at_once(active, step + 1, end), step + 1):
                for replicate, result in zip(active, results, strict=True):
                    if result is not None:
                        _note(replicate, at, result)
                self._look(at)
            step = end

    def _active(self) -> list[Replicate]:
        return [replicate for replicate in self._replicates if not replicate.has_ended]

    def _look(self, step: int) -> None:
        """Do at a window's edge what a trial does: look at the losses, close an epoch, tell, stop."""
        self._unseen += 1
        run, done = self._run, step + 1
        at_end = done % run.steps_per_epoch == 0 or done == run.total_steps
        if self._unseen < WINDOW and not at_end:
            return
        for replicate in self._active():
            _attempt(replicate, lambda one: look(one.tally.losses[-self._unseen :], step))
        self._unseen = 0
        now = monotonic()
        share = (now - self._since) / max(1, len(self._active()))
        for replicate in self._active():
            replicate.tally.seconds["train"] += share
            replicate.tally.count_wait(replicate.run)
        self._replicates[0].tally.peaks.sample()
        if at_end:
            for replicate in self._active():
                _attempt(replicate, lambda one: end_of_epoch(one.run, one.tally))
        self._since = monotonic()
        if self._since - self._reported >= REPORT_SECONDS:
            self._report({"kind": "step", "step": done, "total": run.total_steps})
            self._reported = self._since
        if done < run.total_steps and self._stop():
            for replicate in self._active():
                replicate.end(Preempted())


def _take_first(replicate: Replicate, step: int) -> None:
    def take(one: Replicate) -> None:
        result, flops = first_step(one.run, step)
        one.tally.flops.append((step, flops))
        _note(one, step, result)

    _attempt(replicate, take)


def _note(replicate: Replicate, step: int, result: StepResult) -> None:
    replicate.tally.losses.append(result.loss)
    replicate.tally.step = step + 1


def _attempt(replicate: Replicate, do: Callable[[Replicate], None]) -> None:
    """Do something for one replicate; what goes wrong ends that one alone."""
    try:
        do(replicate)
    except StoreError:
        raise  # the disk's doing, not the arm's
    except (Exception, SystemExit) as error:
        replicate.end(error)


def _judge_all(replicates: Sequence[Replicate], report: Report) -> None:
    def judge_one(one: Replicate) -> None:
        one.outcome |= judge(one.run, one.tally, report)
        one.outcome["status"] = "completed"

    for replicate in replicates:
        if not replicate.has_ended:
            _attempt(replicate, judge_one)


def _hand_in(
    replicates: Sequence[Replicate], mode: dict[str, Any], seconds: float, finished: Finished
) -> None:
    """Complete the outcomes and hand them over; a global flag that was changed was changed for all."""
    changes = restore_flags(replicates[0].tally.flags)
    for number, replicate in enumerate(replicates):
        outcome = replicate.outcome | measured(replicate.run, replicate.tally)
        outcome["seconds"]["total"] = seconds
        outcome["changes"] = list(dict.fromkeys([*replicate.run.changes, *changes]))
        finished(number, outcome | {"mode": mode})

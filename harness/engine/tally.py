"""What a trial adds up while it trains."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from time import monotonic  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.flags import changed_flags, read_flags
from harness.engine.leak import growth
from harness.engine.memory import Peaks, memory_now
from harness.engine.warm_up import warm_up

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.run import Run

CURVES = ("epoch", "train_loss", "validation_loss", "validation_top1", "learning_rate")

SECONDS = ("build", "compile", "warm_up", "train", "data_wait", "evaluate")
"""The phases of a trial whose seconds are told apart."""


@dataclass(slots=True)
class Tally:
    """What a trial adds up while it trains; it travels in the checkpoint.

    Attributes:
        flags: What `read_flags` gave before any plugin was loaded.
        step: Steps done.
        flops: (first step, operations a step) of each phase of the budget.
        losses: Of the epoch under way, on the device.
        earlier_seconds: What earlier attempts took in all.
        curves: By name, a value an epoch.
        seconds: By phase; one that never began is not there.
        time_to_target: `{top1, seconds, epoch}`, once the target is reached.
        peaks: The peaks of memory by phase, of this attempt.
        epoch_memory: By kind, the memory held at each epoch's end, of this attempt.
    """

    flags: list[Any] = field(default_factory=read_flags)
    started: float = field(default_factory=monotonic)
    earlier_seconds: float = 0.0
    step: int = 0
    flops: list[tuple[int, int]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    curves: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in CURVES})
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    time_to_target: dict[str, float] | None = None
    peaks: Peaks = field(default_factory=Peaks)
    epoch_memory: defaultdict[str, list[int | None]] = field(default_factory=lambda: defaultdict(list))
    resumed_from_step: int | None = None
    _waited: float = 0.0

    def total_seconds(self) -> float:
        """Return the seconds since the trial began, those of earlier attempts included."""
        return self.earlier_seconds + monotonic() - self.started

    def seconds_json(self) -> dict[str, float | None]:
        """Return the seconds by phase, None for one that never began, and in all."""
        return {**{name: self.seconds.get(name) for name in SECONDS}, "total": self.total_seconds()}

    def warm_up(self, run: Run) -> None:
        """Warm up, ahead of the training clock; where there is nothing to warm up, nothing is told of it.

        With a compiler, nearly all of the seconds are the compiler's.
        """
        if spent := warm_up(run):
            self.seconds["compile" if run.job.recipe["numerics"]["compile"] else "warm_up"] += spent

    def count_wait(self, run: Run) -> None:
        """Add what the loop has waited for data since this was last called."""
        if "train" in self.seconds:
            waited = run.loader.waited_seconds
            self.seconds["data_wait"] += waited - self._waited
            self._waited = waited

    def data_wait_share(self) -> float | None:
        """Return the share of the training time in which data was waited for."""
        train, waited = self.seconds.get("train"), self.seconds.get("data_wait")
        return waited / train if train and waited is not None else None

    def look_at_target(self, run: Run, top1: float) -> None:
        """Note when the target was reached: compiling and warming up count, evaluating does not (PROTOCOL.md)."""
        target = run.job.measure.get("target_top1")
        if target is not None and self.time_to_target is None and top1 >= target:
            spent = sum(self.seconds.get(name, 0.0) for name in ("compile", "warm_up", "train"))
            epoch = self.step / run.steps_per_epoch
            self.time_to_target = {"top1": target, "seconds": spent, "epoch": epoch}

    def look_at_memory(self, run: Run) -> None:
        """Note the memory held at the end of a whole epoch: only like points of a trial compare.

        A phase (what was frozen is trained, images grow) changes what is held: the epochs ahead of its own compare no
        more.
        """
        if self.step % run.steps_per_epoch == 0:
            began = self.step - run.steps_per_epoch
            if any(max(began, 1) <= step < self.step for step in run.phases):
                for samples in self.epoch_memory.values():
                    samples.clear()
            for kind, held in memory_now(run.device).items():
                self.epoch_memory[kind].append(held)

    def memory_json(self) -> dict[str, Any]:
        """Return the peaks by phase, and how memory grew from epoch to epoch."""
        grown = {kind: growth(samples) for kind, samples in self.epoch_memory.items()}
        return {
            **self.peaks.to_json(),
            "growth": {kind: found for kind, found in grown.items() if found is not None},
        }

    def training_flops(self) -> int | None:
        """Return the operations of all steps so far."""
        ends = [*(start for start, _ in self.flops[1:]), self.step]
        counted = zip(self.flops, ends, strict=True) if self.flops else ()
        return sum((end - start) * flops for (start, flops), end in counted) if self.flops else None

    def kept(self, run: Run) -> dict[str, Any]:
        """Return what a checkpoint has to hold of it, as JSON."""
        self.count_wait(run)
        return {
            "step": self.step,
            "flops": self.flops,
            "curves": self.curves,
            "seconds": dict(self.seconds),
            "time_to_target": self.time_to_target,
            "total_seconds": self.total_seconds(),
            "losses": torch.stack(self.losses).tolist() if self.losses else [],
            "changes": list(dict.fromkeys([*run.changes, *changed_flags(self.flags)])),
            "orders": {str(epoch): digest for epoch, digest in run.order_digests.items()},
        }

    def restore(self, kept: dict[str, Any], run: Run) -> None:
        """Go on from what `kept` returned."""
        self.step = self.resumed_from_step = kept["step"]
        self.flops = [(start, flops) for start, flops in kept["flops"]]
        self.curves, self.earlier_seconds = kept["curves"], kept["total_seconds"]
        self.time_to_target = kept.get("time_to_target")
        for name, spent in kept["seconds"].items():
            self.seconds[name] += spent
        self.losses = list(torch.tensor(kept["losses"], device=run.device).unbind())
        run.order_digests.update({int(epoch): digest for epoch, digest in kept["orders"].items()})
        run.changes.extend(kept["changes"])

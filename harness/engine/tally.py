"""What a trial adds up while it trains."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic  # bound before any plugin is loaded, which may put another in its place
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.flags import changed_flags, read_flags

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.run import Run

CURVES = ("epoch", "train_loss", "validation_loss", "validation_top1", "learning_rate")


@dataclass(slots=True)
class Tally:
    """What a trial adds up while it trains; it travels in the checkpoint.

    Attributes:
        flags: What `read_flags` gave before any plugin was loaded.
        step: Steps done.
        flops: (first step, operations a step) of each phase of the budget.
        losses: Of the epoch under way, on the device.
        earlier_seconds: What earlier attempts took in all.
    """

    flags: list[Any] = field(default_factory=read_flags)
    started: float = field(default_factory=monotonic)
    earlier_seconds: float = 0.0
    step: int = 0
    flops: list[tuple[int, int]] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    curves: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in CURVES})
    seconds: dict[str, float] = field(default_factory=lambda: {"build": 0.0, "train": 0.0, "evaluate": 0.0})
    resumed_from_step: int | None = None

    def total_seconds(self) -> float:
        """Return the seconds since the trial began, those of earlier attempts included."""
        return self.earlier_seconds + monotonic() - self.started

    def training_flops(self) -> int | None:
        """Return the operations of all steps so far."""
        ends = [*(start for start, _ in self.flops[1:]), self.step]
        counted = zip(self.flops, ends, strict=True) if self.flops else ()
        return sum((end - start) * flops for (start, flops), end in counted) if self.flops else None

    def kept(self, run: Run) -> dict[str, Any]:
        """Return what a checkpoint has to hold of it, as JSON."""
        return {
            "step": self.step,
            "flops": self.flops,
            "curves": self.curves,
            "seconds": self.seconds,
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
        self.seconds = {name: kept["seconds"][name] + spent for name, spent in self.seconds.items()}
        self.losses = list(torch.tensor(kept["losses"], device=run.device).unbind())
        run.order_digests.update({int(epoch): digest for epoch, digest in kept["orders"].items()})
        run.changes.extend(kept["changes"])

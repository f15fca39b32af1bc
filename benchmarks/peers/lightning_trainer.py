"""Lightning's Trainer.

`barebones=True` is its documentation's own setting "for analyzing the Trainer overhead": no checkpoints,
logger, progress bar, summary, sanity check or profiler.
"""

from __future__ import annotations

import lightning
import torch.nn.functional as F
from task import Task
from torch import Tensor


class Module(lightning.LightningModule):
    """The model, its loss and its optimizer."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.model = task, task.model

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        return F.cross_entropy(self.model(images), labels)

    def configure_optimizers(self) -> object:
        optimizer = self.task.optimizer()
        schedule = {"scheduler": self.task.schedule(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def train(task: Task) -> None:
    """Train by `Trainer.fit`."""
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        precision="32-true",
        max_epochs=task.epochs,
        barebones=True,
        default_root_dir=str(task.scratch),
    )
    trainer.fit(Module(task), task.loader())

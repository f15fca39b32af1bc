"""Accelerate: a loop of one's own over what `Accelerator.prepare` returns. It logs nothing without `log_with`."""

from __future__ import annotations

import torch.nn.functional as F
from accelerate import Accelerator
from task import Task


def train(task: Task) -> None:
    """Train by a loop over what Accelerate has prepared."""
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    optimizer = task.optimizer()
    model, optimizer, loader, schedule = accelerator.prepare(
        task.model, optimizer, task.loader(), task.schedule(optimizer)
    )
    model.train()
    for _ in range(task.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()

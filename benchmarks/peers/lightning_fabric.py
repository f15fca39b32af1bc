"""Lightning Fabric: a loop of one's own, with `setup`, `setup_dataloaders` and `backward`. It logs nothing."""

from __future__ import annotations

import torch.nn.functional as F
from lightning.fabric import Fabric
from task import Task


def train(task: Task) -> None:
    """Train by a loop over what Fabric has set up."""
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    optimizer = task.optimizer()
    schedule = task.schedule(optimizer)
    model, optimizer = fabric.setup(task.model, optimizer)
    loader = fabric.setup_dataloaders(task.loader())
    model.train()
    for _ in range(task.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            fabric.backward(loss)
            optimizer.step()
            schedule.step()

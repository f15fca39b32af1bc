"""The loop that one would write by hand: what the others are compared with."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from task import BATCH_SIZE, Task, augment
from torch import Tensor


def train(task: Task) -> None:
    """Train with everything in memory ("resident"), or over a DataLoader."""
    model, optimizer, step = task.model, task.optimizer(), 0
    (group,) = optimizer.param_groups

    def update(images: Tensor, labels: Tensor) -> None:
        group["lr"] = task.rate * 0.5 * (1 + math.cos(math.pi * step / task.total_steps))
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    if task.loading == "resident":
        all_images, all_labels = task.normalised()
        full = len(all_labels) // BATCH_SIZE * BATCH_SIZE
        for _ in range(task.epochs):
            for ids in torch.randperm(len(all_labels))[:full].split(BATCH_SIZE):
                update(augment(all_images[ids]), all_labels[ids])
                step += 1
    else:
        loader = task.loader()
        for _ in range(task.epochs):
            for images, labels in loader:
                update(images, labels)
                step += 1

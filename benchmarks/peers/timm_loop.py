"""timm: its optimizer, scheduler, loader, prefetcher and meters, put together as its train.py does.

train.py is a script, so its `train_one_epoch` cannot be imported; this is that function without distribution,
mixed precision, EMA and logging. On PIL images the loader is timm's own: the workers hand over bytes, and the
prefetcher normalises the batch.
"""

from __future__ import annotations

import torch
from task import BATCH_SIZE, MOMENTUM, Task
from timm.data import create_loader
from timm.data.transforms import ToNumpy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter
from torch import nn
from torch.utils.data import DataLoader


def train(task: Task) -> None:
    """Train as timm's train.py."""
    model, loader = task.model, make_loader(task)
    optimizer = create_optimizer_v2(model, opt="momentum", lr=task.rate, weight_decay=0.0, momentum=MOMENTUM)
    scheduler = CosineLRScheduler(optimizer, t_initial=task.total_steps, t_in_epochs=False)
    loss_function = nn.CrossEntropyLoss()
    updates = 0
    for _ in range(task.epochs):
        losses = AverageMeter()
        model.train()
        for images, target in loader:
            loss = loss_function(model(images), target)
            losses.update(loss.item(), images.size(0))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            scheduler.step_update(num_updates=updates, metric=losses.avg)


def make_loader(task: Task) -> DataLoader:
    """Return timm's loader over PIL images, torch's over tensors: timm has none for these."""
    if task.loading == "tensors":
        return task.loader()
    dataset = task.dataset()
    loader = create_loader(
        dataset,
        input_size=(3, 32, 32),
        batch_size=BATCH_SIZE,
        is_training=True,
        mean=tuple(task.mean),
        std=tuple(task.std),
        num_workers=task.workers,
        device=torch.device("cpu"),
    )
    dataset.transform = task.transform(ToNumpy())  # create_transform knows no padded crop
    return loader

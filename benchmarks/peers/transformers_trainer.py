"""The transformers Trainer, over a model that returns its loss.

Off by its arguments: logging, saving, evaluation, reports, progress bar; also clipping (`max_grad_norm`, which
is 1.0 unless said otherwise), since nobody else clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from task import BATCH_SIZE, MOMENTUM, Task, augmenting_collate
from torch import Tensor, nn
from torch.utils.data import default_collate
from transformers import Trainer, TrainingArguments


class Classifier(nn.Module):
    """A model as the Trainer wants it: named inputs, and the loss among the outputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.model(pixel_values)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def train(task: Task) -> None:
    """Train by `Trainer.train`."""

    def collate(samples: Sequence[Any]) -> dict[str, Tensor]:
        images, labels = (augmenting_collate if task.loading == "tensors" else default_collate)(samples)
        return {"pixel_values": images, "labels": labels}

    workers = task.workers if task.loading == "pictures" else 0
    arguments = TrainingArguments(
        output_dir=str(task.scratch),
        use_cpu=True,
        num_train_epochs=task.epochs,
        per_device_train_batch_size=BATCH_SIZE,
        dataloader_drop_last=True,
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        remove_unused_columns=False,
        learning_rate=task.rate,
        optim="sgd",
        optim_args=f"momentum={MOMENTUM}",
        weight_decay=0.0,
        max_grad_norm=0.0,
        lr_scheduler_type="cosine",
        seed=task.seed,
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    Trainer(Classifier(task.model), arguments, data_collator=collate, train_dataset=task.dataset()).train()

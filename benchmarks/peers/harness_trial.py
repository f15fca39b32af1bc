"""This harness: a trial from its job, by the functions that `harness run` calls in its workers.

Validation is off, as it is for every peer; everything else that a trial records is recorded.
"""

from __future__ import annotations

from pathlib import Path

import small_cnn
from task import BACKBONES, BATCH_SIZE, MOMENTUM, PADDING, Task

from harness.engine.culprit import Owners
from harness.engine.tally import Tally
from harness.engine.trial import open_run
from harness.engine.trial import train as train_run
from harness.testing.jobs import TOYS, component, toy_job


def train(task: Task) -> None:
    """Train `task.model` in place: the trial's own model takes its weights, and gives them back."""
    job = toy_job(
        task.folder,
        dict(task.manifest),
        task.scratch,
        seed=task.seed,
        plugins=(TOYS, str(Path(small_cnn.__file__).resolve())),
        # Only a name: the data is what `task.folder` holds.
        dataset={**component("toy-dataset"), "validation": 0.0},
        sampler=component("shuffle"),
        backbone=BACKBONES[task.name],
        augmentations=[
            component("padded-crop", padding=PADDING, mode="zeros"),
            component("horizontal-flip", probability=0.5),
        ],
        optimizer=[
            {
                **component("sgd", lr=task.rate, momentum=MOMENTUM, weight_decay=0.0, nesterov=False),
                "parameters": "all",
            }
        ],
        schedule={**component("cosine", eta_min=0.0), "warmup": 0.0},
        batch_size=BATCH_SIZE,
        budget={"unit": "epochs", "amount": task.epochs},
        evaluation={"batch_size": 500},
    )
    run = open_run(job, Owners())
    run.model.load_state_dict(task.model.state_dict())
    run.model._forward_pre_hooks.update(task.model._forward_pre_hooks)
    train_run(run, Tally(), lambda _: None, lambda: False)
    task.model.load_state_dict(run.model.state_dict())

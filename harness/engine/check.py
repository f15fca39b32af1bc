"""`harness check`: an arm is built and takes one step on fake data, so that nothing breaks an hour in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from harness.engine.compile import compile_run
from harness.engine.contract_check import ContractError
from harness.engine.culprit import Owners
from harness.engine.data import TrialData, trial_data
from harness.engine.evaluate import predict
from harness.engine.first import first_step
from harness.engine.loader_choice import Choice, in_loader
from harness.engine.precision import apply_numerics
from harness.engine.run import Run
from harness.engine.source import MappedImages, Source
from harness.errors import HarnessError, PluginError
from harness.registry.discovery import discover

if TYPE_CHECKING:
    from harness.registry.registry import Registry
    from harness.suite.plan import Job


def check_arm(job: Job) -> list[str]:
    """Build an arm and run one step and one evaluation on fake data of the right shape.

    Returns:
        Warnings.

    Raises:
        PluginError: Naming the component at fault, what was expected and what came.
    """
    registry = discover([Path(file) for file in job.plugins], allow=os.environ.get("HARNESS_PLUGINS"))
    _refuse_missing_images(job)
    owners = Owners()
    step = 0
    try:
        owners.learn(registry, job.recipe)
        apply_numerics(job.recipe["numerics"], torch.device(job.device))
        run = compile_run(job, registry, _fake_data(job, registry), owners)
        buffers = _moving_state(run)
        first_step(run, 0)
        if run.total_steps > 1 and _wraps(job, registry):
            # What grows from nothing is not there in the first step.
            step = run.total_steps - 1
            first_step(run, step)
        if run.data.validation is None:
            raise PluginError("the fake data has no validation split")
        predict(run, run.judged(), run.data.validation)
    except (ContractError, HarnessError):
        raise
    except (Exception, SystemExit) as error:
        culprit = owners.culprit(error, step)
        where = f"{culprit['plugin'] or 'the harness'}, slot {culprit['slot'] or 'build'}"
        raise PluginError(f"{where}: {culprit['error']}") from error
    _refuse_moving_state(run, buffers)
    return _warnings(job, registry)


def _refuse_missing_images(job: Job) -> None:
    """Refuse data without images, naming whoever takes them."""
    modalities = job.manifest["modalities"]
    if "image" in modalities:
        return
    augmentations = job.recipe["augmentations"]
    key, name = (
        ("augmentations[0]", augmentations[0]["name"])
        if augmentations
        else ("backbone", job.recipe["backbone"]["name"])
    )
    raise HarnessError(
        f'{key}: "{name}" takes images, and dataset "{job.recipe["dataset"]["name"]}" gives '
        f"{' and '.join(sorted(modalities)) or 'nothing'} alone; take a dataset with images, or leave it out"
    )


def _wraps(job: Job, registry: Registry) -> bool:
    """Whether an augmentation is wrapped in another, which may grow it."""
    return any(len(registry.layers("augmentation", normal)) > 1 for normal in job.recipe["augmentations"])


def _fake_data(job: Job, registry: Registry) -> TrialData:
    """Return random images and labels: two batches, and one to judge; read on the host where the loader augments."""
    classes = len(job.manifest["classes"])
    channels, height, width = job.manifest["modalities"]["image"]["shape"]
    each = -(-3 * job.recipe["batch_size"] // classes) + 2
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes, dtype=np.int64), each)
    images = generator.integers(0, 256, (len(labels), channels, height, width), dtype=np.uint8)
    on_host = bool(in_loader(job.recipe, registry))
    choice = Choice("memory" if on_host else "resident", 0, "fake data")
    dataset = {**job.recipe["dataset"], "validation": 0.25}
    return trial_data(
        MappedImages(images) if on_host else images,
        labels,
        Source(Path(job.data), job.manifest),
        choice,
        replace(job, recipe={**job.recipe, "dataset": dataset}),
    )


def _moving_state(run: Run) -> dict[str, torch.Tensor]:
    """Return a copy of the buffers that no batch-norm layer owns."""
    norms = {id(buffer) for norm in run.step.norms for buffer in norm.buffers()}
    return {name: b.clone() for name, b in run.model.named_buffers() if id(b) not in norms}


def _refuse_moving_state(run: Run, before: dict[str, torch.Tensor]) -> None:
    # Only batch-norm can be told to hold still on an ascent pass.
    if not run.has_ascent:
        return
    now = dict(run.model.named_buffers())
    moved = [name for name, buffer in before.items() if not torch.equal(now[name], buffer)]
    if moved:
        raise PluginError(
            f"the backbone moves {', '.join(moved)} in a forward pass, and this arm looks from a second point "
            "in a step: the state would move twice; use a backbone without it, or leave the two-pass trick out"
        )


def _warnings(job: Job, registry: Registry) -> list[str]:
    dataset, changed = job.recipe["dataset"]["name"], set(job.manifest["changes_label"])
    # What a dataset applies ahead of the training stands within it.
    within = registry.describe("dataset", job.recipe["dataset"])
    layers = [
        one for normal in job.recipe["augmentations"] for one in registry.layers("augmentation", normal)
    ]
    return [
        f"augmentation {one['name']}: dataset {dataset} says that it changes what a label means"
        for one in (*layers, *(one for one in within if one["kind"] == "augmentation"))
        if one["name"] in changed
    ]

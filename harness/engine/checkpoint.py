"""Checkpoints: everything that a trial needs to go on as if it had never stopped.

One safetensors file, written durably: model, optimizers, the tricks' state, and as metadata the step, the
curves and what else is not a tensor. Randomness is keyed, so no generator is in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from harness.record.files import write_over

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.compile import Run

NAME = "checkpoint.safetensors"


def save_checkpoint(run: Run, folder: Path, progress: dict[str, Any]) -> None:
    """Write the state of a run; `progress` is JSON and comes back from `load_checkpoint`."""
    tensors: dict[str, Tensor] = {f"model/{name}": t for name, t in run.model.state_dict().items()}
    plain: list[dict[str, Any]] = []
    for number, optimizer in enumerate(run.step.optimizers):
        state = optimizer.state_dict()
        scalars: dict[str, Any] = {}
        for index, values in state["state"].items():
            for key, value in values.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer/{number}/{index}/{key}"] = value
                else:
                    scalars[f"{index}/{key}"] = value
        groups = [{k: v for k, v in group.items() if k != "params"} for group in state["param_groups"]]
        plain.append({"scalars": scalars, "groups": groups})
    for name, values in run.state.items():
        tensors |= {f"state/{name}/{index}": value for index, value in enumerate(values)}
    metadata = {"trial": run.job.trial, "progress": progress, "optimizers": plain}
    # One copy of each: safetensors refuses tensors that share memory (tied weights).
    owned = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    write_over(folder / NAME, save(owned, {"harness": orjson.dumps(metadata).decode()}))


def load_checkpoint(run: Run, folder: Path) -> dict[str, Any] | None:
    """Restore a run in place and return its progress; None where there is nothing to go on from."""
    path = folder / NAME
    if not path.is_file() or not run.exact_resume:
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = orjson.loads(file.metadata()["harness"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, orjson.JSONDecodeError, KeyError, TypeError, OSError):
        return None  # a damaged checkpoint costs time, not the result: the trial starts over
    if metadata["trial"] != run.job.trial:
        return None

    run.model.load_state_dict(
        {name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")}
    )
    for number, (optimizer, kept) in enumerate(zip(run.step.optimizers, metadata["optimizers"], strict=True)):
        state: dict[int, dict[str, Any]] = {}
        for key, scalar in kept["scalars"].items():
            index, name = key.split("/", 1)
            state.setdefault(int(index), {})[name] = scalar
        prefix = f"optimizer/{number}/"
        for key, tensor in tensors.items():
            if key.startswith(prefix):
                index, name = key.removeprefix(prefix).split("/", 1)
                state.setdefault(int(index), {})[name] = tensor
        own = optimizer.state_dict()["param_groups"]
        groups = [{**group, **values} for group, values in zip(own, kept["groups"], strict=True)]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    # load_state_dict gives the optimizer new group dictionaries: the rates must reach those.
    bases = [base for _, base in run.groups]
    fresh = [group for optimizer in run.step.optimizers for group in optimizer.param_groups]
    run.groups[:] = list(zip(fresh, bases, strict=True))
    with torch.no_grad():
        for name, values in run.state.items():
            for index, value in enumerate(values):
                value.copy_(tensors[f"state/{name}/{index}"])
    progress: dict[str, Any] = metadata["progress"]
    return progress


def drop_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a trial that has its record."""
    (folder / NAME).unlink(missing_ok=True)

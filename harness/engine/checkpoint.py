"""Checkpoints: everything that a trial needs to go on as if it had never stopped.

One safetensors file, written durably: model, optimizers, the tricks' state, and as metadata the step, the
curves, the loss scale and what else is not a tensor. Randomness is keyed, so no generator is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from harness.record.files import write_over

if TYPE_CHECKING:
    from torch import Tensor

    from harness.engine.run import Run

NAME = "checkpoint.safetensors"


def save_checkpoint(run: Run, folder: Path, progress: dict[str, Any]) -> None:
    """Write the state of a run; `progress` is JSON and comes back from `load_checkpoint`.

    Where an optimizer keeps what can be no tensor and no JSON, nothing is written: the trial then starts over.
    """
    tensors: dict[str, Tensor] = {f"model/{name}": t for name, t in run.model.state_dict().items()}
    plain: dict[str, Any] = {}
    for key, value in _optimizer_entries(run):
        if isinstance(value, torch.Tensor):
            tensors[key] = value
        elif _is_json(value):
            plain[key] = value
        elif "/state/" in key:
            return
    for name, values in run.state.items():
        tensors |= {f"state/{name}/{index}": value for index, value in enumerate(values)}
    scaler = run.step.scaler
    metadata = {
        "trial": run.job.trial,
        "progress": progress,
        "optimizers": plain,
        "scaler": None if scaler is None else scaler.state(),
    }
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
    _restore_optimizers(run, {**metadata["optimizers"], **tensors})
    # load_state_dict gives the optimizer new group dictionaries: the rates must reach those.
    bases = [base for _, base in run.groups]
    fresh = [group for optimizer in run.step.optimizers for group in optimizer.param_groups]
    run.groups[:] = list(zip(fresh, bases, strict=True))
    if run.step.scaler is not None:
        run.step.scaler.restore(metadata["scaler"])
    with torch.no_grad():
        for name, values in run.state.items():
            for index, value in enumerate(values):
                value.copy_(tensors[f"state/{name}/{index}"])
    progress: dict[str, Any] = metadata["progress"]
    return progress


def _optimizer_entries(run: Run) -> Iterator[tuple[str, Any]]:
    """Yield every entry of the optimizers' state and groups; some optimizers keep tensors in their groups."""
    for number, optimizer in enumerate(run.step.optimizers):
        whole = optimizer.state_dict()
        for index, values in whole["state"].items():
            for name, value in values.items():
                yield f"optimizer/{number}/state/{index}/{name}", value
        # A setting that is no JSON (a dtype) comes from the recipe, and is there again.
        for index, group in enumerate(whole["param_groups"]):
            for name, value in group.items():
                if name != "params":
                    yield f"optimizer/{number}/group/{index}/{name}", value


def _restore_optimizers(run: Run, entries: Mapping[str, Any]) -> None:
    for number, optimizer in enumerate(run.step.optimizers):
        groups = optimizer.state_dict()["param_groups"]
        state: dict[int, dict[str, Any]] = {}
        prefix = f"optimizer/{number}/"
        for key in entries:
            if key.startswith(prefix):
                part, index, name = key.removeprefix(prefix).split("/", 2)
                owner = groups[int(index)] if part == "group" else state.setdefault(int(index), {})
                # JSON knows no tuples: betas come back as what they were.
                owner[name] = tuple(entries[key]) if isinstance(owner.get(name), tuple) else entries[key]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        _restore_layout(optimizer, state)


def _restore_layout(optimizer: torch.optim.Optimizer, state: Mapping[int, Mapping[str, Any]]) -> None:
    # torch gives state its parameter's type; and in another memory layout sums round differently.
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, values in state.items():
        loaded = optimizer.state.get(parameters[index], {})
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and isinstance(loaded.get(name), torch.Tensor):
                like = parameters[index] if value.shape == parameters[index].shape else value
                empty = torch.empty_like(
                    like, dtype=value.dtype, device=loaded[name].device, requires_grad=False
                )
                loaded[name] = empty.copy_(value)


def _is_json(value: Any) -> bool:
    try:
        back = orjson.loads(orjson.dumps(value))
    except TypeError:
        return False
    return bool(back == (list(value) if isinstance(value, tuple) else value))


def drop_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a trial that has its record."""
    (folder / NAME).unlink(missing_ok=True)

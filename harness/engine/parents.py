"""Other trials' models: as a teacher, as a start, and this trial's own for those that need it.

All of it is safetensors. A file of the harness's says in its metadata what network its tensors belong to:

    {"trial": id, "backbone": normal form, "classes": [names], "shapes": {modality: shape},
     "normalization": {"mean": [C numbers], "std": [C numbers]}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from harness.contract import Batch, DataInfo
from harness.engine.data import LEAST_STD
from harness.engine.precision import Forward, cast_weights, forward_of
from harness.errors import HarnessError
from harness.record.files import make_folder, write_over
from harness.registry.digests import digest_bytes, digest_file
from harness.suite.normalization import statistics_of
from harness.suite.parents import wanted_roles
from harness.suite.weights import made_by

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from harness.contract import Backbone
    from harness.engine.keys import Keys
    from harness.engine.run import Run
    from harness.registry.registry import Registry
    from harness.suite.plan import Job

KEY = "harness"
Statistics = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Stored:
    """A weights file, read.

    Attributes:
        tensors: By name, on the host.
        made: What the harness wrote into it; None for a file of others.
    """

    tensors: Mapping[str, Tensor]
    made: Mapping[str, Any] | None


def load_parents(
    job: Job, registry: Registry, keys: Keys, generators: Sequence[torch.Generator]
) -> dict[str, Forward]:
    """Return, by role, the models of other trials that the components of a job ask for, as functions without a graph.

    Args:
        job: Names the parents; one without weights gets random ones, from a key.
        registry: Builds their backbones.
        keys: The trial's.
        generators: Torch's global generators that building a backbone may draw from.

    Raises:
        HarnessError: Where a model cannot be had, or is not the one that was trained.
    """
    for role in job.recipe.get("parents", {}):
        if role not in job.parents:
            raise HarnessError(
                f'arm "{job.arm}": the job does not say where its {role} is; `harness run` does'
            )
    wanted = wanted_roles(job.recipe, registry)
    if missing := sorted(wanted - set(job.parents)):
        raise HarnessError(f'arm "{job.arm}": a component needs a {missing[0]}, and the arm names none')
    forwards = {}
    for role in sorted(wanted):
        (seed,) = keys.torch_seeds(f"parent {role}", 0, 1)
        for generator in generators:
            generator.manual_seed(seed)
        forwards[role] = _load_parent(job, role, registry)
    return forwards


def _load_parent(job: Job, role: str, registry: Registry) -> Forward:
    parent, device, numerics = job.parents[role], torch.device(job.device), job.recipe["numerics"]
    stored = read_weights(role, parent) if parent.get("weights") else None
    backbone, model = _built(role, parent, stored, registry)
    if stored is not None:
        _fill(model, stored.tensors, f"the {role}'s weights")
    layout = torch.channels_last if numerics["channels_last"] else torch.preserve_format
    model = model.to(device).to(memory_format=layout).eval().requires_grad_(False)
    model = cast_weights(model, numerics["precision"])
    forward = forward_of(model, backbone.takes, numerics["precision"], device)
    theirs = None if stored is None else (stored.made or {}).get("normalization")
    ours = statistics_of(job.manifest, job.recipe["dataset"])
    if theirs is not None:
        forward = _renormalised(forward, ours, (theirs["mean"], theirs["std"]), device)

    def without_graph(batch: Batch) -> Tensor:
        # Not inference_mode: what a loss saves for the backward pass may be of these.
        with torch.no_grad():
            return forward(batch)

    return without_graph


def _built(
    role: str, parent: Mapping[str, Any], stored: Stored | None, registry: Registry
) -> tuple[Backbone, Module]:
    """Return a parent's backbone, and a fresh network of it."""
    made = parent if stored is None else stored.made
    if made is None:
        raise HarnessError(
            f"{parent['weights']}: does not say what network it belongs to: it was not written by the harness; "
            f"as {role} it takes the weights of a trial (results/SUITE/weights)"
        )
    backbone: Backbone = registry.build("backbone", made["recipe" if stored is None else "backbone"])
    shapes = {name: tuple(shape) for name, shape in made["shapes"].items()}
    return backbone, backbone.build(DataInfo(len(made["classes"]), shapes))


def _renormalised(forward: Forward, ours: Statistics, theirs: Statistics, device: torch.device) -> Forward:
    """Return a model that takes images normalised as this trial's are, and was trained on others' statistics."""
    if [*map(list, ours)] == [*map(list, theirs)]:
        return forward
    (mean, std), (their_mean, their_std) = (
        [torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1) for values in pair]
        for pair in (ours, theirs)
    )
    their_std = their_std.clamp_min(LEAST_STD)
    scale, shift = std.clamp_min(LEAST_STD) / their_std, (mean - their_mean) / their_std

    def renormalised(batch: Batch) -> Tensor:
        image = batch.inputs["image"] * scale + shift
        return forward(Batch({**batch.inputs, "image": image}, batch.target, batch.ids))

    return renormalised


def read_weights(role: str, parent: Mapping[str, Any]) -> Stored:
    """Return what is in a parent's weights file.

    Raises:
        HarnessError: Where it cannot be read, or is not what its trial wrote.
    """
    path = Path(parent["weights"])
    whose = f'arm "{parent["arm"]}"' if parent.get("arm") else "the suite"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise HarnessError(f"{path}: the {role}'s weights cannot be read: {error}") from error
    if parent.get("digest") not in (None, digest_file(path)):
        raise HarnessError(f"{path}: changed since {whose} gave it; remove it and run again")
    return Stored(tensors, made_by(metadata))


def load_start(job: Job, registry: Registry, backbone: Backbone, model: Module) -> None:
    """Fill a freshly built network with the weights of the job's `init`, where it has one.

    Names and shapes have to be equal; only the last block, the head, may differ, and then stays as initialised.

    Raises:
        HarnessError: Naming the tensors that do not fit.
    """
    parent = job.parents.get("init")
    if parent is None:
        return
    if parent.get("weights"):
        tensors = read_weights("init", parent).tensors
    else:  # `harness check`: what has no weights yet has shapes
        tensors = _built("init", parent, None, registry)[1].state_dict()
    head = _head_names(backbone, model)
    own = model.state_dict()
    prefixes = {name.rpartition(".")[0] + "." for name in head}
    other_head = {name for name in tensors if name not in own and any(map(name.startswith, prefixes))}
    if other_head or any(name not in tensors or tensors[name].shape != own[name].shape for name in head):
        tensors = {name: t for name, t in tensors.items() if name not in head | other_head}
        own = {name: t for name, t in own.items() if name not in head}
    _copy(own, tensors, "init: the weights")


def _head_names(backbone: Backbone, model: Module) -> set[str]:
    """Return the names of the last block's tensors."""
    blocks = backbone.blocks(model)
    if not blocks:
        return set()
    owned = {id(tensor) for tensor in blocks[-1][1].state_dict(keep_vars=True).values()}
    return {name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in owned}


def _fill(model: Module, tensors: Mapping[str, Tensor], what: str) -> None:
    _copy(model.state_dict(), tensors, what)


def _copy(own: Mapping[str, Tensor], given: Mapping[str, Tensor], what: str) -> None:
    """Copy tensors into those of the same names."""
    problems = [f"{name} is missing" for name in own if name not in given]
    problems += [f"{name} is nowhere in the network" for name in given if name not in own]
    problems += [
        f"{name} is {tuple(given[name].shape)}, the network's {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise HarnessError(f"{what} do not fit the backbone: {'; '.join(problems[:3])}{more}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])


def tensor_shapes(model: Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter and buffer."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def refuse_other_tensors(job: Job, built: Mapping[str, tuple[int, ...]], model: Module) -> None:
    """Refuse a trial whose model others need, where its tricks have changed what the backbone is made of.

    Args:
        job: The trial's.
        built: The tensors of the backbone as it was built.
        model: What the tricks made of it.

    Raises:
        HarnessError: Naming what differs.
    """
    if job.weights is None or (now := tensor_shapes(model)) == built:
        return
    different = sorted(name for name in {*now, *built} if now.get(name) != built.get(name))
    raise HarnessError(
        f'arm "{job.arm}" is another arm\'s parent, and its tricks change what the backbone '
        f"is made of ({', '.join(different[:3])}{' …' if len(different) > 3 else ''}): no child could build it again; "
        "leave them out, or name another parent"
    )


def write_weights(run: Run, judged: Module) -> dict[str, Any]:
    """Write the judged model's weights where the job says, durably; the raw model's where it is made of others.

    Returns:
        `{"digest", "bytes", "judged"}`, as the record holds it.

    Raises:
        StoreError: Where the disk refuses.
    """
    is_judged = tensor_shapes(judged) == tensor_shapes(run.model)
    state = (judged if is_judged else run.model).state_dict()
    job = run.job
    mean, std = statistics_of(job.manifest, job.recipe["dataset"])
    made = {
        "trial": job.trial,
        "backbone": job.recipe["backbone"],
        "classes": list(job.manifest["classes"]),
        "shapes": {name: list(shape) for name, shape in run.data.shapes.items()},
        "normalization": {"mean": list(mean), "std": list(std)},
    }
    # One copy of each: safetensors refuses tensors that share memory (tied weights).
    owned = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    data = save(owned, {KEY: orjson.dumps(made, option=orjson.OPT_SORT_KEYS).decode()})
    path = Path(job.weights or "")
    make_folder(path.parent)
    write_over(path, data)
    return {"digest": digest_bytes(data), "bytes": len(data), "judged": is_judged}

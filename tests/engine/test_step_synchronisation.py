"""No step waits for the device: nothing in it asks a tensor for a number that Python then has."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from harness.engine.culprit import Owners
from harness.engine.first import first_step
from harness.engine.loop import steps
from harness.engine.trial import open_run
from harness.registry.discovery import discover
from harness.registry.entry import FIRST_PARTY
from harness.suite.plan import Job
from harness.testing.jobs import TOYS

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense,  # .item(), float(), int(), bool(), if
    aten.nonzero,
    aten.masked_select,
    aten.equal,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.bincount,
}
WAITING_OVERLOADS = {aten.repeat_interleave.Tensor}
WAITING_METHODS = {torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu}
NET = {"name": "resnet-cifar", "params": {"depth": 8, "width": 4, "stem_stride": 1}}
ACTING: dict[str, dict[str, Any]] = {
    "adversarial": {"steps": 2, "random_start": True},
    "batch-size-finder": {"limit_gib": 1.0},
    "class-aware": {"of": "mixup", "probabilities": [0.1, 0.5, 0.9]},
    "class-weights": {"method": "given", "weights": [1.0, 2.0, 3.0]},
    "freeze": {"blocks": 1},
    "lookahead": {"interval": 2},
    "progressive": {"of": "mixup", "grows": "probability", "end": 0.5},
    "swa": {"start": 0.01, "batches": 2},
    "whitened-stem": {"images": 20},
}
NUMERICS = {"channels_last": False, "compile": False, "threads": 1, "deterministic": False}


class Waits(Exception):
    """A step asked the device for a number."""


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        by_mask = func is aten.index.Tensor and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if func.overloadpacket in WAITING or func in WAITING_OVERLOADS or by_mask:
            raise Waits(str(func))
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in WAITING_METHODS:
            raise Waits(str(func))
        return func(*args, **(kwargs or {}))


@contextmanager
def nothing_waits() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(_Methods())
        stack.enter_context(_Operators())
        yield


def take_steps(job: Job, count: int = 5) -> None:
    """Take an epoch's later steps, in which nothing may wait; the first is checked, and may."""
    run = open_run(job, Owners())
    first_step(run, 0)
    taken = steps(run, 1, 2 + count)
    next(taken)  # it begins the epoch anew
    if run.device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(count):
                next(taken)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    else:
        with nothing_waits():
            for _ in range(count):
                next(taken)


def component(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": params}


def first_party(kind: str) -> list[str]:
    registry = discover([])
    found = []
    for entry in registry.entries(kind):
        in_loader = getattr(registry.load(entry), "placement", "device") == "loader"
        if entry.distribution == FIRST_PARTY and not in_loader:
            found.append(entry.name)
    assert len(found) > 3, found
    return found


TRICKS, AUGMENTATIONS = first_party("trick"), first_party("augmentation")


@pytest.mark.parametrize("name", TRICKS)
def test_no_first_party_trick_waits(make_job: Callable[..., Job], name: str) -> None:
    normal, problems = discover([]).validate("trick", {"name": name, **ACTING.get(name, {})}, name)
    assert not problems
    job = make_job(backbone=NET, tricks=[normal])
    roles = getattr(discover([]).load(discover([]).find("trick", name)), "parents", ())
    shapes = {"image": job.manifest["modalities"]["image"]["shape"]}
    parent = {
        "arm": "parent",
        "trial": "b" * 32,
        "recipe": NET,
        "classes": job.manifest["classes"],
        "shapes": shapes,
    }
    take_steps(replace(job, parents=dict.fromkeys(roles, parent)))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_no_first_party_augmentation_waits(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # On a CPU, where there is nothing to wait for, some gather samples by what they drew; not so elsewhere.
    monkeypatch.setattr("harness_plugins.augmentations.grouping.gathers", lambda device: False)
    normal, problems = discover([]).validate("augmentation", {"name": name, **ACTING.get(name, {})}, name)
    assert not problems
    take_steps(make_job(backbone=NET, augmentations=[normal]))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "pure-bf16"])
def test_no_precision_waits_and_neither_do_gradient_norms(
    make_job: Callable[..., Job], precision: str
) -> None:
    job = make_job(
        backbone=NET,
        numerics={**NUMERICS, "precision": precision},
        tricks=[component("ema", decay=0.9), component("grad-accumulation", micro_batches=3)],
    )
    measured = {**job.measure, "gradient_norms": True}
    take_steps(Job.from_json({**job.to_json(), "measure": measured}))


WAITERS = {
    "item": "batch.target.sum().item()",
    "tolist": "batch.target.tolist()",
    "branch": "1 if batch.target.sum() > 0 else 0",
    "mask": "batch.target[batch.target > 0]",
    "nonzero": "batch.target.nonzero()",
    "numpy": "batch.target.numpy()",
}


@pytest.mark.parametrize("way", WAITERS)
def test_a_trick_that_waits_is_found(make_job: Callable[..., Job], tmp_path: Path, way: str) -> None:
    file = tmp_path / "waiter.py"
    file.write_text(f'''
from dataclasses import dataclass
from harness.contract import *

@dataclass(frozen=True)
class Waiter(Trick):
    """Asks."""
    def bind(self, ctx):
        def ask(batch):
            {WAITERS[way]}
            return batch
        return Slots(batch=ask)

@hookimpl
def harness_register(registry):
    registry.add("trick", "waiter", Waiter, summary="asks")
''')
    job = make_job(plugins=(TOYS, str(file)), tricks=[component("waiter")])
    with pytest.raises(Waits):
        take_steps(job)


ON_A_GPU: dict[str, dict[str, Any]] = {
    "plain": {},
    "label-smoothing": {"tricks": [component("label-smoothing", smoothing=0.1)]},
    "ema": {"tricks": [component("ema", decay=0.9, warmup=True)]},
    "clip": {"tricks": [component("grad-clip", max_norm=0.1)]},
    "mixup": {"augmentations": [component("mixup", alpha=0.2)]},
    "fp16": {
        "numerics": {**NUMERICS, "precision": "fp16"},
        "tricks": [component("ema", decay=0.9, warmup=True)],
    },
    "pure-fp16": {"numerics": {**NUMERICS, "precision": "pure-fp16", "channels_last": True}},
}


@pytest.mark.gpu
@pytest.mark.parametrize("arm", ON_A_GPU)
def test_no_step_on_a_gpu_synchronises(make_job: Callable[..., Job], arm: str) -> None:
    job = make_job(backbone=NET, **ON_A_GPU[arm])
    take_steps(Job.from_json({**job.to_json(), "device": "cuda:0"}))

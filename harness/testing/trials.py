"""Trials of one component on toy data, for the conformance kit."""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.engine.compile import compile_run
from harness.engine.culprit import Owners
from harness.engine.data import TrialData, open_data
from harness.engine.loader_choice import choose
from harness.engine.precision import apply_numerics
from harness.engine.run import Run
from harness.engine.tally import Tally
from harness.engine.trial import judge, run_trial, train
from harness.registry.digests import digest_json
from harness.registry.discovery import discover
from harness.suite.recipe import incompatible
from harness.testing import probes
from harness.testing.jobs import TOYS, component, toy_job, toy_recipe, write_toy_data
from harness.testing.toys import ToyDataset
from harness.testing.watch import watch

if TYPE_CHECKING:
    from torch import Tensor

    from harness.suite.plan import Job

Placed = tuple[str, str, Mapping[str, Any]]
"""(kind, name, parameters) of a component."""

LISTS = {"augmentation": "augmentations", "trick": "tricks", "metric": "metrics", "optimizer": "optimizer"}
"""The recipe's key, for kinds of which it holds a list."""

PROBES = str(Path(probes.__file__).resolve())
RECORDER = component("draws-recorder")
RECORDER_LABEL = "trick draws-recorder"
BUDGET = {"unit": "epochs", "amount": 4}
BATCH_SIZE = 16
"""Five steps an epoch."""


class NonConformance(Exception):
    """What a component does that it may not do, or does not do that it has to."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a trial under watch gave.

    Attributes:
        digests: As an outcome's.
        notes: What was done that may not be done.
    """

    digests: Mapping[str, Any]
    notes: Sequence[str]


class Trials:
    """Runs trials with a component, or without it, on toy data.

    Args:
        kind: The component's kind.
        name: Its name in a suite.
        folder: An empty folder to work in.
        plugins: Plugin files that offer it.
        channels: Of the toy images.
    """

    _kept: dict[str, dict[str, Any]] = {}
    """Outcomes of this process by all that they depend on; of first-party components and toys alone, which stay as
    they are while it lives."""

    def __init__(self, kind: str, name: str, folder: Path, plugins: Sequence[str], channels: int = 1) -> None:
        self.kind, self.name = kind, name
        self._keeps = not plugins
        self._plugins = [TOYS, PROBES, *plugins]
        self.registry = discover([Path(file) for file in self._plugins])
        self.component: Any = self.registry.load(self.registry.find(kind, name))
        self._data, self._place = folder / "data", folder / "trial"
        self._data.mkdir()
        self._place.mkdir()
        self._manifest = write_toy_data(self._data, ToyDataset(channels=channels))
        self._opened_data: dict[str, TrialData] = {}

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """The parameters at which the component declares to do nothing."""
        identity: Mapping[str, Any] | None = getattr(self.component, "identity", None)
        return identity

    def normal(self, kind: str, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the normal form of a component.

        Raises:
            NonConformance: Where it refuses its parameters.
        """
        normal, problems = self.registry.validate(kind, {"name": name, **params}, name)
        if problems:
            told = "; ".join(f"{problem.path} {problem.message}" for problem in problems)
            raise NonConformance(f"{kind} {name} {dict(params)}: {told}")
        return normal

    def recipe(self, params: Mapping[str, Any] | None, *beside: Placed, **changes: Any) -> dict[str, Any]:
        """Return a recipe with the component (without it where `params` is None) and others beside it."""
        made = toy_recipe(**{"tricks": [RECORDER], "budget": BUDGET, "batch_size": BATCH_SIZE, **changes})
        own: list[Placed] = [] if params is None else [(self.kind, self.name, params)]
        for kind, name, given in (*own, *beside):
            normal = self.normal(kind, name, given)
            if kind in ("augmentation", "trick", "metric"):
                made[LISTS[kind]] = [normal, *made[LISTS[kind]]]
            elif kind == "optimizer":
                made["optimizer"] = _with_rest(normal, made["optimizer"])
            else:
                made[kind] = normal
        return made

    def refusals(self, recipe: Mapping[str, Any]) -> list[str]:
        """Return why components of a recipe say that they cannot go together."""
        return [problem.message for problem in incompatible(recipe, self.registry)]

    def run(
        self, recipe: Mapping[str, Any], *, seed: int = 0, stop_after: int | None = None
    ) -> dict[str, Any]:
        """Run a trial; with `stop_after` it is asked to stop at that end of an epoch."""
        job, key = self._job(recipe, seed), digest_json([recipe, seed, self._manifest["modalities"]])
        if stop_after is None and self._keeps and key in self._kept and not any(self._place.iterdir()):
            return self._kept[key]
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return stop_after is not None and asked >= stop_after

        outcome = run_trial(job, report=_unheard, stop=stop)
        if self._keeps and outcome["status"] == "completed" and outcome["resumed_from_step"] is None:
            self._kept[key] = outcome
        return outcome

    def watched(self, recipe: Mapping[str, Any]) -> Watched:
        """Run a trial in which every call of a slot is looked at, from another global random state."""
        with _other_global_state() as notes, self._opened(recipe) as run:
            watch(run, notes)
            digests = _finished(run)["digests"]
            notes += run.changes
        return Watched(digests, list(dict.fromkeys(notes)))

    def trained(self, recipe: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the weights and buffers after a trial."""
        with self._opened(recipe) as run:
            train(run, Tally(), _unheard, _never)
            return run.model.state_dict()

    def failure(self, recipe: Mapping[str, Any]) -> str:
        """Return what went wrong in a trial; an empty string where nothing did."""
        try:
            with self._opened(recipe) as run:
                _finished(run)
        except Exception as error:
            return "".join(traceback.format_exception(error, limit=-4))
        return ""

    @contextmanager
    def _opened(self, recipe: Mapping[str, Any]) -> Iterator[Run]:
        """Compose a run as the engine does, with the registry and the data of this kit."""
        job, owners = self._job(recipe, 0), Owners()
        owners.learn(self.registry, job.recipe)
        apply_numerics(job.recipe["numerics"], torch.device(job.device))
        choice = choose(job, self.registry)
        if choice.mode not in self._opened_data:
            self._opened_data[choice.mode] = open_data(job, self.registry, choice)
        run = compile_run(job, self.registry, self._opened_data[choice.mode], owners)
        try:
            yield run
        finally:
            run.loader.close()

    def _job(self, recipe: Mapping[str, Any], seed: int) -> Job:
        job = toy_job(self._data, self._manifest, self._place, seed=seed, plugins=self._plugins, **recipe)
        roles = sorted(getattr(self.component, "parents", ()))
        if not roles:
            return job
        # No weights are named: the engine makes up a model for the role, from a key.
        shapes = {"image": self._manifest["modalities"]["image"]["shape"]}
        parent = {"arm": "parent", "trial": "b" * 32, "recipe": component("toy-net", width=4)}
        parents = {role: {**parent, "classes": self._manifest["classes"], "shapes": shapes} for role in roles}
        return replace(job, parents=parents)


def _unheard(message: Mapping[str, Any]) -> None:
    del message


def _never() -> bool:
    return False


def _finished(run: Run) -> dict[str, Any]:
    tally = Tally()
    train(run, tally, _unheard, _never)
    return judge(run, tally, _unheard)


def _with_rest(normal: dict[str, Any], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an optimizer, and one for the parameters that it does not take."""
    if normal["parameters"] == "all":
        return [normal]
    return [normal, {**others[-1], "parameters": "rest"}]


@contextmanager
def _other_global_state() -> Iterator[list[str]]:
    """Put other numbers into the global random generators; note who drew from them, and put all back."""
    notes: list[str] = []
    kept = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    try:
        random.seed(1234)
        np.random.seed(1234)
        torch.manual_seed(1234)
        states = (random.getstate(), str(np.random.get_state()))
        yield notes
        if (random.getstate(), str(np.random.get_state())) != states:
            notes.append("the global random state of Python or numpy moved")
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])

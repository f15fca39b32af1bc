"""The conformance kit: what every component has to hold, checked by training with it.

For a plugin of your own, in its tests:

    from harness.testing.conformance import conform

    def test_my_trick_conforms(tmp_path):
        assert conform("trick", "my-trick", {"strength": 0.5}, tmp_path, plugins=["my_trick.py"])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.contract import Trick
from harness.engine.trial import run_trial
from harness.registry import discover
from harness.testing.jobs import TOYS, component, toy_job, write_toy_data

LISTS = {"augmentation": "augmentations", "trick": "tricks", "metric": "metrics", "optimizer": "optimizer"}
BATCH_NORM = component("toy-net", width=8, batch_norm=True, dropout=0.2)


class NonConformance(Exception):
    """What a component does that it may not do, or does not do that it has to."""


def conform(
    kind: str,
    name: str,
    params: Mapping[str, Any],
    folder: Path,
    *,
    plugins: Sequence[str] = (),
    backbone: Mapping[str, Any] = BATCH_NORM,
) -> list[str]:
    """Train with a component on toy data and hold it to the contract.

    Args:
        kind: Its kind.
        name: Its name in a suite.
        params: Parameters at which it acts; an optimizer's `parameters` where it does not take all of them.
        folder: An empty folder to work in.
        plugins: Plugin files that offer it, beside the installed plugins.
        backbone: What it trains, in normal form.

    Returns:
        The names of the checks that were made.

    Raises:
        NonConformance: At the first check that fails.
    """
    trials = _Trials(kind, name, folder, [TOYS, *plugins], backbone)
    made: list[str] = []

    def check(what: str, holds: bool, found: str = "") -> None:
        if not holds:
            raise NonConformance(f"{kind} {name} {dict(params)}: {what}{': ' + found if found else ''}")
        made.append(what)

    first = trials.run(params)
    check("trains", first["status"] == "completed", str(first["culprit"]))
    again = trials.run(params)
    check("the same seed gives the same weights and outputs", again["digests"] == first["digests"])
    other = trials.run(params, seed=1)
    check("another seed gives others", other["digests"]["final_weights"] != first["digests"]["final_weights"])
    check("global state is left alone", first["changes"] == [], ", ".join(first["changes"]))

    plain = trials.run(None)
    if kind in ("augmentation", "trick", "metric"):
        check("the order stays", first["digests"]["order"] == plain["digests"]["order"])
        same = first["digests"]["initial_weights"] == plain["digests"]["initial_weights"]
        check(
            "the initial weights stay, where it has no slot that makes others", same or trials.makes_model()
        )
    if kind in ("augmentation", "trick"):
        fired = any(observed["value"] > 0 for observed in first["observables"].values())
        check("it acts", fired or first["digests"] != plain["digests"])
        identity = trials.identity()
        if identity is not None:
            still = trials.run({**params, **identity})
            check("the declared identity changes no bit", still["digests"] == plain["digests"])

    stopped = trials.run(params, stop_after=2)
    check("it stops when asked", stopped["status"] == "preempted")
    resumed = trials.run(params)
    check("it goes on from the checkpoint", resumed["resumed_from_step"] is not None)
    same = resumed["digests"] == first["digests"] and resumed["curves"] == first["curves"]
    check("a resumed trial equals a straight one", same)
    return made


class _Trials:
    def __init__(
        self, kind: str, name: str, folder: Path, plugins: Sequence[str], backbone: Mapping[str, Any]
    ) -> None:
        self._kind, self._name, self._plugins, self._backbone = kind, name, plugins, backbone
        self._registry = discover([Path(file) for file in plugins])
        self._data, self._place = folder / "data", folder / "trial"
        self._data.mkdir()
        self._place.mkdir()
        self._manifest = write_toy_data(self._data)

    def identity(self) -> Mapping[str, Any] | None:
        """Return the parameters at which the component declares to do nothing."""
        component_class = self._registry.load(self._registry.find(self._kind, self._name))
        identity: Mapping[str, Any] | None = getattr(component_class, "identity", None)
        return identity

    def makes_model(self) -> bool:
        """Whether the component is a trick that changes the model before it is trained."""
        component_class = self._registry.load(self._registry.find(self._kind, self._name))
        return issubclass(component_class, Trick) and component_class.model is not Trick.model

    def run(
        self, params: Mapping[str, Any] | None, *, seed: int = 0, stop_after: int | None = None
    ) -> dict[str, Any]:
        """Run a trial with the component, or without it where `params` is None."""
        changes: dict[str, Any] = {"backbone": self._backbone}
        if params is not None:
            changes |= self._with(params)
        job = toy_job(self._data, self._manifest, self._place, seed=seed, plugins=self._plugins, **changes)
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return stop_after is not None and asked > stop_after

        return run_trial(job, report=lambda _: None, stop=stop)

    def _with(self, params: Mapping[str, Any]) -> dict[str, Any]:
        table = {"name": self._name, **params}
        normal, problems = self._registry.validate(self._kind, table, self._name)
        if problems:
            raise NonConformance("; ".join(problem.message for problem in problems))
        key = LISTS.get(self._kind, self._kind)
        entries = [normal]
        if self._kind == "optimizer" and normal["parameters"] != "all":
            entries.append({**component("toy-sgd", lr=0.05, momentum=0.9), "parameters": "rest"})
        return {key: entries if self._kind in LISTS else normal}

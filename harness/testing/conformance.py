"""The conformance kit: what every component has to hold, checked by training with it.

For a plugin of your own, in its tests:

    from harness.testing.conformance import conform

    def test_my_trick_conforms(tmp_path):
        assert conform("trick", "my-trick", {"strength": 0.5}, tmp_path, plugins=["my_trick.py"])

A trick that needs other trials' models (`parents`) is given made-up ones. `conform` checks one setting; call it for a
plain and for a strong one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.contract import Trick
from harness.testing.jobs import component
from harness.testing.ranges import refused_values
from harness.testing.trials import RECORDER_LABEL, NonConformance, Placed, Trials

__all__ = ["BATCH_NORM", "BESIDE", "GROUP_NORM", "NonConformance", "conform"]

BATCH_NORM = component("toy-net", width=8, batch_norm=True, dropout=0.2)
GROUP_NORM = component("toy-conv", width=4, norm="group", dropout=0.0)
"""A network in which no sample's logits depend on another's: micro-batches change nothing but rounding."""

BESIDE: tuple[Placed, ...] = (
    ("augmentation", "toy-noise", {"strength": 0.1}),
    ("trick", "toy-penalty", {"weight": 0.01}),
    ("trick", "toy-ascent", {"rho": 0.01}),
)

MICRO_BATCHES: Placed = ("trick", "toy-parts", {"parts": 4})
MICRO_TOLERANCE = 1e-4
"""Largest difference of a weight after an epoch in parts, as a share of the tensor's largest."""

FEW_STEPS = {"unit": "steps", "amount": 3}
ONE_EPOCH = {"unit": "epochs", "amount": 1}


def conform(
    kind: str,
    name: str,
    params: Mapping[str, Any],
    folder: Path,
    *,
    plugins: Sequence[str] = (),
    backbone: Mapping[str, Any] = BATCH_NORM,
    beside: Sequence[Placed] = BESIDE,
    micro_batches: bool = True,
    channels: int = 1,
) -> list[str]:
    """Train with a component on toy data and hold it to the contract.

    Args:
        kind: Its kind.
        name: Its name in a suite.
        params: Parameters at which it acts; an optimizer's `parameters` where it does not take all of them.
        folder: An empty folder to work in.
        plugins: Plugin files that offer it, beside the installed plugins.
        backbone: What it trains, in normal form.
        beside: (kind, name, parameters) of what it has to work beside, where stages differ and no tag forbids it.
        micro_batches: Whether a batch in four parts has to give what it gives whole; not where the component takes
            statistics over what it sees, or only the sign of a gradient, which rounding turns.
        channels: Of the toy images; 3 for what acts on colour.

    Returns:
        The names of the checks that were made.

    Raises:
        NonConformance: At the first check that fails.
    """
    trials = Trials(kind, name, folder, plugins, channels)
    recipe = trials.recipe(params, backbone=backbone)
    made = Checks(f"{kind} {name} {dict(params)}")
    first = trials.run(recipe)
    made.check("it trains, with a finite loss", first["status"] == "completed", str(first["culprit"]))
    _check_keyed(made, trials, recipe, first)
    _check_against_plain(made, trials, params, first, backbone)
    _check_resume(made, trials, recipe, first)
    if micro_batches:
        _check_micro_batches(made, trials, params)
    _check_beside(made, trials, params, backbone, beside)
    for refused in refused_values(kind, name, params, trials.registry):
        made.check(f"{refused.name} = {refused.value!r} is refused, by name", refused.is_named, refused.found)
    return made.names


class Checks:
    """The checks that a component has passed.

    Args:
        subject: The component and its parameters, for messages.
    """

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self.names: list[str] = []

    def check(self, what: str, holds: bool, found: str = "") -> None:
        """Note that a check holds.

        Raises:
            NonConformance: Where it does not.
        """
        if not holds:
            raise NonConformance(f"{self._subject}: {what}{': ' + found if found else ''}")
        self.names.append(what)


def _check_keyed(made: Checks, trials: Trials, recipe: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Everything random comes from the seed, and nothing but the step's own tensors is written to."""
    made.check("global state is left alone", first["changes"] == [], ", ".join(first["changes"]))
    again = trials.watched(recipe)
    made.check("it writes into no batch and draws from keys alone", not again.notes, "; ".join(again.notes))
    made.check("the same seed gives the same weights and outputs", again.digests == first["digests"])
    other = trials.run(recipe, seed=1)
    made.check("another seed gives others", _weights(other) != _weights(first))


def _check_against_plain(
    made: Checks,
    trials: Trials,
    params: Mapping[str, Any],
    first: Mapping[str, Any],
    backbone: Mapping[str, Any],
) -> None:
    """What it may change of a trial without it, and that it changes something; at its identity nothing."""
    plain = trials.run(trials.recipe(None, backbone=backbone))
    recorded = [outcome["observables"][RECORDER_LABEL]["value"] for outcome in (first, plain)]
    made.check("adding it moves no other component's draws", recorded[0] == recorded[1])
    if trials.kind == "sampler":
        return
    made.check("the order stays", first["digests"]["order"] == plain["digests"]["order"])
    makes_model = issubclass(trials.component, Trick) and trials.component.model is not Trick.model
    same = first["digests"]["initial_weights"] == plain["digests"]["initial_weights"]
    made.check("the initial weights stay, where it has no slot that makes others", same or makes_model)
    if trials.kind not in ("augmentation", "trick"):
        return
    others = {label: seen for label, seen in first["observables"].items() if label != RECORDER_LABEL}
    fired = any(seen["value"] > 0 for seen in others.values())
    made.check("it acts", fired or first["digests"] != plain["digests"])
    if trials.identity is not None:
        still = trials.run(trials.recipe({**params, **trials.identity}, backbone=backbone))
        made.check(
            "the declared identity changes no bit of weights and outputs",
            still["digests"] == plain["digests"],
            str(still["culprit"] or ""),
        )


def _check_resume(made: Checks, trials: Trials, recipe: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """A trial that was stopped and goes on from its checkpoint is the trial that was not."""
    stopped = trials.run(recipe, stop_after=2)
    made.check("it stops when asked", stopped["status"] == "preempted", str(stopped["culprit"] or ""))
    resumed = trials.run(recipe)
    made.check("it goes on from the checkpoint", resumed["resumed_from_step"] is not None)
    different = [key for key in ("digests", "curves", "observables") if resumed[key] != first[key]]
    made.check("a resumed trial equals a straight one", not different, f"{', '.join(different)} differ")


def _check_micro_batches(made: Checks, trials: Trials, params: Mapping[str, Any]) -> None:
    """A batch in parts gives what it gives whole, for its functions come before the split."""
    changes = {"backbone": GROUP_NORM, "budget": ONE_EPOCH}
    whole, parts = trials.recipe(params, **changes), trials.recipe(params, MICRO_BATCHES, **changes)
    if trials.refusals(parts):
        made.check("it refuses micro-batches by a tag", True)
        return
    one, other = trials.trained(whole), trials.trained(parts)
    worst = {key: _distance(one[key], other[key]) for key in one}
    key = max(worst, key=lambda name: worst[name])
    told = f"{key} differs by {worst[key]:.1e} of its largest value"
    made.check("micro-batches 1 and 4 agree", worst[key] <= MICRO_TOLERANCE, told)


def _check_beside(
    made: Checks,
    trials: Trials,
    params: Mapping[str, Any],
    backbone: Mapping[str, Any],
    beside: Sequence[Placed],
) -> None:
    """It trains beside one component of every other stage, unless a tag of one of them says that it cannot."""
    own = _stage(trials, trials.kind, trials.name, params)
    for kind, name, given in beside:
        if _stage(trials, kind, name, given) is own is not None:
            continue
        recipe = trials.recipe(params, (kind, name, given), backbone=backbone, budget=FEW_STEPS)
        refusals = trials.refusals(recipe)
        if refusals:
            made.check(f"it is refused beside {name}, and the reason names it", name in " ".join(refusals))
            continue
        failure = trials.failure(recipe)
        made.check(f"it works beside {name}", not failure, failure)


def _stage(trials: Trials, kind: str, name: str, params: Mapping[str, Any]) -> Any:
    if kind not in ("augmentation", "trick"):
        return None
    role = trials.registry.role(kind, trials.normal(kind, name, params))
    return getattr(role, "stage", None)


def _weights(outcome: Mapping[str, Any]) -> Any:
    return outcome["digests"]["final_weights"]


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference, as a share of the largest value."""
    largest = one.double().abs().max().clamp_min(1e-3)
    return float((one.double() - other.double()).abs().max() / largest)

"""The plan: what a suite will run, as JSON that outlives the process. Nothing here is computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.registry.digests import digest_json

SCHEMA = 1
"""Major version of the plan's and the suite file's format."""

PROTOCOL = 1
"""Version of the rules under which a trial is run. Another number makes every trial new."""

LOADER: Mapping[str, Any] = {"mode": "auto", "workers": 0}
"""How samples reach the device, where a suite does not say."""

NON_INFERIORITY_POINTS = 0.2
"""What accuracy a speed or memory trick may lose, where a suite does not say (PROTOCOL.md)."""

MEASURE: Mapping[str, Any] = {"target_top1": None, "gradient_norms": False, "latency": True}
"""What is measured on request, where a suite does not say."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One configuration.

    Attributes:
        name: Its name in the suite.
        recipe: In normal form (docs/dataflow.md); empty where the arm failed to resolve.
        components: What the recipe uses: `{kind, name, full_name, distribution, version, source_digest}` each.
        varies: Key paths, held equal by the protocol, in which it declares to differ from the baseline.
        data: Hash of its data manifest; None where the arm failed to resolve.
        failure: Why it could not be resolved; None for an arm that runs.
        compared: False for one that is trained and shown, but neither ranked nor tested.
        salt: A word that gives a copy of the baseline streams of its own; empty for every other arm.
        copy_of: The arm that it is a copy of, for calibration; empty for every other arm.
        against: The arm that it is compared with; empty for the plan's baseline. The baseline of a grid's cell names
            itself.
        cell: Where a suite has a grid, the values of this arm's cell by key path.
        tuned: Where a suite tunes, what was chosen: `{setting: {key path: value}, trials, train_seconds,
            training_flops, validation_top1}`.
    """

    name: str
    recipe: Mapping[str, Any]
    components: tuple[Mapping[str, Any], ...]
    varies: tuple[str, ...]
    data: str | None
    failure: str | None = None
    compared: bool = True
    salt: str = ""
    copy_of: str = ""
    against: str = ""
    cell: Mapping[str, Any] = field(default_factory=dict)
    tuned: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the arm as JSON."""
        return _without_defaults(self, ("compared", "salt", "copy_of", "against", "cell", "tuned"))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Arm:
        """Return the arm that `to_json` gave."""
        return cls(
            **{
                **_known(cls, value),
                "components": tuple(value["components"]),
                "varies": tuple(value["varies"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """An arm's one replicate.

    Attributes:
        id: Hash of everything that decides the result; the arm's name is not in it.
        arm: Name of the arm.
        replicate: From 0.
    """

    id: str
    arm: str
    replicate: int

    def to_json(self) -> dict[str, Any]:
        """Return the trial as JSON."""
        return {"id": self.id, "arm": self.arm, "replicate": self.replicate}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trial:
        """Return the trial that `to_json` gave."""
        return cls(**_known(cls, value))


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a trial, or one timing of an arm: all that a worker is handed.

    Attributes:
        trial: The trial's id.
        arm: Name of the arm.
        replicate: From 0.
        attempt: From 0.
        seed: The suite's seed.
        salt: Empty, or a word that gives a copy of an arm streams of its own.
        recipe: In normal form.
        manifest: The data manifest.
        data: The folder of the prepared data.
        plugins: The suite's plugin files.
        device: As torch writes it: "cpu", "cuda:0".
        folder: The trial's own folder, for checkpoints.
        checkpoint_seconds: How long to train between checkpoints, at the least.
        timing_seconds: How long a timing's steady state lasts, at the least.
        data_root: The data root, for data that is decoded while training; None where none is set.
        loader: `{mode, workers}`: how samples reach the device. No bit of a result depends on it.
        measure: `{target_top1, gradient_norms, latency}`: what is measured on request.
        parents: By role, the trial whose model it needs: `{arm, trial, weights, recipe, classes, shapes}`, `recipe`
            being its backbone. Without `weights` a model with random ones stands in (`harness check`).
        weights: Where its own model is to be written; None where nobody needs it.
        measured: Of a budget in seconds, what an earlier attempt measured, as its record has it under `budget.seconds`:
            the trial takes its `total_steps`. Empty where it measures its own step.
    """

    trial: str
    arm: str
    replicate: int
    attempt: int
    seed: int
    salt: str
    recipe: Mapping[str, Any]
    manifest: Mapping[str, Any]
    data: str
    plugins: tuple[str, ...]
    device: str
    folder: str
    checkpoint_seconds: float
    timing_seconds: float = 1.0
    data_root: str | None = None
    loader: Mapping[str, Any] = field(default_factory=lambda: dict(LOADER))
    measure: Mapping[str, Any] = field(default_factory=lambda: dict(MEASURE))
    parents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON."""
        return _to_json(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Job:
        """Return the job that `to_json` gave."""
        return cls(**{**_known(cls, value), "plugins": tuple(value["plugins"])})


@dataclass(frozen=True, slots=True)
class Plan:
    """A suite, resolved: what a board is built from, beside the records.

    Attributes:
        suite: The suite's name.
        seed: The suite's seed.
        replicates: Replicates of each arm.
        baseline: Name of the arm that the others are compared with.
        alpha: Family-wise level of significance.
        margin_points: Smallest difference that counts, in points of accuracy.
        equal_margin_points: Margin within which two one-sided tests may call an arm equal.
        verdicts: Whether the board may print verdicts.
        verdicts_reason: Why not; empty where it may.
        timing: `{rounds, seconds}` of the timing pass; no round, no pass.
        arms: In the order of the suite file.
        manifests: The data manifests by their hash.
        trials: In the order in which they are to run: replicates are blocks, arms in random order within.
        plugins: The suite's plugin files: `{path, digest}`, the path as the suite writes it.
        loader: As a job's.
        measure: As a job's.
        together: Replicates of an arm that may be trained at once in one process; 1 for each in its own.
        non_inferiority_points: What accuracy an arm may lose and still be said to be faster or smaller.
        claims: The suite's claims, each `{name, source, arm, against, metric, claimed, unit, testable}`.
        tuning: Where a suite tunes, `{trials, method, space, replicates, plan}`, `plan` being the hash of the plan
            whose trials were the tuning.
        hash: Of everything above.
        schema: Major version of this format.
        protocol: Version of the rules.
    """

    suite: str
    seed: int
    replicates: int
    baseline: str
    alpha: float
    margin_points: float
    equal_margin_points: float
    verdicts: bool
    verdicts_reason: str
    timing: Mapping[str, Any]
    arms: tuple[Arm, ...]
    manifests: Mapping[str, Mapping[str, Any]]
    trials: tuple[Trial, ...]
    plugins: tuple[Mapping[str, str], ...]
    loader: Mapping[str, Any] = field(default_factory=lambda: dict(LOADER))
    measure: Mapping[str, Any] = field(default_factory=lambda: dict(MEASURE))
    together: int = 1
    non_inferiority_points: float = NON_INFERIORITY_POINTS
    claims: tuple[Mapping[str, Any], ...] = ()
    tuning: Mapping[str, Any] = field(default_factory=dict)
    hash: str = ""
    schema: int = SCHEMA
    protocol: int = PROTOCOL

    def arm(self, name: str) -> Arm:
        """Return the arm of that name.

        Raises:
            KeyError: Where there is none.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        value = _without_defaults(self, ("non_inferiority_points", "claims", "tuning"))
        value |= {"arms": [a.to_json() for a in self.arms], "trials": [t.to_json() for t in self.trials]}
        return {**value, "plugins": list(self.plugins)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """Return the plan that `to_json` gave."""
        arms = tuple(Arm.from_json(arm) for arm in value["arms"])
        trials = tuple(Trial.from_json(trial) for trial in value["trials"])
        return cls(
            **{
                **_known(cls, value),
                "arms": arms,
                "trials": trials,
                "plugins": tuple(value["plugins"]),
                "claims": tuple(value.get("claims", ())),
            }
        )

    def hashed(self) -> Plan:
        """Return this plan with its hash."""
        return dataclasses.replace(self, hash=digest_json({**self.to_json(), "hash": ""}))


def _to_json(value: Any) -> dict[str, Any]:
    pairs = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {key: list(one) if isinstance(one, tuple) else one for key, one in pairs.items()}


def _without_defaults(value: Any, optional: tuple[str, ...]) -> dict[str, Any]:
    """Return it as JSON, optional keys only where they say something: every other plan keeps its hash."""
    told = _to_json(value)
    for one in dataclasses.fields(value):
        if one.name in optional:
            made = one.default_factory() if callable(one.default_factory) else one.default
            if getattr(value, one.name) == made:
                del told[one.name]
    return told


def _known(cls: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of `value` the class knows: a later minor version may have added keys."""
    return {field.name: value[field.name] for field in dataclasses.fields(cls) if field.name in value}


SPEED_ROUNDS = 7
STEADY_SECONDS = 5.0
"""Fewest timing rounds, and seconds of steady state in each, of a claim on speed or memory (PROTOCOL.md)."""


def needed_rounds(m: int, alpha: float) -> int:
    """Return the fewest timing rounds at which m arms get verdicts on speed: the floor of the test, and 7 or more."""
    return max(SPEED_ROUNDS, needed_replicates(m, alpha))


def needed_replicates(m: int, alpha: float) -> int:
    """Return the fewest replicates at which m arms can be told from a baseline at all.

    With n pairs the exact two-sided sign-flip test has no p below 2 / 2^n, and Holm's first step asks for
    p <= alpha / m; so n >= log2(2 m / alpha) (PROTOCOL.md).
    """
    n = 1
    while alpha < 2 * m * 2.0**-n:  # not 2.0**n: of an alpha next to nothing that is beyond any float
        n += 1
    return n

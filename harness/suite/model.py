"""A suite, checked: what `load` makes of a file, and everything else starts from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.registry.registry import Registry
from harness.suite.search_space import Space
from harness.suite.weights import WeightsFile


@dataclasses.dataclass(frozen=True, slots=True)
class SuiteArm:
    """One configuration of a suite.

    Attributes:
        name: Its name.
        recipe: In normal form (docs/dataflow.md); empty where `failure` is set.
        varies: Key paths, held equal by the protocol, in which it declares to differ from the baseline.
        failure: Why it cannot be resolved, where `keep_going` let it stay; else None.
        compared: False for one that is trained and shown, but neither ranked nor tested, nor held equal.
        space: What is searched for it where the suite tunes, by key path.
        salt: A word that gives its trials streams of their own; empty for every arm of a suite file.
        tuned: What the plan is to say of its tuning; empty until there was one.
        plain: Its name in the file; in a grid every cell has an arm of that name.
        cell: Where the suite has a grid, the values of its cell by key path.
        against: Where the suite has a grid, the baseline of its cell; else empty.
    """

    name: str
    recipe: Mapping[str, Any]
    varies: tuple[str, ...] = ()
    failure: str | None = None
    compared: bool = True
    space: Space = dataclasses.field(default_factory=dict)
    salt: str = ""
    tuned: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    plain: str = ""
    cell: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    against: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Suite:
    """A suite file, checked.

    Attributes:
        name: The suite's name.
        path: The file.
        seed: What all randomness derives from, with the number of the replicate.
        replicates: Replicates of each arm.
        baseline: Name of the arm that the others are compared with.
        alpha: Family-wise level of significance.
        margin: Smallest difference that counts, in points; None for the larger of 0.1 and one test example.
        equal_margin: Margin of "equal", in points; None for `margin`.
        verdicts: False for an exploratory suite.
        non_inferiority: What accuracy a faster or smaller arm may lose, in points; None for 0.2.
        aa: Whether a copy of the baseline is to run as an arm, under streams of its own.
        together: Replicates of an arm that may be trained at once in one process.
        timing: `{"rounds", "seconds"}`.
        loader: `{"mode", "workers"}`.
        measure: `{"target_top1", "gradient_norms", "latency"}`.
        arms: By name, in the order of the file.
        plugins: The plugin files, as the file writes them and where they are.
        registry: What is installed, and what the plugin files offer.
        weights: The weights files that arms need, by their names as the file writes them.
        claims: What is claimed of the arms, as the plan holds it.
        trackers: Where curves are shown besides the board, in normal form; no part of the plan.
        tuning: `{"trials", "method", "replicates", "metric"}`; no trial, no tuning.
    """

    name: str
    path: Path
    seed: int
    replicates: int
    baseline: str
    alpha: float
    margin: float | None
    equal_margin: float | None
    verdicts: bool
    non_inferiority: float | None
    aa: bool
    together: int
    timing: Mapping[str, Any]
    loader: Mapping[str, Any]
    measure: Mapping[str, Any]
    arms: Mapping[str, SuiteArm]
    plugins: Mapping[str, Path]
    registry: Registry
    weights: Mapping[str, WeightsFile]
    claims: tuple[Mapping[str, Any], ...] = ()
    trackers: tuple[Mapping[str, Any], ...] = ()
    tuning: Mapping[str, Any] = dataclasses.field(default_factory=dict)

"""The claims of a suite: what somebody says that an arm does, to be held against what it does here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len

from harness.errors import Problem, nearest
from harness.registry.messages import found, join, listed, quote
from harness.registry.parameters import validate_table

UNITS: Mapping[str, str] = {"top1": "points", "images_per_second": "ratio", "peak_memory": "ratio"}
"""By metric, what a claimed effect is told in: a difference in points of test accuracy, or arm / against."""


@dataclass(frozen=True)
class ClaimSettings:
    """One `[[claim]]`.

    Attributes:
        name: What the board calls it.
        source: Who claims it, where, and of what network and data.
        claimed: The effect: points of accuracy with their sign, or a ratio (1.5 for half as much again).
        arm: The arm that it is claimed of; left out only where `testable` says why there is none.
        against: The arm that it is compared with; left out for the baseline.
        metric: What is measured.
        testable: Why it cannot be tested here; left out where it can.
    """

    name: Annotated[str, Len(1, 100)]
    source: Annotated[str, Len(1, 300)]
    claimed: float
    arm: str | None = None
    against: str | None = None
    metric: Literal["top1", "images_per_second", "peak_memory"] = "top1"
    testable: Annotated[str, Len(1, 300)] | None = None


@dataclass(frozen=True)
class _Points:
    """What a claimed number of points may be."""

    claimed: Annotated[float, Interval(ge=-100, le=100)]


@dataclass(frozen=True)
class _Ratio:
    """What a claimed ratio may be."""

    claimed: Annotated[float, Interval(ge=0.001, le=1000)]


_NO_EFFECT = {"points": 0.0, "ratio": 1.0}


def read_claims(
    tables: object, compared: Mapping[str, bool], baseline: str
) -> tuple[tuple[dict[str, Any], ...], list[Problem]]:
    """Return the claims of a suite file as a plan holds them, and everything that is wrong with them.

    Args:
        tables: What stands under `claim` in the file.
        compared: By arm of the suite, whether it is held equal to the baseline.
        baseline: What a claim without `against` is compared with.
    """
    if not isinstance(tables, list):
        return (), [Problem("claim", f"must be a list of tables ([[claim]]), not {found(tables)}")]
    claims: list[dict[str, Any]] = []
    problems: list[Problem] = []
    first: dict[str, str] = {}
    for index, table in enumerate(tables):
        path = join("claim", index)
        if not isinstance(table, Mapping):
            problems.append(Problem(path, f"must be a table, not {found(table)}"))
            continue
        settings, bad = validate_table(ClaimSettings, table, path)
        problems += bad
        if not settings:
            continue
        other = first.setdefault(settings["name"], path)
        if other != path:
            message = f"{quote(settings['name'])} is the name of {other} already; rows are told apart by it"
            problems.append(Problem(f"{path}.name", message))
        problems += _wrong_effect(settings, path)
        problems += _wrong_arms(settings, path, compared, baseline)
        settings["against"] = settings["against"] or (baseline if settings["arm"] else None)
        claims.append({**settings, "unit": UNITS[settings["metric"]]})
    return tuple(claims), problems


def _wrong_effect(claim: Mapping[str, Any], path: str) -> list[Problem]:
    """Return what is wrong with the claimed number, given the unit of its metric."""
    unit = UNITS[claim["metric"]]
    limits = _Points if unit == "points" else _Ratio
    _, problems = validate_table(limits, {"claimed": claim["claimed"]}, path)
    if not problems and claim["claimed"] == _NO_EFFECT[unit]:
        told = "points" if unit == "points" else "a ratio (arm / against)"
        message = f"must claim an effect in {told}; {claim['claimed']:g} is none"
        problems.append(Problem(f"{path}.claimed", message))
    return problems


def _wrong_arms(
    claim: Mapping[str, Any], path: str, compared: Mapping[str, bool], baseline: str
) -> list[Problem]:
    """Return what is wrong with the two arms that a claim names; of the baseline itself others tell."""
    if claim["arm"] is None:
        if claim["testable"]:
            return []
        message = "is missing; only a claim that says why it cannot be tested (testable) has none"
        return [Problem(f"{path}.arm", message)]
    problems = []
    for key in ("arm", "against"):
        name = claim[key]
        if name is None:
            continue
        if name not in compared:
            message = f"there is no arm {quote(name)}{nearest(name, compared)} (arms: {listed(compared)})"
            problems.append(Problem(f"{path}.{key}", message))
        elif not compared[name]:
            message = f"arm {quote(name)} has compared = false: it is not held equal to anything"
            problems.append(Problem(f"{path}.{key}", message))
    if claim["arm"] == (claim["against"] or baseline):
        message = f"is {quote(claim['arm'])}, which is the arm itself; a claim compares two arms"
        problems.append(Problem(f"{path}.against", message))
    return problems

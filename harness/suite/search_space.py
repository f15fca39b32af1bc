"""What a tuned parameter may be: a range, or a list of choices; and how a number in [0, 1) picks from it.

A range is `{ low = 1e-3, high = 1.0, log = true }`, a list a choice. `step` makes a range one of single values; so do
two ends that are whole numbers, for a parameter that takes nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import Problem
from harness.registry.messages import found, join
from harness.registry.parameters import json_schema, parameter_names, validate_table

EDGE = 0.1
"""A winner within this share of a range from one of its ends lies at its edge: the best value may lie beyond."""

_DIGITS = 4
"""Significant digits of a number that is picked from a range: a finer grid than any tuning could tell apart.

A range that is narrow beside its ends has more: a thousandth of its width is always told.
"""

_NARROWEST = 1e-9
"""Width of a range beside its larger end: below it, floating point itself would run out of values."""

_STEP_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: The lower end.
        high: The upper end.
        log: Whether equal ratios are equally likely, instead of equal differences.
        step: Distance of two values that may be picked; None for every number.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers alone."""
        return all(
            isinstance(one, int) for one in (self.low, self.high, 1 if self.step is None else self.step)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the range as JSON."""
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values.

    Attributes:
        values: In the order of the file; each once.
    """

    values: tuple[Any, ...]

    def to_json(self) -> list[Any]:
        """Return the choice as JSON."""
        return list(self.values)


Domain = Range | Choice
Space = Mapping[str, Domain]
"""By key path, what a parameter may be."""


@dataclass(frozen=True)
class _RangeKeys:
    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None


def read_space(table: object, path: str) -> tuple[dict[str, Domain], list[Problem]]:
    """Return a table of key paths, nested or with quoted dots, as domains; and what is wrong with it.

    A table with `low` or `high` is a range, a list a choice, every other table a part of a key path.
    """
    if not isinstance(table, Mapping):
        return {}, [Problem(path, f"must be a table of key paths, not {found(table)}")]
    space: dict[str, Domain] = {}
    problems: list[Problem] = []
    for key_path, value in _leaves(table, ""):
        domain, bad = _domain(value, join(path, key_path))
        problems += bad
        if domain is not None:
            space[key_path] = domain
    return space, problems


def space_schema(reference: str) -> dict[str, Any]:
    """Return the JSON schema of a space; `reference` is where it stands itself."""
    number_range = {**json_schema(_RangeKeys), "description": "both ends belong to it"}
    choice = {"type": "array", "minItems": 2}
    return {
        "type": "object",
        "description": 'by key path ("optimizer.lr", "augmentations.mixup.alpha"), what is tried',
        "additionalProperties": {"anyOf": [number_range, choice, {"$ref": reference}]},
        "propertyNames": {"not": {"enum": ["low", "high"]}},
    }


def _leaves(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        key_path = f"{above}.{key}" if above else key
        if isinstance(value, Mapping) and value and not {"low", "high"} & set(value):
            yield from _leaves(value, key_path)
        else:
            yield key_path, value


def _domain(value: object, path: str) -> tuple[Domain | None, list[Problem]]:
    if isinstance(value, list):
        distinct = [one for index, one in enumerate(value) if not _is_among(one, value[:index])]
        if len(distinct) < 2 or len(distinct) < len(value):
            return None, [
                Problem(path, f"must list two or more values, each once, not {len(distinct)} of them")
            ]
        return Choice(tuple(value)), []
    if not isinstance(value, Mapping):
        message = "must be a range { low = …, high = …, log = true } or a list of choices, not"
        return None, [Problem(path, f"{message} {found(value)}")]
    values, problems = validate_table(_RangeKeys, value, path)
    if problems:
        return None, problems
    one = Range(**{name: values[name] for name in parameter_names(_RangeKeys)})
    message = _unfit_range(one)
    return (None, [Problem(path, message)]) if message else (one, [])


def _is_among(value: Any, others: list[Any]) -> bool:
    """Whether a value is one of others; true and 1 are two values."""
    return any(type(value) is type(other) and value == other for other in others)


def _unfit_range(one: Range) -> str:
    if one.low >= one.high:
        return f"low must be less than high, not {one.low:g} and {one.high:g}"
    if one.log and one.low <= 0:
        return f"low must be more than 0 on a log scale, not {one.low:g}"
    if one.step is None:
        is_narrow = not one.is_whole and _relative_width(one) < _NARROWEST
        return (
            f"low and high are too close to be told apart: {one.low!r} and {one.high!r}" if is_narrow else ""
        )
    if one.log:
        return "a range has log or step, not both; a list of choices can hold any values"
    steps = (one.high - one.low) / one.step if one.step > 0 else 0.0
    if steps < 1 or abs(steps - round(steps)) > _STEP_TOLERANCE * steps:
        return f"high must be a whole number of steps above low, not {steps:g} steps of {one.step:g}"
    return ""


def count_of(domain: Domain) -> int | None:
    """Return how many values a domain has; None where it has every number."""
    if isinstance(domain, Choice):
        return len(domain.values)
    if domain.step is not None:
        return round((domain.high - domain.low) / domain.step) + 1
    return int(domain.high - domain.low) + 1 if domain.is_whole else None


def value_of(domain: Domain, uniform: float) -> Any:
    """Return the value that a number in [0, 1) picks: equal parts of [0, 1) are equal parts of the domain."""
    count = count_of(domain)
    if isinstance(domain, Choice):
        return domain.values[int(uniform * len(domain.values))]
    if count is not None and not domain.log:
        return nth_value(domain, int(uniform * count))
    if domain.is_whole:
        # Each whole number has the share of the log scale from a half below it to a half above.
        low, high = math.log(domain.low - 0.5), math.log(domain.high + 0.5)
        return min(max(round(math.exp(low + uniform * (high - low))), int(domain.low)), int(domain.high))
    low, high = (math.log(one) if domain.log else one for one in (domain.low, domain.high))
    value = low + uniform * (high - low)
    return rounded(domain, math.exp(value) if domain.log else value)


def nth_value(domain: Domain, index: int) -> Any:
    """Return one of the values of a domain that has single ones, from 0."""
    if isinstance(domain, Choice):
        return domain.values[index]
    value = domain.low + index * (1 if domain.step is None else domain.step)
    return value if domain.is_whole else float(f"{value:.12g}")  # 0.1 + 2 * 0.1 is 0.3


def rounded(domain: Range, value: float) -> float:
    """Return a number of a range in few digits, within its ends."""
    digits = max(_DIGITS, math.ceil(-math.log10(_relative_width(domain))) + 3)
    return min(max(float(f"{value:.{digits}g}"), float(domain.low)), float(domain.high))


def _relative_width(one: Range) -> float:
    return (one.high - one.low) / max(abs(one.low), abs(one.high))


def ends_of(domain: Domain) -> tuple[Any, ...]:
    """Return the values that a parameter has to take for all of the domain to be right: both ends, or each choice."""
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)


def holds(domain: Domain, value: object) -> bool:
    """Return whether a value is one that the domain could give, digits aside."""
    if isinstance(domain, Choice):
        return _is_among(value, list(domain.values))
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not domain.low <= value <= domain.high
    ):
        return False
    if count_of(domain) is None:
        return True
    steps = (value - domain.low) / (1 if domain.step is None else domain.step)
    return abs(steps - round(steps)) <= _STEP_TOLERANCE * max(1.0, steps)


def position_of(domain: Domain, value: object) -> float | None:
    """Return where a value lies in its domain, 0 at the low end and 1 at the high one, by the domain's own scale.

    Numbers of a list count by their order. None where nothing is an end: words, fewer than three values.
    """
    count = count_of(domain)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (count is not None and count < 3):
        return None
    if isinstance(domain, Choice):
        if any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in domain.values):
            return None
        below = sum(one < value for one in domain.values)
        return float(below / (len(domain.values) - 1))
    if not domain.log:
        return float((value - domain.low) / (domain.high - domain.low))
    if value <= 0:
        return 0.0
    return math.log(value / domain.low) / math.log(domain.high / domain.low)


def beyond(domain: Domain, value: object) -> int | float | None:
    """Return a number just past the end at whose edge a value lies; None where it lies at no edge."""
    position = position_of(domain, value)
    if position is None or EDGE < position < 1 - EDGE:
        return None
    low, high = min(ends_of(domain)), max(ends_of(domain))
    is_low = position <= EDGE
    if isinstance(low, int) and isinstance(high, int):
        return low - 1 if is_low else high + 1
    if isinstance(domain, Range) and domain.log:
        return float(low / 2 if is_low else high * 2)
    gap = (high - low) / 10
    return float(low - gap if is_low else high + gap)

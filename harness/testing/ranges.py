"""Values beyond a component's bounds, made from the JSON schema of its parameters, and whether they are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.registry.registry import Registry

STEPS = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}
"""By bound of the JSON schema, how far beyond it a value is that has to be refused."""


@dataclass(frozen=True, slots=True)
class RefusedValue:
    """A value that a component has to refuse.

    Attributes:
        name: The parameter's.
        value: What it was given.
        is_named: Whether it was refused with the parameter's name.
        found: What came instead.
    """

    name: str
    value: Any
    is_named: bool
    found: str


def refused_values(
    kind: str, name: str, params: Mapping[str, Any], registry: Registry
) -> Iterator[RefusedValue]:
    """Yield, for every bound, a value beyond it, a value of another type for every parameter, and an unknown parameter.

    Args:
        kind: The component's kind.
        name: Its name in a suite.
        params: Parameters with which it is not refused.
        registry: Where it is.
    """
    schema = registry.parameters_schema(kind, registry.find(kind, name))
    given = [
        (field, value)
        for field, said in schema["properties"].items()
        for value in [*beyond_bounds(said), *_of_another_type(said)]
    ]
    for field, value in [*given, ("no_such_parameter", 1)]:
        _, problems = registry.validate(kind, {"name": name, **params, field: value}, "component")
        named = [problem for problem in problems if f".{field}" in problem.path]
        told = "; ".join(f"{problem.path} {problem.message}" for problem in problems) or "it was taken"
        yield RefusedValue(field, value, bool(named), told)


def beyond_bounds(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Yield a value beyond each bound of a parameter's schema: numbers, lengths, members of lists, words."""
    for choice in schema.get("anyOf", ()):
        yield from _beyond_union(choice, schema["anyOf"])
    if "enum" in schema or "const" in schema:
        yield "no such word"
    for bound, step in STEPS.items():
        if bound in schema:
            whole = schema.get("type") == "integer"
            value = schema[bound] + step
            yield int(value) if whole else float(value)
    if schema.get("type") == "array":
        inner: Mapping[str, Any] = schema.get("items") or next(iter(schema.get("prefixItems", ())), {})
        length = max(1, schema.get("minItems", 1))
        yield from ([value] * length for value in beyond_bounds(inner))
        if schema.get("minItems"):
            yield []
    if schema.get("type") == "string" and schema.get("minLength"):
        yield ""


def _beyond_union(choice: Mapping[str, Any], choices: list[Mapping[str, Any]]) -> Iterator[Any]:
    """Yield what is beyond one choice's bounds and within no other choice."""
    numbers = [one for one in choices if one.get("type") in ("integer", "number")]
    if choice in numbers and len(numbers) > 1:
        return  # what is too large for one may be right for the other
    yield from beyond_bounds(choice)


def _of_another_type(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Yield a text for a number, and a number for a flag or a text."""
    kind = schema.get("type")
    if kind in ("integer", "number"):
        yield "10"
        yield True
    elif kind == "boolean":
        yield 1
    elif kind == "string":
        yield 10


def unbounded_numbers(schema: Mapping[str, Any]) -> list[str]:
    """Return the parameters that are numbers without any bound."""
    found = []
    for field, said in schema["properties"].items():
        choices = [said, *said.get("anyOf", ())]
        numbers = [one for one in choices if one.get("type") in ("integer", "number")]
        if any(not (STEPS.keys() | {"enum", "const"}) & one.keys() for one in numbers):
            found.append(field)
    return found

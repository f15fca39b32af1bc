"""Parameters by key path, as a suite writes them: `optimizer.lr`, `augmentations.mixup.alpha`, `schedule.warmup`.

A component of a list goes by its name (`tricks.sam.rho`), and by its place where the name stands there twice
(`augmentations[1].alpha`); a single optimizer needs no name. What is nested in a component stands under its field
(`augmentations.random-apply.of.alpha`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import Problem
from harness.registry.messages import join
from harness.registry.parameters import nested_kinds
from harness.registry.registry import Registry
from harness.suite.settings import HELD_EQUAL, KIND_OF, SHAPES

SEARCHED = tuple(key for key in KIND_OF if key not in (*HELD_EQUAL, "metrics"))
"""The recipe keys whose parameters an arm may choose for itself: what the protocol holds equal is not among them."""

Recipe = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a parameter stands.

    Attributes:
        key: The recipe's key.
        index: Place in the key's list; None for a single component.
        fields: The way to it from its component, as the suite's table would be nested.
    """

    key: str
    index: int | None
    fields: tuple[str, ...]


def addresses(recipe: Recipe, registry: Registry) -> dict[str, Address]:
    """Return every parameter of a recipe that may be set by key path."""
    found: dict[str, Address] = {}
    for key in SEARCHED:
        for prefix, index, normal in _components(recipe, key):
            for fields in _fields(table_of(KIND_OF[key], normal, registry)):
                found[".".join((prefix, *fields))] = Address(key, index, fields)
    return found


def _components(recipe: Recipe, key: str) -> Iterator[tuple[str, int | None, Mapping[str, Any]]]:
    """Yield the key path, the place and the normal form of the components under a key."""
    if SHAPES[key] == "component":
        yield key, None, recipe[key]
        return
    names = [one["name"] for one in recipe[key]]
    for index, normal in enumerate(recipe[key]):
        if SHAPES[key] == "split" and len(names) == 1:
            yield key, index, normal
        elif names.count(normal["name"]) == 1:
            yield f"{key}.{normal['name']}", index, normal
        else:
            yield join(key, index), index, normal


def _fields(table: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        if key == "name":
            continue
        if isinstance(value, Mapping) and "name" in value:
            yield from ((key, *inner) for inner in _fields(value))
        else:
            yield (key,)


def table_of(kind: str, normal: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """Return a component in normal form as the table that a suite would write, every parameter in it."""
    entry = registry.find(kind, normal["name"])
    inner = nested_kinds(registry.load(entry))
    table: dict[str, Any] = {"name": normal["name"]}
    for field, value in normal["params"].items():
        if field in inner:
            if value is not None:
                table[field] = table_of(inner[field], value, registry)
        elif not (entry.is_family and field == "model"):  # the model is a part of the name
            table[field] = copy.deepcopy(value)
    return table | {key: value for key, value in normal.items() if key not in ("name", "params")}


def read_values(recipe: Recipe, paths: Mapping[str, Address], registry: Registry) -> dict[str, Any]:
    """Return what stands at each key path of a recipe."""
    values = {}
    for path, address in paths.items():
        value: Any = table_of(KIND_OF[address.key], _normal(recipe, address), registry)
        for field in address.fields:
            value = value[field]
        values[path] = value
    return values


def with_values(
    recipe: Recipe, setting: Mapping[str, Any], registry: Registry
) -> tuple[dict[str, Any], list[Problem]]:
    """Return a recipe with other values at key paths that it has, validated as a suite's are; and what is wrong.

    A problem's path is the key path whose value was refused, or that of the component where several together were.
    """
    known = addresses(recipe, registry)
    changed: dict[tuple[str, int | None], dict[str, Any]] = {}
    for path, value in setting.items():
        address = known[path]
        place = (address.key, address.index)
        if place not in changed:
            changed[place] = table_of(KIND_OF[address.key], _normal(recipe, address), registry)
        table = changed[place]
        for field in address.fields[:-1]:
            table = table[field]
        table[address.fields[-1]] = value
    made = dict(recipe)
    problems: list[Problem] = []
    for (key, index), table in changed.items():
        at = next(prefix for prefix, place, _ in _components(recipe, key) if place == index)
        normal, bad = registry.validate(KIND_OF[key], table, at)
        problems += bad
        made[key] = normal if index is None else [*made[key][:index], normal, *made[key][index + 1 :]]
    return made, problems


def _normal(recipe: Recipe, address: Address) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (
        recipe[address.key] if address.index is None else recipe[address.key][address.index]
    )
    return found

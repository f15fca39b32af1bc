"""What a key path of `[grid]` means for an arm, and how its value is set there.

A key path is written as in a suite file: `batch_size`, `optimizer.lr`, `dataset.of.samples`, `numerics.precision`. A
component of a list goes by its name (`tricks.sam.rho`), or by its place (`augmentations[1].alpha`); a single
optimizer needs no name.
"""

from __future__ import annotations

import re

from harness.errors import PluginError
from harness.registry.entry import FIRST_PARTY
from harness.registry.messages import listed, quote, unknown_key
from harness.registry.parameters import CORE_KEYS, nested_kinds, parameter_names
from harness.registry.registry import Registry
from harness.suite.merge import Layer, Node, merge, wrap
from harness.suite.settings import DEFAULTS, KIND_OF, SHAPES, TABLE_CLASSES, BudgetSettings

Parts = tuple[str | int, ...]
"""A key path's parts; a number is a place in a list."""

_PART = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def parts_of(key: str) -> Parts:
    """Return the parts of a key path."""
    return tuple(int(number) if number else word for number, word in _PART.findall(key))


def why_not(layer: Layer, parts: Parts, registry: Registry) -> str:
    """Return why a key path means nothing for an arm; empty where it does, and where that is told elsewhere."""
    key, rest = str(parts[0]), parts[1:]
    if not rest or (key in layer and layer[key].is_bad):
        return ""
    if key == "budget" or key in TABLE_CLASSES:
        names = [*parameter_names(BudgetSettings if key == "budget" else TABLE_CLASSES[key])]
        return "" if len(rest) == 1 and rest[0] in names else unknown_key(_written(rest), names)
    if key not in KIND_OF:
        return f"{quote(key)} has no key {quote(_written(rest))}"
    node = layer.get(key) or wrap(DEFAULTS.get(key), "")
    if SHAPES[key] == "component":
        return _component_reason(node, KIND_OF[key], rest, CORE_KEYS.get(KIND_OF[key], ()), registry)
    index, rest = _element(node, rest, key)
    if index is None:
        names = [_name_of(one) for one in node.value or ()]
        return f"there is no {KIND_OF[key]} {quote(_written(parts[1:2]))} in {key} (there: {listed(names)})"
    if not rest:
        return f"a component of a list is not set as a whole; give values for {key}, each a list"
    return _component_reason(node.value[index], KIND_OF[key], rest, CORE_KEYS.get(KIND_OF[key], ()), registry)


def component_names(layer: Layer, key: str) -> list[str]:
    """Return the names of the components that an arm has in a list; none where what stands there is wrong."""
    node = layer.get(key) or wrap(DEFAULTS.get(key), "")
    return [] if node.is_bad else [name for one in node.value or () if (name := _name_of(one))]


def _component_reason(node: Node, kind: str, parts: Parts, core: tuple[str, ...], registry: Registry) -> str:
    name, key, rest = _name_of(node), str(parts[0]), parts[1:]
    if not name:
        return ""  # is missing, or no name: told where the arm is resolved
    try:
        entry = registry.find(kind, name)
        cls = registry.load(entry)
    except PluginError:
        return ""  # told as well
    allowed = [*core, *(one for one in parameter_names(cls) if not (entry.is_family and one == "model"))]
    if key not in allowed:
        return f"{kind} {quote(name)} has no such parameter: {unknown_key(key, sorted(allowed))}"
    if rest and (inner := nested_kinds(cls).get(key)):
        below = node.value.get(key) if isinstance(node.value, dict) else None
        if below is None:
            return f"{kind} {quote(name)} holds no {inner} under {quote(key)}"
        return _component_reason(below, inner, rest, (), registry)
    return ""


def _element(node: Node, parts: Parts, key: str) -> tuple[int | None, Parts]:
    """Return which element of a list a key path means, None for none, and what is left of the path."""
    items = node.value or []
    if isinstance(parts[0], int):
        return (parts[0] if parts[0] < len(items) else None), parts[1:]
    named = [index for index, one in enumerate(items) if _name_of(one) == parts[0]]
    if len(named) == 1:
        return named[0], parts[1:]
    # A single optimizer needs no name.
    return (0, parts) if SHAPES[key] == "split" and len(items) == 1 else (None, parts)


def _name_of(node: Node) -> str:
    name = node.value if isinstance(node.value, str) else None
    if isinstance(node.value, dict) and "name" in node.value:
        name = node.value["name"].value
    return name.removeprefix(f"{FIRST_PARTY}/") if isinstance(name, str) else ""


def _written(parts: Parts) -> str:
    return "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in parts).removeprefix(".")


def placed(layer: Layer, parts: Parts, value: Node) -> Layer:
    """Return an arm's layer with a value at a key path that means something for it (`why_not` is empty)."""
    key, rest = str(parts[0]), parts[1:]
    if not rest:
        return merge(layer, {key: value})
    if key == "budget":  # one unit in place of another
        return {**layer, key: Node({str(rest[0]): value}, value.path)}
    node = layer.get(key) or wrap(DEFAULTS.get(key, {}), value.path)
    if node.is_bad:
        return layer
    if key in KIND_OF and SHAPES[key] != "component":
        index, rest = _element(node, rest, key)
        items = [_set(one, rest, value) if place == index else one for place, one in enumerate(node.value)]
        return {**layer, key: Node(items, node.path)}
    return {**layer, key: _set(node, rest, value)}


def _set(node: Node, parts: Parts, value: Node) -> Node:
    """Return a table with a value somewhere in it; a component that stands there by its name alone becomes a table."""
    if not parts:
        return value
    table = (
        node.value if isinstance(node.value, dict) else {"name": node} if isinstance(node.value, str) else {}
    )
    key = str(parts[0])
    below = table.get(key) or Node({}, value.path)
    return Node({**table, key: _set(below, parts[1:], value)}, node.path)

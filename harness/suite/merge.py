"""What an arm inherits, and what it changes.

A component table with another name replaces, with the same name merges its keys; a list replaces unless it holds
"...", which stands for what was inherited. Every value remembers where in the file it was written, so that a problem
in an inherited part is told once, at its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import Problem
from harness.registry.messages import found, join, named, split, unknown_key
from harness.suite.settings import KIND_OF, SHAPES

INHERITED = "..."


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file.

    Attributes:
        value: A dict of nodes, a list of nodes, or a plain value.
        path: Where it was written.
        is_bad: Whether a problem with its shape has been told; it then takes part in nothing further.
    """

    value: Any
    path: str
    is_bad: bool = False


Layer = dict[str, Node]
"""A recipe's keys, as far as one table sets them."""


def wrap(value: Any, path: str) -> Node:
    """Return a TOML value with the places of all its parts."""
    if isinstance(value, Mapping):
        return Node({key: wrap(inner, join(path, key)) for key, inner in value.items()}, path)
    if isinstance(value, list):
        return Node([wrap(inner, join(path, index)) for index, inner in enumerate(value)], path)
    return Node(value, path)


def unwrap(node: Node) -> Any:
    """Return the plain value of a node."""
    if isinstance(node.value, dict):
        return {key: unwrap(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [unwrap(inner) for inner in node.value]
    return node.value


def origins(node: Node, at: str) -> dict[str, str]:
    """Return, for each part of a merged value that stands at the key path `at`, where it was written."""
    places = {at: node.path}
    if isinstance(node.value, dict):
        for key, inner in node.value.items():
            places |= origins(inner, join(at, key))
    elif isinstance(node.value, list):
        for index, inner in enumerate(node.value):
            places |= origins(inner, join(at, index))
    return places


def written(path: str, places: Mapping[str, str]) -> str:
    """Return where in the file the key path of a merged value was written, or would have been."""
    tail = ""
    while path and path not in places:
        path, last = split(path)
        tail = last + tail
    return places[path] + tail if path else tail.removeprefix(".")


def read_layer(
    table: Mapping[str, Any], path: str, allowed: tuple[str, ...], *, inherits: bool
) -> tuple[Layer, list[Problem]]:
    """Check the shape of a recipe's or an arm's table.

    Args:
        table: The table.
        path: Its key path.
        allowed: The keys that it may have; those that are no part of a recipe are left out of the layer.
        inherits: Whether "..." has something to stand for.
    """
    layer: Layer = {}
    problems = []
    for key, value in table.items():
        place = join(path, key)
        if key not in allowed:
            problems.append(Problem(place, unknown_key(key, allowed)))
        elif key in SHAPES:
            node, bad = shaped(key, wrap(value, place), inherits=inherits)
            problems += bad
            layer[key] = node
    return layer, problems


def shaped(key: str, node: Node, *, inherits: bool) -> tuple[Node, list[Problem]]:
    """Return the value of a recipe's key in the shape that merging takes, and what is wrong with its shape."""
    shape, kind = SHAPES[key], KIND_OF.get(key, "")
    if shape == "value":
        return node, []
    if shape == "table":
        return (node, []) if isinstance(node.value, dict) else _bad(node, "must be a table, not")
    if shape == "parent":
        return (
            (node, [])
            if isinstance(node.value, dict)
            else _bad(node, "must be a table with arm or file, not")
        )
    if shape == "component":
        return _component(node, kind)
    if shape == "split" and not isinstance(node.value, list):
        one, problems = _component(node, kind)
        return (one if problems else Node([one], node.path)), problems
    if shape == "split" and not node.value:
        return Node(None, node.path, is_bad=True), [
            Problem(node.path, "must name at least one optimizer; the list is empty")
        ]
    return _components(node, kind, inherits)


def _bad(node: Node, message: str) -> tuple[Node, list[Problem]]:
    return Node(None, node.path, is_bad=True), [Problem(node.path, f"{message} {found(unwrap(node))}")]


def _component(node: Node, kind: str) -> tuple[Node, list[Problem]]:
    if isinstance(node.value, str):
        node = Node({"name": node}, node.path)
    if not isinstance(node.value, dict):
        return _bad(node, f"must be {named(kind)} or a table with a name, not")
    name = node.value.get("name")
    if name is None:
        problem = Problem(join(node.path, "name"), f"is missing: {named(kind)}")
        return Node(None, node.path, is_bad=True), [problem]
    return (node, []) if isinstance(name.value, str) else _bad(name, f"must be {named(kind)}, not")


def _components(node: Node, kind: str, inherits: bool) -> tuple[Node, list[Problem]]:
    if not isinstance(node.value, list):
        return _bad(node, f"must be a list of {kind}s, not")
    items: list[Node] = []
    problems: list[Problem] = []
    for item in node.value:
        if item.value != INHERITED:
            one, bad = _component(item, kind)
            problems += bad
            items += (
                [] if bad else [one]
            )  # what is right in the list goes on, so that all its problems are told
        elif not inherits:
            problems.append(
                Problem(item.path, '"..." stands for what an arm inherits; here is nothing to inherit')
            )
        elif any(other.value == INHERITED for other in items):
            problems.append(Problem(item.path, '"..." may stand in a list only once'))
        else:
            items.append(item)
    return Node(items, node.path, is_bad=not items and bool(problems)), problems


def merge(inherited: Layer, own: Layer) -> Layer:
    """Return a layer over another."""
    merged = dict(inherited)
    for key, new in own.items():
        old = inherited.get(key)
        if old is not None and old.is_bad:
            old = None
        merged[key] = new if new.is_bad else _merged(key, old, new)
    return merged


def _merged(key: str, old: Node | None, new: Node) -> Node:
    shape = SHAPES.get(key)
    if shape == "table" or shape == "component":
        return new if old is None else _merged_tables(old, new)
    if shape in ("components", "split"):
        before = [] if old is None else old.value
        if shape == "split" and new.value[0].path == new.path and len(before) == 1:
            return Node(
                [_merged_tables(before[0], new.value[0])], new.path
            )  # one optimizer over one optimizer
        items = [one for item in new.value for one in (before if item.value == INHERITED else [item])]
        return Node(items, new.path)
    return new


def _merged_tables(old: Node, new: Node) -> Node:
    if _name(old) != _name(new):
        return new
    merged = dict(old.value)
    for key, value in new.value.items():
        before = merged.get(key)
        if before is not None and isinstance(before.value, dict) and isinstance(value.value, dict):
            value = _merged_tables(before, value)
        merged[key] = value
    return Node(merged, new.path)


def _name(node: Node) -> object:
    name = node.value.get("name")
    return None if name is None else name.value

"""In what two plans differ, so far as a trial hangs on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MOST = 12
"""Differences that are named; more are counted."""


def unlike_plans(plan: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return why the trials of two plans are not of one study; nothing where they are.

    They are where every arm and replicate that both have is the same trial, by its id, and they have one at least.
    """
    if plan["hash"] == other["hash"]:
        return []
    if plan.get("suite") != other.get("suite"):
        return [f"suite: {plan.get('suite')} there, {other.get('suite')} here"]
    mine, theirs = ({(one["arm"], one["replicate"]): one["id"] for one in p["trials"]} for p in (plan, other))
    arms = sorted({pair[0] for pair in mine.keys() & theirs.keys() if mine[pair] != theirs[pair]})
    if arms:
        reasons = [
            f"{key}: {plan.get(key)} there, {other.get(key)} here"
            for key in ("protocol", "seed", "together")
            if plan.get(key) != other.get(key)
        ]
        reasons += [
            f"arm {arm}: {told}" for arm in arms for told in unlike_arms(_arm(plan, arm), _arm(other, arm))
        ]
        reasons = reasons or [f"arms {', '.join(arms)}: their trials have other ids"]
        return [*reasons[:_MOST], *([f"and {len(reasons) - _MOST} more"] if len(reasons) > _MOST else [])]
    if not set(mine.values()) & set(theirs.values()):
        return ["no trial is in both plans"]
    return []


def unlike_arms(arm: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return in what two arms differ: their recipes by key path, data, salt, and the sources of their components."""
    recipes = (dict(flatten(one.get("recipe") or {})) for one in (arm, other))
    mine, theirs = recipes
    names = _names(arm.get("recipe") or {}, other.get("recipe") or {})
    told = [
        f"{_named(key, names)} is {mine.get(key)!r} there, {theirs.get(key)!r} here"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]
    told += [
        f"{key} is {arm.get(key)!r} there, {other.get(key)!r} here"
        for key in ("data", "salt")
        if (arm.get(key) or None) != (other.get(key) or None)
    ]
    sources, others = (
        {one["full_name"]: one["source_digest"] for one in side.get("components") or ()}
        for side in (arm, other)
    )
    return told + [
        f"the source of {name} is another"
        for name in sorted(sources.keys() & others.keys())
        if sources[name] != others[name]
    ]


def _names(recipe: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """Return what components of lists are called: `optimizer.adamw` for `optimizer[1]`; a lone optimizer is the one.

    By the name of the first recipe, or where it has fewer of the second's; by place where a name stands twice.
    """
    found: dict[str, str] = {}
    for key in recipe.keys() | other.keys():
        lists = [side.get(key) for side in (recipe, other)]
        sides = [[_name(one) for one in side] if isinstance(side, list) else [] for side in lists]
        names = [*sides[0], *sides[1][len(sides[0]) :]]
        if key == "optimizer" and len(names) < 2:
            continue
        found |= {
            f"{key}[{place}]": f"{key}.{name}"
            for place, name in enumerate(names)
            if name and names.count(name) == 1
        }
    return found


def _name(component: Any) -> str:
    return str(component.get("name") or "") if isinstance(component, Mapping) else ""


def _named(path: str, names: Mapping[str, str]) -> str:
    """Return a key path with the name of the component that it begins with, in place of its number."""
    start, bracket, rest = path.partition("]")
    return names.get(start + bracket, start + bracket) + rest


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of JSON with their key paths: `tricks[0].params.alpha`."""
    if isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from flatten(entry, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and value:
        for number, entry in enumerate(value):
            yield from flatten(entry, f"{path}[{number}]")
    else:
        yield path, value


def _arm(plan: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((arm for arm in plan.get("arms", ()) if arm["name"] == name), {})

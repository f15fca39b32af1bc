"""From a merged table to a recipe in normal form, with every default filled in."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from harness.contract import EXCLUSIVE_STAGES
from harness.errors import Problem
from harness.registry.messages import found, join, named, quote
from harness.registry.parameters import validate_table
from harness.registry.registry import Registry
from harness.suite.merge import Layer, Node, origins, unwrap, wrap, written
from harness.suite.parents import parent_of, role_problems
from harness.suite.settings import (
    DEFAULTS,
    KIND_OF,
    ROLES,
    SHAPES,
    TABLE_CLASSES,
    BudgetSettings,
    ValueSettings,
)

SELECTORS = ("all", "rest", "matrices", "filters", "vectors")
"""The words that pick parameters for an optimizer; anything else is a glob over their names."""


def resolve(layer: Layer, registry: Registry) -> tuple[dict[str, Any], list[Problem]]:
    """Return the normal form of an arm's merged layer, and all that is wrong with it.

    Problems have the key paths at which their cause was written. Where there is one, the recipe is not whole.
    """
    places: dict[str, str] = {}
    nodes: Layer = {}
    for key in (*SHAPES, "budget"):
        node = layer.get(key) or (_default(key) if key in DEFAULTS else None)
        if node is not None:
            nodes[key] = node
            places |= origins(node, key)
    recipe: dict[str, Any] = {}
    problems: list[Problem] = []
    for key in (*SHAPES, "budget"):
        given = nodes.get(key)
        if given is None and key in (*KIND_OF, "budget"):
            problems.append(_missing(key))
        elif (given is None and key not in ROLES) or (given is not None and not given.is_bad):
            recipe[key], bad = _resolved(key, None if given is None else unwrap(given), registry)
            problems += bad
    parents = {role: recipe.pop(role) for role in ROLES if role in recipe}
    if parents:
        recipe["parents"] = parents
    if "optimizer" in nodes and not nodes["optimizer"].is_bad:
        problems += _selector_problems(unwrap(nodes["optimizer"]))
    if not problems and not any(node.is_bad for node in nodes.values()):
        problems += _repeated(recipe["metrics"]) + incompatible(recipe, registry)
        problems += role_problems(recipe, registry) + _unobserved(recipe, registry)
    located = [type(one)(written(one.path, places), one.message) for one in problems]
    return recipe, located


def _default(key: str) -> Node:
    value = DEFAULTS[key]
    return wrap({"name": value} if isinstance(value, str) else value, f"recipe.{key}")


def _missing(key: str) -> Problem:
    if key == "budget":
        return Problem("budget", "is missing: one of epochs, steps, samples or seconds")
    return Problem(f"recipe.{key}", f"is missing: {named(KIND_OF[key])}, or a table with a name")


def _resolved(key: str, value: Any, registry: Registry) -> tuple[Any, list[Problem]]:
    if key == "budget":
        return budget_of(value, key)
    if SHAPES[key] == "parent":
        return parent_of(value, key)
    if SHAPES[key] == "value":
        values, bad = validate_table(ValueSettings, {} if value is None else {key: value}, "")
        return values.get(key), bad
    if SHAPES[key] == "table":
        return validate_table(TABLE_CLASSES[key], {} if value is None else value, key)
    kind = KIND_OF[key]
    if SHAPES[key] == "component":
        return registry.validate(kind, value, key)
    pairs = [registry.validate(kind, one, join(key, index)) for index, one in enumerate(value)]
    return [normal for normal, _ in pairs], [one for _, bad in pairs for one in bad]


def budget_of(table: object, path: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return a budget as `{"unit", "amount"}`."""
    if not isinstance(table, Mapping):
        return {}, [
            Problem(
                path, f"must be a table with one of epochs, steps, samples or seconds, not {found(table)}"
            )
        ]
    values, bad = validate_table(BudgetSettings, table, path)
    if bad:
        return {}, bad
    set_units = [(unit, amount) for unit, amount in values.items() if amount is not None]
    if len(set_units) != 1:
        told = " and ".join(unit for unit, _ in set_units) or "none"
        return {}, [Problem(path, f"must set exactly one of epochs, steps, samples and seconds, not {told}")]
    unit, amount = set_units[0]
    return {"unit": unit, "amount": int(amount) if amount == int(amount) else amount}, []


def _selector_problems(optimizers: list[dict[str, Any]]) -> list[Problem]:
    problems = []
    selectors = [one.get("parameters", "all") for one in optimizers]
    for index, selector in enumerate(selectors):
        if not isinstance(selector, str):
            continue  # told by the check of the optimizer
        path = f"optimizer[{index}].parameters"
        close = difflib.get_close_matches(selector, SELECTORS, n=1, cutoff=0.75)
        is_word = selector.isalpha()  # a glob has a star, a parameter's name a dot or an underscore
        if is_word and selector not in SELECTORS and close:
            problems.append(Problem(path, f'unknown selector {quote(selector)}; did you mean "{close[0]}"?'))
        if selector in ("all", "rest") and selector in selectors[:index]:
            problems.append(Problem(path, f'"{selector}" stands for more than one optimizer'))
        elif selector == "all" and len(selectors) > 1:
            problems.append(
                Problem(
                    path,
                    'must be a part of the parameters, not "all", where there are other optimizers; '
                    '"rest" is what they leave',
                )
            )
    return problems


def _repeated(metrics: list[dict[str, Any]]) -> list[Problem]:
    names = [one["name"] for one in metrics]
    return [
        Problem(
            f"metrics[{i}]", f"{quote(name)} is listed twice; a record holds one value under a metric's name"
        )
        for i, name in enumerate(names)
        if name in names[:i]
    ]


def _unobserved(recipe: Mapping[str, Any], registry: Registry) -> list[Problem]:
    name = recipe["schedule"]["name"]
    schedule: Any = registry.load(registry.find("schedule", name))
    if not schedule.observes or recipe["dataset"]["validation"]:
        return []
    message = (
        f"must be above 0 for schedule {quote(name)}, which goes by the validation loss; give it a share of the "
        "training data, or take another schedule"
    )
    return [Problem("dataset.validation", message)]


def incompatible(recipe: Mapping[str, Any], registry: Registry) -> list[Problem]:
    """Return why components of one recipe cannot go together: tags, and stages that hold one at the most.

    Of a component that wraps another, the tags and the stage are those of the innermost.
    """
    members = [
        (f"{key}[{index}]", normal["name"], registry.role(KIND_OF[key], normal))
        for key in ("augmentations", "tricks")
        for index, normal in enumerate(recipe[key])
    ]
    problems = []
    for index, (path, name, cls) in enumerate(members):
        others = members[:index] + members[index + 1 :]
        for tag in sorted(cls.conflicts):
            for _, other, other_cls in others:
                if tag in other_cls.provides:
                    message = f"{quote(name)} cannot go together with {quote(other)}: it conflicts with {quote(tag)}"
                    problems.append(Problem(path, message))
        for tag in sorted(cls.requires):
            if not any(tag in other_cls.provides for _, _, other_cls in others):
                problems.append(
                    Problem(
                        path, f"{quote(name)} requires {quote(tag)}, which nothing in the recipe provides"
                    )
                )
        stage = cls.stage
        same = next((other for _, other, o in members[:index] if o.stage == stage), None)
        if stage in EXCLUSIVE_STAGES and same is not None:
            message = f"{quote(name)} cannot go together with {quote(same)}: stage {stage.name} holds one at the most"
            problems.append(Problem(path, message))
    return problems

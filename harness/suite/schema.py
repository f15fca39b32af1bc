"""JSON schema of suite files, with the installed components in it, so that editors complete names and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.contract import KINDS
from harness.errors import PluginError
from harness.registry.entry import Entry
from harness.registry.parameters import json_schema, nested_kinds
from harness.registry.registry import Registry
from harness.suite.claims import ClaimSettings
from harness.suite.merge import INHERITED
from harness.suite.search_space import space_schema
from harness.suite.settings import (
    HELD_EQUAL,
    KIND_OF,
    SHAPES,
    TABLE_CLASSES,
    TOP_TABLES,
    BudgetSettings,
    ParentSettings,
    SuiteSettings,
    TuningSettings,
    ValueSettings,
)

_NAME = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
_UNITS = ("epochs", "steps", "samples", "seconds")


def suite_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a suite file, with every component of `registry` in it.

    What needs more than one place of the file at once is left to `load`: merging, `varies`, conflicts. A component's
    parameters are therefore never required here: an arm may inherit them. A component that cannot be loaded is
    named without its parameters.
    """
    definitions: dict[str, Any] = {}
    for kind in KINDS:
        _define_kind(registry, kind, definitions)
    definitions["budget"] = _budget()
    recipe = {key: _recipe_key(key, shape) for key, shape in SHAPES.items()}
    definitions["recipe"] = _table(recipe)
    arm = {
        **recipe,
        "budget": {"$ref": "#/$defs/budget"},
        "extends": {"type": "string", "description": "the arm that this one starts from"},
        "varies": {
            "type": "array",
            "items": {"type": "string", "pattern": f"^({'|'.join(HELD_EQUAL)})(\\..+)?$"},
            "minItems": 1,
            "description": "what this arm changes although the protocol holds it equal",
        },
        "compared": {
            "type": "boolean",
            "description": "false: trained and shown, but neither ranked nor tested, nor held equal to the baseline",
        },
    }
    definitions["space"] = space_schema("#/$defs/space")
    arm["tuning"] = {"$ref": "#/$defs/space"}
    definitions["arm"] = _table(arm)
    top = json_schema(SuiteSettings)
    top["properties"] |= {
        "name": _NAME,
        "baseline": {**_NAME, "description": "the arm that the others are compared with"},
        "budget": {"$ref": "#/$defs/budget"},
        "recipe": {"$ref": "#/$defs/recipe", "description": "what every arm starts from"},
        "arms": {
            "type": "object",
            "propertyNames": _NAME,
            "additionalProperties": {"$ref": "#/$defs/arm"},
            "minProperties": 1,
        },
        "grid": _grid(recipe),
        **{name: json_schema(settings) for name, settings in TOP_TABLES.items()},
        "tuning": _tuning(),
        "claim": {"type": "array", "items": json_schema(ClaimSettings)},
        "trackers": {"type": "array", "items": {"$ref": "#/$defs/tracker"}},
    }
    top["required"] = [*top.get("required", []), "arms"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "harness suite",
        **_without_null(top),
        "$defs": _without_null(definitions),
    }


def _table(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _grid(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of `[grid]`: of a whole key the values are known, of a key path only that it is a list."""
    values = {"type": "array", "minItems": 1, "uniqueItems": True}
    inner = {"anyOf": [values, {"type": "object"}]}
    keys = {**recipe, "budget": {"$ref": "#/$defs/budget"}}
    own = {key: {"anyOf": [{**values, "items": one}, {"type": "object"}]} for key, one in keys.items()}
    return {
        "type": "object",
        "description": "key paths and their values: every arm runs in every combination",
        "properties": own,
        "patternProperties": {f"^({'|'.join(keys)})[.\\[].+$": inner},
        "additionalProperties": False,
    }


def _recipe_key(key: str, shape: str) -> dict[str, Any]:
    if shape == "value":
        value: dict[str, Any] = json_schema(ValueSettings)["properties"][key]
        return value
    if shape == "table":
        return json_schema(TABLE_CLASSES[key])
    if shape == "parent":
        return {**json_schema(ParentSettings), "oneOf": [{"required": ["arm"]}, {"required": ["file"]}]}
    one = {"$ref": f"#/$defs/{KIND_OF[key]}"}
    if shape == "component":
        return one
    items = {"type": "array", "items": {"anyOf": [one, {"const": INHERITED}]}}
    return items if shape == "components" else {"anyOf": [one, {**items, "minItems": 1}]}


def _tuning() -> dict[str, Any]:
    table = json_schema(TuningSettings)
    table["properties"]["space"] = {"$ref": "#/$defs/space", "description": "what is searched in every arm"}
    return table


def _budget() -> dict[str, Any]:
    return {**json_schema(BudgetSettings), "oneOf": [{"required": [unit]} for unit in _UNITS]}


def _define_kind(registry: Registry, kind: str, definitions: dict[str, Any]) -> None:
    tables = []
    names: list[dict[str, Any]] = []
    for entry in registry.entries(kind):
        name = _name_schema(entry)
        names.append({**name, "description": entry.summary})
        label = f"{kind}/{entry.full_name}".replace("/", ".")
        try:
            table = registry.parameters_schema(kind, entry, f"#/$defs/{label}.{{model}}")
            nested = nested_kinds(registry.load(entry))
        except PluginError:
            table, nested = {"type": "object", "properties": {}}, {}
        for model, inner in table.pop("$defs", {}).items():
            definitions[f"{label}.{model}"] = inner
        definitions[label] = {
            **table,
            "description": entry.summary,
            "properties": {"name": name, **table["properties"], **_references(nested)},
            "required": ["name"],
        }
        tables.append({"$ref": f"#/$defs/{label}"})
    # No component of a kind: then nothing that names one is right.
    definitions[kind] = {"anyOf": [*names, *tables]} if tables else {"not": {}}


def _name_schema(entry: Entry) -> dict[str, Any]:
    return (
        {"type": "string", "pattern": f"^{entry.full_name}.+$"}
        if entry.is_family
        else {"const": entry.full_name}
    )


def _references(nested: Mapping[str, str]) -> dict[str, Any]:
    return {field: {"$ref": f"#/$defs/{kind}"} for field, kind in nested.items()}


def _without_null(schema: Any) -> Any:
    """Return a schema without `null`, which TOML cannot say: "left out" is the word for it."""
    if isinstance(schema, list):
        return [_without_null(one) for one in schema if one != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _without_null(value) for key, value in schema.items() if not (key == "default" and value is None)
    }
    if set(kept) >= {"anyOf"} and isinstance(kept["anyOf"], list) and len(kept["anyOf"]) == 1:
        only = kept.pop("anyOf")[0]
        return {**only, **kept}
    return kept

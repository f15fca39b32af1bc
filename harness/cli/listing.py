"""`harness list`, `show` and `schema`: what there is, without importing torch."""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.docs import WIDTH, papers_in, slots_of, take_apart
from harness.cli.effect_words import effect_lines, model_line
from harness.cli.output import complain, say, say_json
from harness.contract import KINDS
from harness.errors import HarnessError, PluginError, nearest
from harness.registry.discovery import discover
from harness.registry.registry import Registry

if TYPE_CHECKING:
    from harness.registry.entry import Entry


_CORE_KEYS = {
    "validation": "Share of the training split that is held out, by class; the harness's own key.",
    "normalization": "{ mean = [...], std = [...] } in shares of full scale; else the training split's own.",
    "parameters": "Which of the model's: all, rest, matrices, filters, vectors, or a glob over names.",
    "warmup": "Share of the budget in which the rate rises linearly to the schedule's first.",
}
"""What the keys mean that the harness reads itself."""


def installed(files: Sequence[Path] = ()) -> Registry:
    """Return the registry of what is installed and of what `files` offer."""
    return discover(files, allow=os.environ.get("HARNESS_PLUGINS"))


def list_entries(kind: str | None, as_json: bool) -> int:
    """List the entries of a kind, or all of them."""
    kinds = [*KINDS, "plugin"]
    if kind is not None and kind.removesuffix("s") in kinds:
        kind = kind.removesuffix("s")
    if kind is not None and kind not in kinds:
        raise HarnessError(f'there is no kind "{kind}"{nearest(kind, kinds)} (kinds: {", ".join(kinds)})')
    entries = installed().entries(kind)
    if as_json:
        say_json([_row(entry) for entry in entries])
        return 0
    width = max((len(entry.full_name) for entry in entries), default=0)
    last = None
    for entry in entries:
        if entry.kind != last:
            say(f"{entry.kind}" if last is None else f"\n{entry.kind}")
            last = entry.kind
        broken = "" if entry.status == "ok" else "BROKEN: "
        say(f"  {entry.full_name:<{width}}  {broken}{entry.summary}")
        if entry.error:
            say(textwrap.indent(entry.error.rstrip(), "      "))
    return 0


def _row(entry: Entry) -> dict[str, Any]:
    row = {
        "kind": entry.kind,
        "name": entry.full_name,
        "source": entry.source,
        "status": entry.status,
        "summary": entry.summary,
    }
    return {**row, "error": entry.error} if entry.error else row


def show(name: str, file: Path | None, results: Path, as_json: bool) -> int:
    """Show every component of that name, whatever its kind."""
    registry = installed([file] if file is not None else [])
    found = [entry for kind in KINDS for entry in _of_name(registry, kind, name)]
    if not found:
        broken = [entry for entry in registry.entries("plugin") if entry.full_name == name]
        if broken:
            raise PluginError(f"{name} cannot be loaded:\n{broken[0].error or broken[0].summary}")
        names = [entry.full_name for entry in registry.entries()]
        raise PluginError(
            f'there is no component "{name}"{nearest(name, names)} (harness list shows them all)'
        )
    described = [_described(registry, entry, name, results) for entry in found]
    if as_json:
        say_json(described)
        return 0
    if len(found) > 1:
        several = "may be of several kinds" if found[0].is_family else "is the name of several"
        complain(f"{name} {several}: {', '.join(entry.kind for entry in found)}")
    say("\n\n".join(_page(one) for one in described))
    return 0


def _of_name(registry: Registry, kind: str, name: str) -> list[Entry]:
    try:
        return [registry.find(kind, name)]
    except PluginError:
        return []


def _described(registry: Registry, entry: Entry, asked: str, results: Path) -> dict[str, Any]:
    from harness.cli.effect import newest_effects  # pydantic: a fifth of a second, which `list` does not have

    name = entry.full_name + (asked.partition(":")[2] if entry.is_family else "")
    loaded = registry.load(entry)
    module = inspect.getmodule(loaded)
    stage = getattr(loaded, "stage", None)
    docstrings = [text for text in (inspect.getdoc(module) if module else None, loaded.__doc__) if text]
    schema = registry.parameters_schema(entry.kind, entry)
    told = take_apart("\n\n".join(inspect.cleandoc(text) for text in docstrings))
    return {
        **_row(entry),
        "name": name,
        "family": entry.full_name if entry.is_family else None,
        "version": entry.version,
        "doc": told.text,
        "papers": told.papers or list(papers_in(entry.summary)),
        "not_for": told.not_for,
        "parameters": _parameters(schema.get("properties", {}), told.parameters),
        "required": schema.get("required", []),
        "stage": stage.name if stage is not None else None,
        "placement": getattr(loaded, "placement", None),
        "slots": slots_of(loaded) if entry.kind == "trick" else None,
        **{tag: sorted(getattr(loaded, tag, ())) for tag in ("provides", "conflicts", "requires")},
        "identity": getattr(loaded, "identity", None) and dict(loaded.identity),  # type: ignore[attr-defined]
        "observable": getattr(loaded, "observable", None) or None,
        "unit": getattr(loaded, "unit", None) or None,
        "preload": list(entry.preload),
        "effects": newest_effects(results, entry.kind, name),
    }


def _parameters(schemas: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    """Return the schemas of parameters, each with what the docstring says of it."""
    known = {**_CORE_KEYS, **told}
    return {
        name: {"description": known[name], **schema} if name in known else schema
        for name, schema in schemas.items()
    }


def _page(one: Mapping[str, Any]) -> str:
    model = one["name"].removeprefix(one["family"] or one["name"])
    is_sure = not model or one["effects"]  # what was measured is there
    lines = [
        f"{one['kind']} {one['name']}: {one['summary']}",
        *([] if is_sure else [model_line(one["family"], one["kind"], model)]),
        "",
        one["doc"],
        "",
    ]
    for heading, entries in (("Paper", one["papers"]), ("When not to use it", one["not_for"])):
        if entries:
            lines += [
                f"{heading}:",
                *(textwrap.indent(textwrap.fill(entry, WIDTH), "  ") for entry in entries),
                "",
            ]
    lines += [*_parameter_lines(one), ""]
    if one["slots"] is not None:
        lines.append(f"Slots: {', '.join(one['slots']) or 'none'}")
    for key in ("stage", "placement", "unit", "observable"):
        if one[key]:
            lines.append(f"{key.capitalize()}: {one[key]}")
    for tag in ("provides", "conflicts", "requires"):
        if one[tag]:
            lines.append(f"{tag.capitalize()}: {', '.join(one[tag])}")
    if one["identity"] is not None:
        parameters = ", ".join(f"{key} = {value}" for key, value in one["identity"].items())
        lines.append(f"Does nothing, bit for bit, at: {parameters or 'its defaults'}")
    lines.append(f"From: {one['source']}" + (f" {one['version']}" if one["version"] else ""))
    return "\n".join([*lines, *effect_lines(one["effects"], one["name"])])


def _parameter_lines(one: Mapping[str, Any]) -> list[str]:
    if not one["parameters"]:
        return ["It takes no parameters."]
    width = max(len(name) for name in one["parameters"])
    lines = ["Parameters:"]
    for name, schema in one["parameters"].items():
        told = {key: value for key, value in schema.items() if key != "description"}
        lines.append(f"  {name:<{width}}  {parameter_text(told, is_required=name in one['required'])}")
        if description := schema.get("description"):
            lines.append(
                textwrap.indent(textwrap.fill(str(description), WIDTH - width - 6), " " * (width + 6))
            )
    return lines


def parameter_text(schema: Mapping[str, Any], *, is_required: bool) -> str:
    """Return a parameter's type, range and default in words: `number, 0 to 1, default 0.1`."""
    parts = [_type_text(schema)]
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None:
        parts.append(f"above {low}" if "exclusiveMinimum" in schema else f"at least {low}")
    if high is not None:
        parts.append(f"below {high}" if "exclusiveMaximum" in schema else f"at most {high}")
    if is_required:
        parts.append("required")
    elif "default" in schema:
        parts.append(f"default {schema['default']!r}" if schema["default"] is not None else "default: none")
    if schema.get("description"):
        parts.append(str(schema["description"]))
    return ", ".join(part for part in parts if part)


def _type_text(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(repr(value) for value in schema["enum"])
    if "const" in schema:
        return repr(schema["const"])
    if "anyOf" in schema:
        return " or ".join(
            parameter_text({k: v for k, v in part.items() if k != "default"}, is_required=False)
            for part in schema["anyOf"]
            if part.get("type") != "null"
        )
    kind = schema.get("type", "")
    if kind == "array":
        inner = schema.get("items") or {}
        return f"list of {_type_text(inner)}" if inner else "list"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def schema() -> int:
    """Print the JSON schema of suite files with what is installed."""
    from harness.suite.schema import suite_schema

    say_json(suite_schema(installed()))
    return 0

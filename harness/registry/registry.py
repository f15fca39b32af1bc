"""The registry: finds a component by its name, checks its table, builds it, says where it came from."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pluggy

from harness.contract import KINDS
from harness.errors import PluginError, Problem, nearest
from harness.registry.classes import load_class
from harness.registry.entry import FIRST_PARTY, Entry
from harness.registry.hooks import Hooks
from harness.registry.messages import found, join, named, quote, reason
from harness.registry.parameters import (
    CORE_CLASSES,
    CORE_KEYS,
    core_schema,
    json_schema,
    nested_kinds,
    parameter_names,
    typed_values,
    validate_core,
    validate_table,
)
from harness.registry.source_digests import source_digest


@dataclasses.dataclass(frozen=True, slots=True)
class Unresolved(Problem):
    """A component that is not there or cannot be loaded: what `--keep-going` turns into a failed row."""


class Registry:
    """What is installed, and what a suite's own files offer.

    Attributes:
        hooks: Calls `harness_suite_started`, `harness_trial_finished` and `harness_board_built` of every plugin.
    """

    def __init__(
        self, entries: Sequence[Entry], manager: pluggy.PluginManager, *, allow: str | None = None
    ) -> None:
        self.hooks = Hooks(manager)
        self._entries = sorted(
            entries, key=lambda e: (list(KINDS).index(e.kind) if e.kind in KINDS else 99, e.full_name)
        )
        self._by_name = {(e.kind, e.full_name): e for e in self._entries if e.status == "ok"}
        self._classes: dict[tuple[str, str], type] = {}
        self._digests: dict[tuple[str, str], str] = {}
        self._allow = allow

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return what is offered, in the order of kinds and names; broken plugins last, of kind "plugin"."""
        return [entry for entry in self._entries if kind is None or entry.kind == kind]

    def find(self, kind: str, name: str) -> Entry:
        """Return the entry of a component; `timm:resnet18` finds the family `timm:`.

        Raises:
            PluginError: Where there is none, with the nearest name.
        """
        if kind not in KINDS:
            raise PluginError(f"there is no kind {quote(kind)}{nearest(kind, KINDS)}")
        name = name.removeprefix(f"{FIRST_PARTY}/")
        entry = self._by_name.get((kind, name)) or self._by_name.get((kind, name.partition(":")[0] + ":"))
        if entry is not None:
            return entry
        names = [e.full_name for e in self.entries(kind) if e.status == "ok"]
        # A third party's component named without its distribution is the likeliest slip.
        same = next((full for full in names if full.endswith(f"/{name}")), None)
        hint = f'; did you mean "{same}"?' if same else nearest(name, names)
        others = [k for k in KINDS if k != kind and (k, name) in self._by_name]
        if others:
            hint = f"; there is a component of that name of kind {others[0]}"
        if self._allow and self._allow.strip():
            hint += f" (HARNESS_PLUGINS={self._allow} picks what is loaded)"
        broken = [e.name for e in self.entries("plugin")]
        if broken:
            hint += f" (broken plugins: {', '.join(broken)})"
        raise PluginError(f"there is no {kind} {quote(name)}{hint}")

    def load(self, entry: Entry) -> type:
        """Return the component's class, imported and held to its kind's contract.

        Raises:
            PluginError: Where it cannot be imported or is unfit, with the reason.
        """
        key = (entry.kind, entry.full_name)
        if key not in self._classes:
            cls = load_class(entry)
            nested_kinds(cls)
            self._classes[key] = cls
        return self._classes[key]

    def validate(
        self, kind: str, table: object, path: str, *, nested: bool = False
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Check a suite's component and return its normal form, every default filled in.

        Args:
            kind: The kind that is wanted.
            table: A name, or a table with `name` and parameters.
            path: The key path of the table, for problems.
            nested: Whether it stands in another component, where the core reads no keys of its own.

        Returns:
            `{"name", "params", …}` (empty where there are problems), and all the problems.
        """
        if isinstance(table, str):
            table = {"name": table}
        if not isinstance(table, Mapping):
            return {}, [Problem(path, f"must be {named(kind)} or a table with a name, not {found(table)}")]
        name = table.get("name")
        if not isinstance(name, str):
            message = (
                f"must be {named(kind)}, not {found(name)}"
                if "name" in table
                else f"is missing: {named(kind)}"
            )
            return {}, [Problem(join(path, "name"), message)]
        try:
            entry = self.find(kind, name)
            cls = self.load(entry)
            return self._checked(
                entry, cls, {k: v for k, v in table.items() if k != "name"}, name, path, nested
            )
        except PluginError as error:
            return {}, [Unresolved(join(path, "name"), str(error))]

    def _checked(
        self, entry: Entry, cls: type, given: dict[str, Any], name: str, path: str, nested: bool
    ) -> tuple[dict[str, Any], list[Problem]]:
        core_keys = () if nested else CORE_KEYS.get(entry.kind, ())
        problems: list[Problem] = []
        core: dict[str, Any] = {}
        if core_keys:
            core, problems = validate_core(entry.kind, given, path)
        own = {key: value for key, value in given.items() if key not in core_keys}
        full_name = entry.full_name
        if entry.is_family:
            model = name.partition(":")[2]
            full_name += model
            if not model:
                problems.append(
                    Problem(join(path, "name"), f"needs a model after the colon: {quote(name + '…')}")
                )
            if "model" in own:
                problems.append(
                    Problem(
                        join(path, "model"),
                        f"is written into the name: {quote(entry.full_name + str(own['model']))}",
                    )
                )
            own["model"] = model
        inner, inner_problems = self._nested(cls, own, path)
        params, own_problems = validate_table(cls, own, path, also=core_keys)
        problems += inner_problems + own_problems
        if problems:
            return {}, problems
        normal = {"name": full_name, "params": {**params, **inner}, **core}
        try:
            self.build(entry.kind, normal)
        except ValueError as error:
            return {}, [Problem(path, str(error) or reason(error))]
        except PluginError:
            raise
        except Exception as error:
            return {}, [Unresolved(path, f"{entry.kind} {quote(full_name)} cannot be made: {reason(error)}")]
        return normal, []

    def _nested(self, cls: type, own: Mapping[str, Any], path: str) -> tuple[dict[str, Any], list[Problem]]:
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        for field, kind in nested_kinds(cls).items():
            if field in own:
                values[field], bad = self.validate(kind, own[field], join(path, field), nested=True)
                problems += bad
            elif defaults[field] is None:
                values[field] = None
            else:
                problems.append(Problem(join(path, field), f"is missing: the {kind} that it works on"))
        return values, problems

    def build(self, kind: str, normal: Mapping[str, Any]) -> Any:
        """Return an instance of the component that `normal` describes, with those nested in it.

        Raises:
            PluginError: Where it is not there or cannot be loaded.
            ValueError: Where it refuses its parameters.
        """
        cls = self.load(self.find(kind, normal["name"]))
        params = normal["params"]
        values = typed_values(cls, params)
        for field, inner_kind in nested_kinds(cls).items():
            inner = params.get(field)
            values[field] = None if inner is None else self.build(inner_kind, inner)
        return cls(**values)

    def layers(self, kind: str, normal: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the normal forms of a component and of what it wraps (a field `of` of its kind), outermost first."""
        found = [normal]
        while nested_kinds(self.load(self.find(kind, found[-1]["name"]))).get("of") == kind:
            inner = found[-1]["params"].get("of")
            if inner is None:
                break
            found.append(inner)
        return found

    def role(self, kind: str, normal: Mapping[str, Any]) -> Any:
        """Return the class that says where a component stands in the step: that of the innermost that it wraps."""
        return self.load(self.find(kind, self.layers(kind, normal)[-1]["name"]))

    def describe(self, kind: str, normal: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return where a component, and those nested in it, come from.

        Returns:
            `{kind, name, full_name, distribution, version, source_digest}` of each, the outer one first.
        """
        entry = self.find(kind, normal["name"])
        key = (entry.kind, entry.full_name)
        if key not in self._digests:
            self._digests[key] = source_digest(entry)
        own = {
            "kind": kind,
            "name": normal["name"],
            "full_name": f"{entry.distribution}/{entry.name}" if entry.distribution else entry.full_name,
            "distribution": entry.distribution,
            "version": entry.version,
            "source_digest": self._digests[key],
        }
        inner = nested_kinds(self.load(entry))
        below = [
            self.describe(inner[f], normal["params"][f]) for f in inner if normal["params"].get(f) is not None
        ]
        return [own, *(one for many in below for one in many)]

    def parameters_schema(
        self, kind: str, entry: Entry, ref_template: str = "#/$defs/{model}"
    ) -> dict[str, Any]:
        """Return the JSON schema of a component's parameters, as a suite may write them.

        The value of a field that holds a component is a name or a table with a name.

        Raises:
            PluginError: Where the component cannot be loaded.
        """
        cls = self.load(entry)
        schema = json_schema(cls, ref_template)
        nested = nested_kinds(cls)
        if kind in CORE_CLASSES:
            schema["properties"].update(core_schema(kind))
        for field, inner in nested.items():
            schema["properties"][field] = {
                "type": ["string", "object"],
                "description": f"{named(inner)}, or a table with a name",
            }
            if dataclasses.MISSING in [f.default for f in dataclasses.fields(cls) if f.name == field]:
                schema.setdefault("required", []).append(field)
        if entry.is_family:
            schema["properties"].pop("model", None)
            schema["required"] = [name for name in schema.get("required", []) if name != "model"]
        order = [*parameter_names(cls), *CORE_KEYS.get(kind, ())]
        schema["properties"] = {
            key: schema["properties"][key] for key in order if key in schema["properties"]
        }
        return schema

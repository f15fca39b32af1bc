"""From a suite file to arms in normal form, or to everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import Problem, SuiteError, nearest
from harness.registry.discovery import discover
from harness.registry.messages import found, join, listed, printable, quote
from harness.registry.parameters import validate_table
from harness.registry.registry import Registry, Unresolved
from harness.suite.claims import read_claims
from harness.suite.copies import copy_problems
from harness.suite.grid import Cell, CellProblems, equal_cells, own_parents, read_grid
from harness.suite.lines import locate, nearest_place
from harness.suite.merge import Layer, merge, read_layer, wrap
from harness.suite.model import Suite as Suite
from harness.suite.model import SuiteArm as SuiteArm
from harness.suite.parents import find_parents
from harness.suite.plugin_files import broken_plugin_files, find_plugin_files
from harness.suite.read import read_toml
from harness.suite.recipe import resolve
from harness.suite.settings import (
    ARM_KEYS,
    RECIPE_KEYS,
    ROLES,
    TABLES,
    TOP_TABLES,
    ArmSettings,
    SuiteSettings,
    identifier_problem,
)
from harness.suite.target import target_problems
from harness.suite.trackers import read_trackers
from harness.suite.tuning import read_tuning
from harness.suite.varies import differences, unknown_varies, varies_problems


def load(path: Path | str, *, allow: str | None = None, keep_going: bool = False) -> Suite:
    """Read a suite file.

    Args:
        path: The file.
        allow: `HARNESS_PLUGINS`; see `harness.registry.discover`.
        keep_going: Keep an arm whose component is not there or cannot be loaded, with its `failure`.

    Raises:
        SuiteError: With everything that is wrong with the file.
        PluginError: Where `allow` names what is not installed.
    """
    path = Path(path)
    text, document = read_toml(path)
    loading = _Loading(path, document, keep_going)
    suite = loading.suite(allow)
    if loading.problems or suite is None:
        places = locate(text)
        unique = dict.fromkeys(loading.problems)
        placed = [type(one)(one.path, one.message, *nearest_place(places, one.path)) for one in unique]
        raise SuiteError(str(path), sorted(placed, key=lambda one: (one.line, one.column)))
    return suite


class _Loading:
    """One reading of one file: what was found wrong so far."""

    def __init__(self, path: Path, document: Mapping[str, Any], keep_going: bool) -> None:
        self.path = path
        self.document = document
        self.keep_going = keep_going
        self.problems: list[Problem] = []
        self.places: dict[tuple[str, str], str] = {}  # by arm and role, where the parent is written

    def suite(self, allow: str | None) -> Suite | None:
        scalars = {key: value for key, value in self.document.items() if key not in TABLES}
        values = self._checked(SuiteSettings, scalars, "", also=TABLES)
        tables = {
            name: self._checked(settings, self._table(name), name) for name, settings in TOP_TABLES.items()
        }
        for key in ("name", "baseline"):
            self._identifier(self.document.get(key), key)
        plugins, problems = find_plugin_files(self.document.get("plugins"), self.path.parent)
        self.problems += problems
        registry = discover(list(plugins.values()), allow=allow)
        if not self.keep_going:
            self.problems += broken_plugin_files(registry, plugins, self.document.get("plugins", []))
        arms = self._arms(registry)
        recipes = {name: arm.recipe for name, arm in arms.items()}
        weights, problems = find_parents(
            recipes, self.places, {*self._table("arms"), *arms}, self.path.parent, registry
        )
        self.problems += problems
        self.problems += target_problems(tables["measure"].get("target_top1"), recipes)
        baseline, names = self.document.get("baseline"), self._table("arms")
        if isinstance(baseline, str) and names and baseline not in names:
            self._say("baseline", self._no_arm(baseline))
        if isinstance(baseline, str) and values.get("aa"):
            self.problems += copy_problems(baseline, names, 1)
        claims, problems = read_claims(self.document.get("claim", []), self._held_equal(), str(baseline))
        self.problems += problems
        trackers, problems = read_trackers(self.document.get("trackers", []), registry)
        self.problems += problems
        tuning, arms, problems = read_tuning(self.document, arms, values.get("seed", 0), registry)
        self.problems += problems
        if self.problems or not values:
            return None
        values = {key: value for key, value in values.items() if key not in ("schema", "plugins")}
        values |= {**tables, "claims": claims, "trackers": trackers, "tuning": tuning}
        return Suite(**values, path=self.path, arms=arms, plugins=plugins, registry=registry, weights=weights)

    def _say(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def _checked(
        self, cls: type, table: Mapping[str, Any], path: str, also: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        values, problems = validate_table(cls, table, path, also=also)
        self.problems += problems
        return values

    def _table(self, key: str) -> Mapping[str, Any]:
        value = self.document.get(key, {})
        if isinstance(value, Mapping):
            return value
        self._say(key, f"must be a table, not {found(value)}")
        return {}

    def _identifier(self, name: object, path: str) -> None:
        problem = identifier_problem(name) if isinstance(name, str) else ""
        if problem:
            self._say(path, f"{problem}; found {found(name)}")

    def _held_equal(self) -> dict[str, bool]:
        tables = self._table("arms").items()
        return {
            name: not (isinstance(table, Mapping) and table.get("compared") is False)
            for name, table in tables
        }

    def _no_arm(self, name: str) -> str:
        names = self._table("arms")
        return f"there is no arm {quote(name)}{nearest(name, names)} (arms: {listed(names)})"

    def _arms(self, registry: Registry) -> dict[str, SuiteArm]:
        tables = self._table("arms")
        if not tables and isinstance(self.document.get("arms", {}), Mapping):
            self._say("arms", "there is no arm; a suite needs at least one: [arms.plain]")
        recipe, problems = read_layer(self._table("recipe"), "recipe", RECIPE_KEYS, inherits=False)
        self.problems += problems
        if "budget" in self.document:
            recipe["budget"] = wrap(self.document["budget"], "budget")
        own, settings = self._own_layers(tables)
        layers: dict[str, Layer] = {}
        for name in own:
            chain = self._chain(name, own, settings)
            layer = recipe
            for step in reversed(chain or [name]):
                layer = merge(layer, own[step])
            if chain is None:
                self.problems += _own_problems(name, layer, registry)
            else:
                layers[name] = layer
        arms = self._in_cells(layers, settings, registry)
        if arms and all(arm.failure for arm in arms.values()):
            first = next(iter(arms.values()))
            self._say(join("arms", first.name), f"no arm can be resolved; {first.failure}")
        self._check_varies(arms)
        return arms

    def _in_cells(
        self, layers: Mapping[str, Layer], settings: Mapping[str, Mapping[str, Any]], registry: Registry
    ) -> dict[str, SuiteArm]:
        """Return the arms of the file, or every one of them in every cell of the grid."""
        replicates = self.document.get("replicates", SuiteSettings.replicates)
        grid, problems = read_grid(self._table("grid"), layers, replicates, registry)
        self.problems += problems
        arms: dict[str, SuiteArm] = {}
        told = CellProblems()
        recipes: dict[str, list[tuple[Cell, Mapping[str, Any]]]] = {}
        for cell in grid.cells():
            for name, layer in layers.items():
                arm, problems = self._arm(name, cell, cell.over(layer), settings[name], registry)
                told.add(name, problems)
                if arm is not None:
                    arms[arm.name] = arm
                    if not arm.failure:
                        recipes.setdefault(name, []).append((cell, arm.recipe))
        self.problems += told.told(len(layers))
        if not grid.axes:
            return arms
        self.problems += equal_cells(recipes)
        for name, cells in recipes.items():
            for cell, recipe in cells:
                self.problems += own_parents(recipe, name, cell, layers, arms, self.places)
        return arms

    def _own_layers(self, tables: Mapping[str, Any]) -> tuple[dict[str, Layer], dict[str, dict[str, Any]]]:
        layers: dict[str, Layer] = {}
        settings: dict[str, dict[str, Any]] = {}
        for name, table in tables.items():
            path = join("arms", name)
            self._identifier(name, path)
            if not isinstance(table, Mapping):
                self._say(path, f"must be a table, not {found(table)}")
                continue
            layer, problems = read_layer(table, path, ARM_KEYS, inherits=True)
            self.problems += problems
            if "budget" in table:
                layer["budget"] = wrap(table["budget"], join(path, "budget"))
            layers[name] = layer
            beside = {key: table[key] for key in ("extends", "varies", "compared") if key in table}
            settings[name] = self._checked(ArmSettings, beside, path)
            self.problems += unknown_varies(name, settings[name].get("varies") or ())
        return layers, settings

    def _chain(
        self, name: str, own: Mapping[str, Layer], settings: Mapping[str, Mapping[str, Any]]
    ) -> list[str] | None:
        """Return an arm and those it extends, or None where the chain leads nowhere (which is told)."""
        chain = [name]
        while (parent := settings[chain[-1]].get("extends")) is not None:
            path = join(join("arms", chain[-1]), "extends")
            if parent in chain:
                cycle = chain[chain.index(parent) :]
                first = min(cycle, key=list(own).index)  # told once, whichever arm led into it
                turn = cycle.index(first)
                circle = " → ".join([*cycle[turn:], *cycle[:turn], first])
                self._say(
                    join(join("arms", first), "extends"), f"goes round in a circle: {printable(circle)}"
                )
                return None
            if parent not in own:
                if parent not in self._table("arms"):
                    self._say(path, self._no_arm(parent))
                return None
            chain.append(parent)
        return chain

    def _arm(
        self, name: str, cell: Cell, layer: Layer, settings: Mapping[str, Any], registry: Registry
    ) -> tuple[SuiteArm | None, list[Problem]]:
        recipe, problems = resolve(layer, registry)
        self.places |= {(cell.name(name), role): layer[role].path for role in ROLES if role in layer}
        beside: dict[str, Any] = {
            "varies": tuple(settings.get("varies") or ()),
            "compared": settings.get("compared", True),
            "cell": cell.values(),
            "against": "" if cell.is_alone else cell.name(str(self.document.get("baseline"))),
            "plain": name,
        }
        if problems and self.keep_going and all(isinstance(one, Unresolved) for one in problems):
            told = "; ".join(f"{one.path}: {one.message}" for one in problems)
            return SuiteArm(cell.name(name), {}, failure=told, **beside), []
        if problems or any(node.is_bad for node in layer.values()):
            return None, problems
        return SuiteArm(cell.name(name), recipe, **beside), []

    def _check_varies(self, arms: Mapping[str, SuiteArm]) -> None:
        name = str(self.document.get("baseline"))
        if name in arms and not arms[name].failure and not arms[name].compared:
            self._say(f"{join('arms', name)}.compared", "must be true: the baseline is what is compared with")
        for arm in arms.values():
            baseline = arms.get(arm.against or name)
            if baseline is None or baseline.failure:
                continue
            if not arm.compared:
                if arm.varies:
                    message = "an arm with compared = false is not held equal to anything; leave varies out"
                    self._say(f"{join('arms', arm.plain)}.varies", message)
            elif not arm.failure:
                differing = differences(arm.recipe, baseline.recipe)
                self.problems += varies_problems(arm.plain, arm.varies, differing, name)


def _own_problems(name: str, layer: Layer, registry: Registry) -> list[Problem]:
    """Return what is wrong with an arm's own table, where what it extends is not known: it may lack anything."""
    _, problems = resolve(layer, registry)
    own = join("arms", name) + "."
    return [one for one in problems if one.path.startswith(own) and not one.message.startswith("is missing")]

"""Suites as graphs: which trial needs another's model, in what order they can run, and what does not fit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import Problem, nearest
from harness.registry.messages import found, join, listed, printable, quote
from harness.registry.parameters import validate_table
from harness.registry.registry import Registry
from harness.suite.plan import Plan
from harness.suite.settings import KIND_OF, ROLES, ParentSettings
from harness.suite.weights import WeightsFile, check_file, read_weights_file

Recipe = Mapping[str, Any]


def parent_of(table: object, path: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return the normal form of `teacher` or `init`: `{"arm": name}` or `{"file": name}`."""
    if not isinstance(table, Mapping):
        return {}, [Problem(path, f"must be a table with arm or file, not {found(table)}")]
    values, bad = validate_table(ParentSettings, table, path)
    if bad:
        return {}, bad
    given = {key: value for key, value in values.items() if value is not None}
    if len(given) != 1:
        told = " and ".join(given) or "neither"
        return {}, [Problem(path, f"must set exactly one of arm and file, not {told}")]
    return given, []


def role_problems(recipe: Recipe, registry: Registry) -> list[Problem]:
    """Return which roles a component needs and nobody has, and a teacher that no component asks for."""
    given = recipe.get("parents", {})
    problems = []
    for path, name, roles in _asking(recipe, registry):
        for role in sorted(roles - set(given)):
            told = (
                f'needs another trial\'s model: {role} = {{ arm = "…" }} or {role} = {{ file = "….safetensors" }}'
                if role in ROLES
                else f"needs a model in the role {quote(role)}, which no key gives (keys: {', '.join(ROLES)})"
            )
            problems.append(Problem(path, f"{quote(name)} {told}"))
    wanted = wanted_roles(recipe, registry)
    # A start is used by the backbone itself.
    problems += [
        Problem(role, "is used by nothing: no trick of the arm asks for it; add one, or leave it out")
        for role in given
        if role not in wanted and role != "init"
    ]
    return problems


def wanted_roles(recipe: Recipe, registry: Registry) -> set[str]:
    """Return the roles of all models that a recipe's components ask for."""
    return {role for _, _, roles in _asking(recipe, registry) for role in roles}


def _asking(recipe: Recipe, registry: Registry) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield key path, name and roles of every component that may ask for a model."""
    for key in ("augmentations", "tricks"):
        for index, normal in enumerate(recipe[key]):
            cls = registry.load(registry.find(KIND_OF[key], normal["name"]))
            yield join(key, index), normal["name"], getattr(cls, "parents", frozenset())


def parent_arms(recipe: Recipe) -> dict[str, str]:
    """Return, by role, the arms whose models a recipe needs."""
    return {role: one["arm"] for role, one in recipe.get("parents", {}).items() if "arm" in one}


def with_parents(names: Iterable[str], recipes: Mapping[str, Recipe]) -> list[str]:
    """Return arms and all that they need, directly or not, in the order of `recipes`."""
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in recipes and name not in wanted:
            wanted.add(name)
            waiting += parent_arms(recipes[name]).values()
    return [name for name in recipes if name in wanted]


def layers_of(recipes: Mapping[str, Recipe]) -> list[list[str]]:
    """Return the arms in layers: each needs arms of earlier layers alone.

    What is in a circle, or needs one that is, is left out.
    """
    waiting = {name: {*parent_arms(recipe).values()} & recipes.keys() for name, recipe in recipes.items()}
    layers: list[list[str]] = []
    done: set[str] = set()
    while layer := [name for name, needed in waiting.items() if needed <= done]:
        layers.append(layer)
        done.update(layer)
        for name in layer:
            del waiting[name]
    return layers


def find_parents(
    recipes: Mapping[str, Recipe],
    places: Mapping[tuple[str, str], str],
    arms: Collection[str],
    folder: Path,
    registry: Registry,
) -> tuple[dict[str, WeightsFile], list[Problem]]:
    """Look at what the arms of a suite need of others; digests of files go into the recipes.

    Args:
        recipes: By arm, in normal form.
        places: By arm and role, where in the file the parent is written.
        arms: The names of all arms, of those too that could not be resolved.
        folder: What names of files are relative to.
        registry: Knows the backbones.

    Returns:
        The weights files, by their names as the suite writes them, and what is wrong.
    """
    files: dict[str, WeightsFile] = {}
    problems = []
    parents = [
        (n, role, one) for n, recipe in recipes.items() for role, one in recipe.get("parents", {}).items()
    ]
    for name, role, parent in parents:
        place = places[name, role]
        if "arm" in parent:
            if parent["arm"] not in arms:
                close = nearest(parent["arm"], arms)
                message = f"there is no arm {quote(parent['arm'])}{close} (arms: {listed(arms)})"
                problems.append(Problem(join(place, "arm"), message))
            continue
        try:
            file = files.get(parent["file"]) or read_weights_file(folder / parent["file"])
            check_file(role, file, registry)
        except ValueError as error:
            problems.append(Problem(join(place, "file"), str(error)))
        else:
            files[parent["file"]], parent["digest"] = file, file.digest
    for circle in circles(recipes):
        told = " → ".join([*(f"{name} ({role})" for name, role in circle), circle[0][0]])
        problems.append(Problem(places[circle[0]], f"goes round in a circle: {printable(told)}"))
    return files, problems


def circles(recipes: Mapping[str, Recipe]) -> list[list[tuple[str, str]]]:
    """Return the circles in which arms need each other, as (arm, role by which it needs the next), each once."""
    placed = {name for layer in layers_of(recipes) for name in layer}
    seen: set[str] = set()
    found_circles = []
    for start in recipes:
        walk: list[tuple[str, str]] = []
        name = start
        while name not in placed and name not in seen:
            seen.add(name)
            # What is in no layer needs something that is in none either.
            role, parent = next(
                (r, p) for r, p in parent_arms(recipes[name]).items() if p in recipes and p not in placed
            )
            walk.append((name, role))
            name = parent
        names = [one for one, _ in walk]
        if name in names:
            circle = walk[names.index(name) :]
            first = min(range(len(circle)), key=lambda at: list(recipes).index(circle[at][0]))
            found_circles.append([*circle[first:], *circle[:first]])
    return found_circles


def misfit(
    role: str,
    own: Mapping[str, Any],
    classes: Sequence[str],
    shapes: Mapping[str, Sequence[int]],
    whose: str,
) -> str:
    """Return why a model that was trained on other data cannot have a role here, or an empty string.

    Args:
        role: "teacher" or "init".
        own: The manifest of the arm that needs it.
        classes: The classes that the model tells apart.
        shapes: By modality, of what it takes: `image` (C, H, W).
        whose: The model, in words.
    """
    mine = shapes_of(own)
    if role == "init":
        channels, other = (one.get("image", [0])[0] for one in (mine, shapes))
        return (
            ""
            if channels == other
            else f"{whose} takes images of {other} channels, the arm's have {channels}"
        )
    if len(classes) != len(own["classes"]):
        return f"{whose} tells {len(classes)} classes apart, the arm's data has {len(own['classes'])}"
    if list(classes) != list(own["classes"]):
        return f"{whose} tells other classes apart than the arm's data has, or has them in another order"
    for modality in sorted({*mine, *shapes}):
        ours, theirs = ((" × ".join(map(str, one.get(modality, ())))) for one in (mine, shapes))
        if ours != theirs:
            return f"{whose} takes {modality} of {theirs or 'no size'}, the arm's is {ours or 'absent'}"
    return ""


def shapes_of(manifest: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the shape of one sample, by modality."""
    return {modality: list(one["shape"]) for modality, one in manifest["modalities"].items()}


def parent_entry(plan: Plan, name: str) -> dict[str, Any]:
    """Return what a job says of the arm whose model it needs: `{arm, recipe, classes, shapes}`."""
    arm = plan.arm(name)
    manifest = plan.manifests[arm.data or ""]
    return {
        "arm": name,
        "recipe": arm.recipe["backbone"],
        "classes": list(manifest["classes"]),
        "shapes": shapes_of(manifest),
    }

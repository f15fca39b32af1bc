"""What the protocol holds equal, and what an arm says that it varies."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import Problem, nearest
from harness.registry.messages import join, listed, quote
from harness.suite.settings import HELD_EQUAL


def differences(recipe: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the key paths, as a suite writes them, in which two recipes differ where they should not."""
    return [path for key in HELD_EQUAL for path in _differing(recipe[key], other[key], key)]


def _differing(one: Any, other: Any, path: str) -> list[str]:
    if one == other:
        return []
    if path == "budget" or not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return [path]
    if one.get("name") != other.get("name"):
        return [path]  # another component: its parameters are others as well
    paths: list[str] = []
    for key in dict.fromkeys((*one, *other)):
        inner = path if key == "params" else join(path, key)  # in a suite, parameters stand beside the name
        paths += _differing(one.get(key), other.get(key), inner)
    return paths


def varies_problems(
    arm: str, declared: tuple[str, ...], differing: list[str], baseline: str
) -> list[Problem]:
    """Return what an arm changes without saying so, and what it says without changing it."""
    problems = []
    for path in differing:
        if not any(_covers(entry, path) for entry in declared):
            message = (
                f'differs from the baseline "{baseline}", which the protocol holds equal; '
                f'if it has to, the arm says so: varies = ["{path}"]'
            )
            problems.append(Problem(join("arms", arm) + f".{path}", message))
    for index, entry in enumerate(declared):
        if any(_covers(entry, path) for path in differing):
            continue
        if _top(entry) not in HELD_EQUAL:
            continue  # told by unknown_varies
        if differing:
            message = f"{quote(entry)} does not vary; what does: {listed(differing)}"
        else:
            message = f'{quote(entry)} does not vary: it is as in the baseline "{baseline}"'
        problems.append(Problem(join(join("arms", arm) + ".varies", index), message))
    return problems


def unknown_varies(arm: str, declared: Sequence[str]) -> list[Problem]:
    """Return which of an arm's `varies` name nothing that is held equal."""
    return [
        Problem(
            join(join("arms", arm) + ".varies", index),
            f"{quote(entry)} is not held equal{nearest(_top(entry), HELD_EQUAL)} (held equal: {listed(HELD_EQUAL)})",
        )
        for index, entry in enumerate(declared)
        if _top(entry) not in HELD_EQUAL
    ]


def _top(path: str) -> str:
    return path.split(".")[0]


def _covers(entry: str, path: str) -> bool:
    return path == entry or path.startswith(f"{entry}.")

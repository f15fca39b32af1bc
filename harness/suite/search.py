"""The settings of a search, the suite whose trials are the search, and the suite that it leads to.

The first of an arm's K trials is the setting that the suite writes, so that no arm comes out of its tuning worse than
it went in, as far as the validation split tells. Trials of the search carry a salt of their own: their data order,
initialisation and draws are none of the replicates' that the board compares. Among each other they share them, so
that settings are compared like with like.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import Problem, SuiteError
from harness.registry.messages import join, quote
from harness.registry.registry import Registry
from harness.suite.halton import halton
from harness.suite.key_paths import addresses, read_values, with_values
from harness.suite.parents import parent_arms
from harness.suite.search_space import Space, beyond, count_of, ends_of, holds, nth_value, value_of

if TYPE_CHECKING:
    from harness.suite.load import Suite, SuiteArm

SALT = "tuning"
Setting = Mapping[str, Any]
"""By key path, a value."""

_PATIENCE = 64
"""Points of the sequence that are looked at for each new setting, before a finite space is counted through."""


def setting_count(arm: SuiteArm, registry: Registry) -> int | None:
    """Return how many settings there are to try, the arm's own among them; None where there is no end of them."""
    total = 1
    for domain in arm.space.values():
        count = count_of(domain)
        if count is None:
            return None
        total *= count
    own = own_setting(arm, registry)
    return total + any(not holds(domain, own[path]) for path, domain in arm.space.items())


def own_setting(arm: SuiteArm, registry: Registry) -> dict[str, Any]:
    """Return what the suite itself writes at the key paths that an arm searches."""
    known = addresses(arm.recipe, registry)
    return read_values(arm.recipe, {path: known[path] for path in arm.space}, registry)


def quasi_random_settings(arm: SuiteArm, trials: int, seed: int, registry: Registry) -> list[dict[str, Any]]:
    """Return an arm's settings: its own, then points of a sequence that seed, arm and key path decide, each once."""
    settings = [own_setting(arm, registry)]
    while len(settings) < trials:
        settings.append(new_setting(arm, settings, seed))
    return settings


def end_settings(arm: SuiteArm, recipe: Mapping[str, Any], registry: Registry) -> list[dict[str, Any]]:
    """Return the two settings at the ends of all that an arm searches, of lists the first and the last choice.

    One that a component refuses is left out, and so is the arm's own: ends that go together only in part are
    refused where the suite is read, as far as the search comes upon them.

    Args:
        arm: The arm.
        recipe: Its recipe, resolved.
        registry: Knows the components.
    """
    own = own_setting(arm, registry)
    ends = [{path: ends_of(domain)[which] for path, domain in arm.space.items()} for which in (0, -1)]
    return [one for one in ends if one and one != own and not with_values(recipe, one, registry)[1]]


def new_setting(arm: SuiteArm, before: Sequence[Setting], seed: int) -> dict[str, Any]:
    """Return the first setting of an arm's sequence that is none of those before.

    A finite space in which the sequence gives nothing new any longer is counted through; `setting_count` tells
    whether it has one.
    """
    names = [f"{seed}\x00{arm.name}\x00{path}" for path in arm.space]
    for index in range(_PATIENCE * (len(before) + 1)):
        uniforms = halton(index, names)
        setting = {p: value_of(d, u) for (p, d), u in zip(arm.space.items(), uniforms, strict=True)}
        if setting not in before:
            return setting
    values = [[nth_value(d, index) for index in range(count_of(d) or 0)] for d in arm.space.values()]
    every = (dict(zip(arm.space, one, strict=True)) for one in itertools.product(*values))
    return next(one for one in every if one not in before)


def told(setting: Setting) -> str:
    """Return a setting in words: `optimizer.lr = 0.1, schedule.warmup = 0.05`."""
    return ", ".join(f"{path} = {_written(value)}" for path, value in setting.items()) or "its own setting"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        quote(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def trial_name(arm: str, number: int) -> str:
    """Return the name of an arm's trial in the search."""
    return f"{arm}.t{number}"


def search_suite(suite: Suite, settings: Mapping[str, Mapping[int, Setting]]) -> Suite:
    """Return the suite whose trials are a search: an arm for each setting, without verdicts, timings or copies.

    What an arm needs of another is that one's own setting: no search waits for another to end.

    Args:
        suite: The suite.
        settings: By arm and number of the trial, the settings. Arms without any are there for those that need them.

    Raises:
        SuiteError: Where a component refuses a setting.
    """
    arms: dict[str, SuiteArm] = {}
    for name, arm in suite.arms.items():
        # The first is the arm's own setting, whether it is asked for or not: others may need it.
        for number, setting in {0: {}, **settings.get(name, {})}.items():
            recipe = _with_own_parents(set_values(suite, arm, setting))
            made = trial_name(name, number)
            against = trial_name(arm.against, 0) if arm.against else ""
            arms[made] = replace(
                arm, name=made, plain=made, against=against, recipe=recipe, salt=SALT, space={}
            )
    return replace(
        suite,
        arms=arms,
        baseline=trial_name(suite.baseline, 0),
        replicates=int(suite.tuning["replicates"]),
        verdicts=False,
        aa=False,
        claims=(),
        timing={**suite.timing, "rounds": 0},
        tuning={},
    )


def _with_own_parents(recipe: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(recipe)
    if named := parent_arms(recipe):
        parents = {role: {"arm": trial_name(name, 0)} for role, name in named.items()}
        made["parents"] = {**recipe["parents"], **parents}
    return made


def set_values(suite: Suite, arm: SuiteArm, setting: Setting) -> Mapping[str, Any]:
    """Return an arm's recipe at a setting.

    Raises:
        SuiteError: Where a component refuses it: ranges that go together only in part.
    """
    if arm.failure or not setting:
        return arm.recipe
    recipe, problems = with_values(arm.recipe, setting, suite.registry)
    if problems:
        place = f"{join('arms', arm.name)}.tuning"
        raise SuiteError(
            str(suite.path),
            [Problem(place, f"at {told(setting)}: {one.path}: {one.message}") for one in problems],
        )
    return recipe


def tuned_suite(suite: Suite, tuned: Mapping[str, Mapping[str, Any]]) -> Suite:
    """Return a suite with each arm's chosen setting in its recipe.

    Args:
        suite: The suite.
        tuned: By arm, what the plan is to say of its tuning, `setting` among it.
    """
    arms = {
        name: replace(
            arm, recipe=set_values(suite, arm, tuned[name]["setting"]), tuned=dict(tuned[name]), space={}
        )
        if name in tuned
        else arm
        for name, arm in suite.arms.items()
    }
    return replace(suite, arms=arms, tuning={})


def edge_keys(arm: SuiteArm, setting: Setting, registry: Registry) -> list[str]:
    """Return the key paths at which a setting lies at the end of what was searched, and could lie beyond.

    An end past which the parameter itself cannot go (a share of 0, say) is none.
    """
    found = []
    for path, domain in arm.space.items():
        further = beyond(domain, setting[path])
        if further is not None and not with_values(arm.recipe, {path: further}, registry)[1]:
            found.append(path)
    return found


def space_json(space: Space) -> dict[str, Any]:
    """Return a space as JSON."""
    return {path: domain.to_json() for path, domain in space.items()}

"""`[tuning]` of a suite: what each arm searches, and why an arm cannot be tuned as the others are.

PROTOCOL.md 7: the same number K of trials for every arm, the baseline included; selection on validation alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import Problem, nearest
from harness.registry.messages import found, join, listed, quote
from harness.registry.parameters import validate_table
from harness.registry.registry import Registry
from harness.suite.key_paths import addresses, with_values
from harness.suite.search import quasi_random_settings, setting_count, told, trial_name
from harness.suite.search_space import Domain, Range, Space, ends_of, read_space
from harness.suite.settings import HELD_EQUAL, TuningSettings

if TYPE_CHECKING:
    from harness.suite.load import SuiteArm


def read_tuning(
    document: Mapping[str, Any], arms: Mapping[str, SuiteArm], seed: int, registry: Registry
) -> tuple[dict[str, Any], dict[str, SuiteArm], list[Problem]]:
    """Read `[tuning]` and the arms' own tables.

    Args:
        document: The suite file.
        arms: Its arms, resolved.
        seed: The suite's seed.
        registry: Knows the components.

    Returns:
        The settings, the arms with what each searches, and all that is wrong.
    """
    table = document.get("tuning", {})
    if not isinstance(table, Mapping):
        return {}, dict(arms), [Problem("tuning", f"must be a table, not {found(table)}")]
    settings, problems = _settings(table) if "tuning" in document else ({}, [])
    common, bad = read_space(table.get("space", {}), "tuning.space")
    problems += bad
    tables = document.get("arms")
    own_tables = {
        name: own
        for name, own in (tables.items() if isinstance(tables, Mapping) else ())
        if isinstance(own, Mapping)
    }
    made, bad = _with_spaces(arms, own_tables, common, registry)
    problems += bad
    if "tuning" not in document:
        problems += [
            Problem(
                f"{join('arms', name)}.tuning", "is given, and the suite tunes nothing: [tuning] trials = 8"
            )
            for name, own in own_tables.items()
            if "tuning" in own
        ]
    if settings.get("trials") and not problems:
        problems += _arm_problems(made, settings, seed, registry)
    return settings, made, problems


def _settings(table: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return what `[tuning]` says beside its space, and what is wrong with it."""
    plain = {key: value for key, value in table.items() if key != "space"}
    settings, problems = validate_table(TuningSettings, plain, "tuning", also=("space",))
    told = {
        "is missing": ": how many settings are tried for each arm, its own the first",
        "must be at least 2": ": an arm's own setting is the first; to tune nothing, take [tuning] away",
    }
    return settings, [
        replace(
            one, message=one.message + next((m for t, m in told.items() if one.message.startswith(t)), "")
        )
        if one.path == "tuning.trials"
        else one
        for one in problems
    ]


def _with_spaces(
    arms: Mapping[str, SuiteArm], tables: Mapping[str, Mapping[str, Any]], common: Space, registry: Registry
) -> tuple[dict[str, SuiteArm], list[Problem]]:
    """Return the arms with what each searches: the suite's space, and over it those of the arms that it extends."""
    own: dict[str, dict[str, Domain]] = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        own[name], bad = read_space(table.get("tuning", {}), f"{join('arms', name)}.tuning")
        problems += bad
    known = {name: addresses(arm.recipe, registry) for name, arm in arms.items() if not arm.failure}
    made = {}
    lacking: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, arm in arms.items():
        written = arm.plain or name  # in a grid every cell has an arm of the file's
        chain = _chain(written, tables)
        is_tuned = arm.compared or any("tuning" in tables[one] for one in chain)
        if arm.failure or not is_tuned:
            made[name] = arm
            continue
        space: dict[str, Domain] = {}
        places: dict[str, str] = {}
        for path, domain in common.items():
            if path in known[name]:
                space[path], places[path] = domain, f"tuning.space.{path}"
            else:
                lacking.setdefault(path, {})[written] = known[name]
        for step in reversed(chain):
            for path, domain in own.get(step, {}).items():
                place = f"{join('arms', step)}.tuning.{path}"
                if path in known[name]:
                    space[path], places[path] = domain, place
                else:
                    problems.append(Problem(place, _unknown(path, known[name], f"arm {quote(name)}")))
        for path, domain in space.items():
            if path in arm.cell:
                problems.append(
                    Problem(places[path], "is a key of the grid, which sets it for all arms of a cell")
                )
            problems += _unfit(path, domain, places[path], arm, registry)
        made[name] = replace(arm, space=dict(sorted(space.items())))
    written_known = {arms[name].plain or name: paths for name, paths in known.items()}
    problems += _lacking(lacking, written_known)
    return made, list(dict.fromkeys(problems))


def _chain(name: str, tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return an arm and those it extends; what is wrong with them has been told."""
    chain: list[str] = []
    while isinstance(name, str) and name in tables and name not in chain:
        chain.append(name)
        name = tables[name].get("extends", "")
    return chain


def _lacking(
    lacking: Mapping[str, Mapping[str, Mapping[str, Any]]], known: Mapping[str, Mapping[str, Any]]
) -> Iterator[Problem]:
    """Say which arms have no parameter of a name that the suite searches in all of them."""
    for path, without in lacking.items():
        names = list(without)
        having = [name for name, paths in known.items() if path in paths]
        whose = f"{'arm' if len(names) == 1 else 'arms'} {listed(names[:5])}{', …' if len(names) > 5 else ''}"
        has = "has" if len(names) == 1 else "have"
        message = _unknown(path, without[names[0]], whose, has)
        if having:
            message = (
                f"{whose} {has} no such parameter; for those that do: [{join('arms', having[0])}.tuning]"
            )
        yield Problem(f"tuning.space.{path}", message)


def _unknown(path: str, known: Mapping[str, Any], whose: str, has: str = "has") -> str:
    top = path.partition(".")[0].partition("[")[0]
    if top in HELD_EQUAL:
        return f"{quote(top)} is held equal by the protocol: an arm may not choose it for itself"
    if path.endswith(".name"):
        return "is no parameter: another component is another arm"
    which = "it" if has == "has" else "the first"
    return f"{whose} {has} no such parameter{nearest(path, known)} ({which} has: {listed(known)})"


def _unfit(path: str, domain: Domain, place: str, arm: SuiteArm, registry: Registry) -> Iterator[Problem]:
    """Say what an arm's component refuses of a domain: both ends, each choice."""
    for value in ends_of(domain):
        _, bad = with_values(arm.recipe, {path: value}, registry)
        yield from (Problem(place, f"arm {quote(arm.name)}: {one.message}") for one in bad)
        if bad:
            return
    if not isinstance(domain, Range) or domain.step is not None or not domain.is_whole:
        return
    if not with_values(arm.recipe, {path: domain.low + 0.5}, registry)[1]:
        message = (
            f"both ends are whole numbers, and {quote(path)} takes any: write {float(domain.low)} and "
            f"{float(domain.high)}, or step = 1 for whole ones"
        )
        yield Problem(place, message)


def _arm_problems(
    arms: Mapping[str, SuiteArm], settings: Mapping[str, Any], seed: int, registry: Registry
) -> Iterator[Problem]:
    """Say which arms cannot be tuned as the others are."""
    trials = int(settings["trials"])
    taken = {trial_name(name, k): name for name in arms for k in range(trials)}
    for name, arm in arms.items():
        place = join("arms", arm.plain or name)
        if name in taken:
            yield Problem(
                place, f"is the name of a trial of arm {quote(taken[name])}'s tuning; give it another"
            )
        if arm.failure:
            continue
        if not arm.space:
            if arm.compared:
                message = (
                    f"has nothing to search: every arm gets the same {trials} trials, so give it a key path and a "
                    f"range, [{place}.tuning], or take [tuning] away"
                )
                yield Problem(f"{place}.tuning", message)
            continue
        if not arm.recipe["dataset"]["validation"]:
            message = (
                "must be above 0 where a suite tunes: settings are chosen on the validation split, for the test split "
                "is read by no choice"
            )
            yield Problem(f"{place}.dataset.validation", message)
            continue
        possible = setting_count(arm, registry)
        if possible is not None and possible < trials:
            message = f"has {possible} different settings, fewer than the {trials} trials that every arm gets"
            yield Problem(f"{place}.tuning", message)
        elif settings["method"] == "quasi-random":
            yield from _setting_problems(arm, trials, seed, registry)


def _setting_problems(arm: SuiteArm, trials: int, seed: int, registry: Registry) -> Iterator[Problem]:
    for setting in quasi_random_settings(arm, trials, seed, registry):
        _, bad = with_values(arm.recipe, setting, registry)
        for one in bad:
            message = f"at {told(setting)}: {one.path}: {one.message}"
            yield Problem(f"{join('arms', arm.plain or arm.name)}.tuning", message)
        if bad:
            return

"""From a suite and its data manifests to the plan: which trials there are, and what each one is called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.errors import Problem, SuiteError
from harness.registry import Registry
from harness.registry.digests import digest_json, text_digest
from harness.registry.messages import join, quote
from harness.suite.choice import arms_to_run as arms_to_run
from harness.suite.choice import chosen_arms
from harness.suite.copies import copy_problems, is_baseline, with_copies
from harness.suite.load import Suite, SuiteArm
from harness.suite.normalization import normalization_misfit
from harness.suite.parents import layers_of, misfit, parent_arms, shapes_of
from harness.suite.plan import NON_INFERIORITY_POINTS, PROTOCOL, Arm, Plan, Trial, needed_replicates
from harness.suite.search import SALT
from harness.suite.settings import KIND_OF
from harness.suite.weights import identity_of

SMALLEST_MARGIN_POINTS = 0.1


def expand(
    suite: Suite,
    manifests: Mapping[str, Mapping[str, Any]],
    *,
    arms: Sequence[str] | None = None,
    replicates: int | None = None,
    copies: int | None = None,
) -> Plan:
    """Return the plan of a suite.

    Args:
        suite: The suite.
        manifests: By arm, the manifest of its data. An arm without one stays, as failed.
        arms: The arms to run, or None for all; the baseline is always among them, to compare with.
        replicates: Replicates of each arm, or None for the suite's own number.
        copies: Copies of each baseline for calibration, or None for the suite's own: one with `aa = true`.

    Raises:
        SuiteError: Where two arms are one and the same, a batch is larger than the training split, `arms`
            names one that is not there, or `replicates` is not at least 1.
        PluginError: Where a component's source cannot be found.
    """
    count = suite.replicates if replicates is None else replicates
    if count < 1:
        raise SuiteError(str(suite.path), [Problem("replicates", f"must be at least 1, not {count}")])
    chosen = chosen_arms(suite, arms)
    planned = _planned(chosen, suite, manifests)
    used = {
        manifest["hash"]: dict(manifest) for arm in planned if arm.data and (manifest := manifests[arm.name])
    }
    problems = [one for arm in planned if arm.data for one in _too_few(arm, used[arm.data])]
    problems += [one for arm in planned if arm.data for one in _misfit(arm, used[arm.data])]
    problems += _misfits(planned, suite, used)
    count_of_copies = int(suite.aa) if copies is None else copies
    problems += _copy_problems(planned, suite, count_of_copies)
    planned = with_copies(planned, suite.baseline, count_of_copies)
    keys = _keys(planned, suite)
    # Settings that a search comes to may coincide: then they share their trials.
    problems += _twins(
        {arm.name: keys[arm.name] for arm in chosen if arm.name in keys and not _is_searched(arm)}
    )
    if problems:
        raise SuiteError(str(suite.path), problems)
    compared = {arm.data for arm in planned if arm.compared}
    margin = _margin(suite, {name: manifest for name, manifest in used.items() if name in compared})
    reason = _no_verdict(suite, planned, count)
    plan = Plan(
        suite=suite.name,
        seed=suite.seed,
        replicates=count,
        baseline=_baseline(suite, planned),
        alpha=suite.alpha,
        margin_points=margin,
        equal_margin_points=margin if suite.equal_margin is None else suite.equal_margin,
        verdicts=not reason,
        verdicts_reason=reason,
        timing=suite.timing,
        loader=suite.loader,
        measure=suite.measure,
        together=suite.together,
        non_inferiority_points=NON_INFERIORITY_POINTS
        if suite.non_inferiority is None
        else suite.non_inferiority,
        arms=planned,
        manifests=used,
        trials=tuple(_trials(keys, suite.seed, count)),
        claims=suite.claims,
        plugins=tuple(
            {"path": name, "digest": text_digest(file.read_bytes())} for name, file in suite.plugins.items()
        ),
    )
    return plan.hashed()


def _copy_problems(arms: Sequence[Arm], suite: Suite, count: int) -> list[Problem]:
    """Return what keeps the baselines from being copied; the arms that were not chosen keep their names."""
    names = {*suite.arms, *(arm.name for arm in arms)}
    baselines = [arm.name for arm in arms if is_baseline(arm, suite.baseline)]
    return [one for name in baselines for one in copy_problems(name, names, count)]


def _planned(
    chosen: Sequence[SuiteArm], suite: Suite, manifests: Mapping[str, Mapping[str, Any]]
) -> tuple[Arm, ...]:
    """Return the arms in their order; one whose parent cannot run cannot run either."""
    made: dict[str, Arm] = {}
    by_name = {arm.name: arm for arm in chosen}
    for name in _parents_first({arm.name: arm.recipe for arm in chosen}):
        arm = by_name[name]
        for role, parent in parent_arms(arm.recipe).items():
            if failure := made[parent].failure:
                arm = replace(arm, failure=f"its {role}, arm {quote(parent)}, cannot run: {failure}")
        made[name] = _arm(arm, suite.registry, manifests.get(name))
    return tuple(made[arm.name] for arm in chosen)


def _parents_first(recipes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for layer in layers_of(recipes) for name in layer]


def _misfits(arms: Sequence[Arm], suite: Suite, manifests: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """Return which parents were trained on data that does not fit their children's."""
    by_name = {arm.name: arm for arm in arms}
    problems = []
    for arm in arms:
        for role, parent in arm.recipe.get("parents", {}).items():
            if "arm" in parent:
                other = manifests[by_name[parent["arm"]].data or ""]
                classes, shapes = other["classes"], shapes_of(other)
                whose = f"arm {quote(parent['arm'])}"
            elif (made := suite.weights[parent["file"]].made) is not None:
                classes, shapes = made["classes"], made["shapes"]
                whose = f"the model in {quote(parent['file'])}"
            else:
                continue
            if problem := misfit(role, manifests[arm.data or ""], classes, shapes, whose):
                problems.append(Problem(f"{join('arms', arm.name)}.{role}", problem))
    return problems


def _arm(arm: SuiteArm, registry: Registry, manifest: Mapping[str, Any] | None) -> Arm:
    if arm.failure is not None or manifest is None:
        failure = arm.failure or "its data was not prepared"
        return Arm(
            arm.name,
            {},
            (),
            arm.varies,
            None,
            failure,
            compared=arm.compared,
            salt=arm.salt,
            against=arm.against,
            cell=arm.cell,
        )
    components = tuple(_components(arm.recipe, registry))
    return Arm(
        arm.name,
        arm.recipe,
        components,
        arm.varies,
        manifest["hash"],
        compared=arm.compared,
        salt=arm.salt,
        against=arm.against,
        cell=arm.cell,
        tuned=arm.tuned,
    )


def _components(recipe: Mapping[str, Any], registry: Registry) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    for key, kind in KIND_OF.items():
        normals = recipe[key] if isinstance(recipe[key], list) else [recipe[key]]
        for normal in normals:
            described += registry.describe(kind, normal)
    return described


def _keys(arms: Sequence[Arm], suite: Suite) -> dict[str, str]:
    """Return, by arm that can run, the hash of all that its trials have in common."""
    running = {arm.name: arm for arm in arms if arm.failure is None}
    keys: dict[str, str] = {}
    for name in _parents_first({arm.name: arm.recipe for arm in running.values()}):
        parents = {
            role: keys[parent["arm"]]
            if "arm" in parent
            else identity_of(role, suite.weights[parent["file"]], suite.registry)
            for role, parent in running[name].recipe.get("parents", {}).items()
        }
        keys[name] = _arm_key(running[name], suite.seed, suite.together, parents)
    return {name: keys[name] for name in running}


def _arm_key(arm: Arm, seed: int, together: int, parents: Mapping[str, str]) -> str:
    """Return the hash of all that an arm's trials have in common; `parents` are those of what it needs, by role."""
    return digest_json(
        {
            # A parent's name decides nothing, as an arm's own does not.
            "recipe": {key: value for key, value in arm.recipe.items() if key != "parents"},
            "components": [[one["full_name"], one["source_digest"]] for one in arm.components],
            "data": arm.data,
            "protocol": PROTOCOL,
            "threads": arm.recipe["numerics"]["threads"],
            "world_size": 1,
            "seed": seed,
            "salt": arm.salt,
            # Only where it is asked for: sums in another order are not the same bits, and all other ids stay.
            **({"together": together} if together > 1 else {}),
            **({"parents": parents} if parents else {}),
        }
    )


def _twins(keys: Mapping[str, str]) -> list[Problem]:
    first: dict[str, str] = {}
    problems = []
    for name, key in keys.items():
        other = first.setdefault(key, name)
        if other != name:
            message = (
                f"is the same as arm {quote(other)}: with all defaults filled in, their recipes do not differ"
            )
            problems.append(Problem(join("arms", name), message))
    return problems


def _is_searched(arm: SuiteArm) -> bool:
    return bool(arm.tuned) or arm.salt == SALT


def _too_few(arm: Arm, manifest: Mapping[str, Any]) -> list[Problem]:
    count = manifest["splits"]["train"]["count"]
    left = count - round(count * arm.recipe["dataset"]["validation"])
    size = arm.recipe["batch_size"]
    if size <= left:
        return []
    message = f"{size} is more than the {left} training samples (of {count}, without the validation split)"
    return [Problem(f"{join('arms', arm.name)}.batch_size", message)]


def _misfit(arm: Arm, manifest: Mapping[str, Any]) -> list[Problem]:
    message = normalization_misfit(manifest, arm.recipe["dataset"])
    return [Problem(f"{join('arms', arm.name)}.dataset.normalization", message)] if message else []


def _margin(suite: Suite, manifests: Mapping[str, Mapping[str, Any]]) -> float:
    if suite.margin is not None:
        return suite.margin
    counts: list[int] = [manifest["splits"]["test"]["count"] for manifest in manifests.values()]
    return max([SMALLEST_MARGIN_POINTS, *(100.0 / count for count in counts if count)])


def _no_verdict(suite: Suite, arms: Sequence[Arm], replicates: int) -> str:
    """Return why the plan may have no verdicts, or an empty string."""
    if not suite.verdicts:
        return "the suite is exploratory (verdicts = false)"
    baselines = [arm for arm in arms if is_baseline(arm, suite.baseline)]
    compared = [arm for arm in arms if arm.compared and not is_baseline(arm, suite.baseline)]
    if not compared:
        return "there is no arm to compare with the baseline"
    if all(arm.failure for arm in baselines):
        return "the baseline could not be resolved"
    needed = needed_replicates(len(compared), suite.alpha)
    if replicates >= needed:
        return ""
    return (
        f"with {replicates} replicates nothing could be significant: {len(compared)} arms against the baseline "
        f"at alpha {suite.alpha:g} take at least {needed}; {_what_to_change(replicates, needed, suite.alpha)}"
    )


def _what_to_change(replicates: int, needed: int, alpha: float) -> str:
    """Return in words what would let a plan have verdicts."""
    most = 0
    while needed_replicates(most + 1, alpha) <= replicates:
        most += 1
    fewer = f", or compare {most} arm{'s' * (most > 1)} at the most" if most else ""
    return f"set replicates = {needed}{fewer}"


def _baseline(suite: Suite, arms: Sequence[Arm]) -> str:
    """Return the plan's baseline: the suite's, or where its cell was not chosen that of the first arm's cell."""
    names = [arm.name for arm in arms]
    return suite.baseline if suite.baseline in names or not arms else arms[0].against or suite.baseline


def _trials(keys: Mapping[str, str], seed: int, replicates: int) -> list[Trial]:
    """Return the trials in run order: a replicate is a block, and within it the arms stand in random order.

    The place of one arm before another depends on nothing but the seed, the replicate and their names.
    """
    trials = []
    for replicate in range(replicates):
        shuffled = sorted(
            keys, key=lambda name: hashlib.blake2b(f"{seed}/{replicate}/{name}".encode()).digest()
        )
        trials += [Trial(digest_json([keys[name], replicate]), name, replicate) for name in shuffled]
    return trials

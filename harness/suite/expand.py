"""From a suite and its data manifests to the plan: which trials there are, and what each one is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.errors import Problem, SuiteError
from harness.registry.messages import quote
from harness.registry.registry import Registry
from harness.registry.source_digests import text_digest
from harness.suite.choice import arms_to_run as arms_to_run
from harness.suite.choice import chosen_arms
from harness.suite.copies import copy_problems, is_baseline, with_copies
from harness.suite.fits import misfits
from harness.suite.load import Suite, SuiteArm
from harness.suite.parents import parent_arms
from harness.suite.plan import NON_INFERIORITY_POINTS, Arm, Plan
from harness.suite.search import SALT
from harness.suite.settings import KIND_OF
from harness.suite.trials import parents_first, trial_keys, trials_of, twins
from harness.suite.verdicts import margin_points, why_no_verdicts


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
    problems = misfits(planned, suite, used)
    count_of_copies = int(suite.aa) if copies is None else copies
    problems += _copy_problems(planned, suite, count_of_copies)
    planned = with_copies(planned, suite.baseline, count_of_copies)
    keys = trial_keys(planned, suite)
    # Settings that a search comes to may coincide: then they share their trials.
    problems += twins(
        {arm.name: keys[arm.name] for arm in chosen if arm.name in keys and not _is_searched(arm)}
    )
    if problems:
        raise SuiteError(str(suite.path), problems)
    compared = {arm.data for arm in planned if arm.compared}
    margin = margin_points(suite, {name: manifest for name, manifest in used.items() if name in compared})
    reason = why_no_verdicts(suite, planned, count)
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
        trials=tuple(trials_of(keys, suite.seed, count)),
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
    for name in parents_first({arm.name: arm.recipe for arm in chosen}):
        arm = by_name[name]
        for role, parent in parent_arms(arm.recipe).items():
            if failure := made[parent].failure:
                arm = replace(arm, failure=f"its {role}, arm {quote(parent)}, cannot run: {failure}")
        made[name] = _arm(arm, suite.registry, manifests.get(name))
    return tuple(made[arm.name] for arm in chosen)


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


def _is_searched(arm: SuiteArm) -> bool:
    return bool(arm.tuned) or arm.salt == SALT


def _baseline(suite: Suite, arms: Sequence[Arm]) -> str:
    """Return the plan's baseline: the suite's, or where its cell was not chosen that of the first arm's cell."""
    names = [arm.name for arm in arms]
    return suite.baseline if suite.baseline in names or not arms else arms[0].against or suite.baseline

"""From a suite and its data manifests to the plan: which trials there are, and what each one is called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import Problem, SuiteError, nearest
from harness.registry import Registry
from harness.registry.digests import digest_json, text_digest
from harness.registry.messages import join, listed, quote
from harness.suite.load import Suite, SuiteArm
from harness.suite.plan import PROTOCOL, Arm, Plan, Trial, needed_replicates
from harness.suite.settings import KIND_OF

SMALLEST_MARGIN_POINTS = 0.1


def expand(
    suite: Suite,
    manifests: Mapping[str, Mapping[str, Any]],
    *,
    arms: Sequence[str] | None = None,
    replicates: int | None = None,
) -> Plan:
    """Return the plan of a suite.

    Args:
        suite: The suite.
        manifests: By arm, the manifest of its data. An arm without one stays, as failed.
        arms: The arms to run, or None for all; the baseline is always among them, to compare with.
        replicates: Replicates of each arm, or None for the suite's own number.

    Raises:
        SuiteError: Where two arms are one and the same, a batch is larger than the training split, `arms`
            names one that is not there, or `replicates` is not at least 1.
        PluginError: Where a component's source cannot be found.
    """
    count = suite.replicates if replicates is None else replicates
    if count < 1:
        raise SuiteError(str(suite.path), [Problem("replicates", f"must be at least 1, not {count}")])
    chosen = _chosen(suite, arms)
    planned = tuple(_arm(arm, suite.registry, manifests.get(arm.name)) for arm in chosen)
    used = {
        manifest["hash"]: dict(manifest) for arm in planned if arm.data and (manifest := manifests[arm.name])
    }
    problems = [one for arm in planned if arm.data for one in _too_few(arm, used[arm.data])]
    keys = {arm.name: _arm_key(arm, suite.seed, suite.together) for arm in planned if arm.failure is None}
    problems += _twins(keys)
    if problems:
        raise SuiteError(str(suite.path), problems)
    margin = _margin(suite, used)
    reason = _no_verdict(suite, planned, count)
    plan = Plan(
        suite=suite.name,
        seed=suite.seed,
        replicates=count,
        baseline=suite.baseline,
        alpha=suite.alpha,
        margin_points=margin,
        equal_margin_points=margin if suite.equal_margin is None else suite.equal_margin,
        verdicts=not reason,
        verdicts_reason=reason,
        timing=suite.timing,
        loader=suite.loader,
        measure=suite.measure,
        together=suite.together,
        arms=planned,
        manifests=used,
        trials=tuple(_trials(keys, suite.seed, count)),
        plugins=tuple(
            {"path": name, "digest": text_digest(file.read_bytes())} for name, file in suite.plugins.items()
        ),
    )
    return plan.hashed()


def _chosen(suite: Suite, names: Sequence[str] | None) -> list[SuiteArm]:
    if names is None:
        return list(suite.arms.values())
    for name in names:
        if name not in suite.arms:
            message = f"there is no arm {quote(name)}{nearest(name, suite.arms)} (arms: {listed(suite.arms)})"
            raise SuiteError(str(suite.path), [Problem("", message)])
    return [arm for arm in suite.arms.values() if arm.name in names or arm.name == suite.baseline]


def _arm(arm: SuiteArm, registry: Registry, manifest: Mapping[str, Any] | None) -> Arm:
    if arm.failure is not None or manifest is None:
        failure = arm.failure or "its data was not prepared"
        return Arm(arm.name, {}, (), arm.varies, None, failure)
    return Arm(arm.name, arm.recipe, tuple(_components(arm.recipe, registry)), arm.varies, manifest["hash"])


def _components(recipe: Mapping[str, Any], registry: Registry) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    for key, kind in KIND_OF.items():
        normals = recipe[key] if isinstance(recipe[key], list) else [recipe[key]]
        for normal in normals:
            described += registry.describe(kind, normal)
    return described


def _arm_key(arm: Arm, seed: int, together: int) -> str:
    """Return the hash of all that an arm's trials have in common."""
    return digest_json(
        {
            "recipe": arm.recipe,
            "components": [[one["full_name"], one["source_digest"]] for one in arm.components],
            "data": arm.data,
            "protocol": PROTOCOL,
            "threads": arm.recipe["numerics"]["threads"],
            "world_size": 1,
            "seed": seed,
            "salt": "",
            # Only where it is asked for: sums in another order are not the same bits, and all other ids stay.
            **({"together": together} if together > 1 else {}),
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


def _too_few(arm: Arm, manifest: Mapping[str, Any]) -> list[Problem]:
    count = manifest["splits"]["train"]["count"]
    left = count - round(count * arm.recipe["dataset"]["validation"])
    size = arm.recipe["batch_size"]
    if size <= left:
        return []
    message = f"{size} is more than the {left} training samples (of {count}, without the validation split)"
    return [Problem(f"{join('arms', arm.name)}.batch_size", message)]


def _margin(suite: Suite, manifests: Mapping[str, Mapping[str, Any]]) -> float:
    if suite.margin is not None:
        return suite.margin
    counts: list[int] = [manifest["splits"]["test"]["count"] for manifest in manifests.values()]
    return max([SMALLEST_MARGIN_POINTS, *(100.0 / count for count in counts if count)])


def _no_verdict(suite: Suite, arms: Sequence[Arm], replicates: int) -> str:
    """Return why the plan may have no verdicts, or an empty string."""
    if not suite.verdicts:
        return "the suite is exploratory (verdicts = false)"
    compared = [arm for arm in arms if arm.name != suite.baseline]
    if not compared:
        return "there is no arm to compare with the baseline"
    if any(arm.failure for arm in arms if arm.name == suite.baseline):
        return "the baseline could not be resolved"
    needed = needed_replicates(len(compared), suite.alpha)
    if replicates >= needed:
        return ""
    return (
        f"with {replicates} replicates nothing could be significant: {len(compared)} arms against the baseline "
        f"at alpha {suite.alpha:g} take at least {needed}"
    )


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

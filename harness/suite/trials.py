"""What a trial is called: the hash of all that its result hangs on; and in what order trials run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import Problem
from harness.registry.digests import digest_json
from harness.registry.messages import join, quote
from harness.suite.load import Suite
from harness.suite.parents import layers_of
from harness.suite.plan import PROTOCOL, Arm, Trial
from harness.suite.weights import identity_of


def trial_keys(arms: Sequence[Arm], suite: Suite) -> dict[str, str]:
    """Return, by arm that can run, the hash of all that its trials have in common."""
    running = {arm.name: arm for arm in arms if arm.failure is None}
    keys: dict[str, str] = {}
    for name in parents_first({arm.name: arm.recipe for arm in running.values()}):
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


def twins(keys: Mapping[str, str]) -> list[Problem]:
    """Return which arms are one and the same, by their keys."""
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


def trials_of(keys: Mapping[str, str], seed: int, replicates: int) -> list[Trial]:
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


def parents_first(recipes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the arms, each after those that it needs."""
    return [name for layer in layers_of(recipes) for name in layer]

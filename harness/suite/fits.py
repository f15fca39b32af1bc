"""Whether arms fit the data that they are to run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import Problem
from harness.registry.messages import join, quote
from harness.suite.load import Suite
from harness.suite.normalization import normalization_misfit
from harness.suite.parents import misfit, shapes_of
from harness.suite.plan import Arm


def misfits(arms: Sequence[Arm], suite: Suite, manifests: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """Return what of the arms does not fit their data: batches, normalization, parents of other data.

    Args:
        arms: The planned arms; one that failed has no data and is passed over.
        suite: The suite.
        manifests: By hash.
    """
    with_data = [arm for arm in arms if arm.data]
    problems = [one for arm in with_data for one in _too_few(arm, manifests[arm.data or ""])]
    problems += [one for arm in with_data for one in _of_normalization(arm, manifests[arm.data or ""])]
    return problems + _of_parents(arms, suite, manifests)


def _of_parents(
    arms: Sequence[Arm], suite: Suite, manifests: Mapping[str, Mapping[str, Any]]
) -> list[Problem]:
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


def _too_few(arm: Arm, manifest: Mapping[str, Any]) -> list[Problem]:
    count = manifest["splits"]["train"]["count"]
    left = count - round(count * arm.recipe["dataset"]["validation"])
    size = arm.recipe["batch_size"]
    if size <= left:
        return []
    message = f"{size} is more than the {left} training samples (of {count}, without the validation split)"
    return [Problem(f"{join('arms', arm.name)}.batch_size", message)]


def _of_normalization(arm: Arm, manifest: Mapping[str, Any]) -> list[Problem]:
    message = normalization_misfit(manifest, arm.recipe["dataset"])
    return [Problem(f"{join('arms', arm.name)}.dataset.normalization", message)] if message else []

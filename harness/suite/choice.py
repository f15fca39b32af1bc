"""Which arms a run is asked for: `--arms`."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import Problem, SuiteError, nearest
from harness.registry.messages import listed, quote
from harness.suite.copies import copy_names
from harness.suite.model import Suite, SuiteArm
from harness.suite.parents import with_parents


def chosen_arms(suite: Suite, names: Sequence[str] | None) -> list[SuiteArm]:
    """Return the arms that a choice of arms comes to, as `arms_to_run` does, or all of them.

    Raises:
        SuiteError: Where a name means no arm.
    """
    if names is None:
        return list(suite.arms.values())
    if not names:
        raise SuiteError(
            str(suite.path), [Problem("", f"--arms names no arm (arms: {listed(_plain(suite))})")]
        )
    for name in names:
        if not _meant(name, suite):
            message = (
                f"there is no arm {quote(name)}{nearest(name, suite.arms)} (arms: {listed(_plain(suite))})"
            )
            raise SuiteError(str(suite.path), [Problem("", message)])
    return [suite.arms[name] for name in arms_to_run(suite, names)]


def arms_to_run(suite: Suite, names: Sequence[str] | None) -> list[str]:
    """Return the arms that a choice of arms comes to: with the baseline, and with what they need; None is all."""
    recipes = {arm.name: arm.recipe for arm in suite.arms.values()}
    if names is None:
        return list(suite.arms)
    chosen = [arm for name in names for arm in _meant(name, suite)]
    # Copies follow their baselines, which are always among them: in a grid, those of the cells that are chosen.
    baselines = [suite.arms[name].against or suite.baseline for name in chosen] or [suite.baseline]
    return with_parents([*chosen, *baselines], recipes)


def _plain(suite: Suite) -> list[str]:
    """Return the arms as the file names them, each once, whatever the cells of a grid."""
    return list(dict.fromkeys(arm.plain or arm.name for arm in suite.arms.values()))


def _meant(name: str, suite: Suite) -> list[str]:
    """Return the arms that a name means: in a grid that of every cell, or with `.<n>` at its end that of cell n.

    The name of a copy means what it is a copy of.
    """
    arms = suite.arms.values()
    if suite.aa and name not in suite.arms:
        originals = [arm.against or suite.baseline for arm in arms]
        name = next((one for one in originals if name in copy_names(one, 1)), name)
    every = [arm.name for arm in arms if arm.plain == name]
    first, _, number = name.rpartition(".")
    if every or name in suite.arms:
        return every or [name]
    return [first] if number == "0" and first in suite.arms and suite.arms[first].cell else []

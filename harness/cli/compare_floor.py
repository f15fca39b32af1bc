"""Whether `harness compare` at two commits can come to a verdict, told before both sides are trained."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from harness.board import two_sample, wording
from harness.board.verdict import DEFAULT_ALPHA
from harness.suite.plan import needed_replicates

if TYPE_CHECKING:
    from harness.launch.gate_build import Side


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What one side will run, as far as it decides whether a verdict is possible.

    Attributes:
        arms: Those that are compared, the baseline among them.
        replicates: Of each.
        alpha: The suite's level.
        seed: The suite's: sides of one seed are pairs.
        verdicts: False where the suite is exploratory.
    """

    arms: frozenset[str]
    replicates: int
    alpha: float
    seed: int
    verdicts: bool


def foresee(side: Side, options: Sequence[str]) -> Foreseen | None:
    """Return what a side will run by its own `harness plan`; None where an older one does not tell.

    Args:
        side: One of the two trees.
        options: Those that say what of the suite is run.
    """
    from harness.suite.read import read_toml

    command = [str(side.python), "-m", "harness", "plan", str(side.suite), "--json", *options]
    environment = with_absolute_folders(side.environment())
    # What is wrong with the suite, `harness run` says a moment later.
    done = subprocess.run(command, cwd=side.tree, env=environment, capture_output=True, check=False)
    try:
        told, document = orjson.loads(done.stdout), read_toml(side.suite)[1]
        return Foreseen(
            frozenset(arm["name"] for arm in told["arms"] if arm["compared"] and not arm["failure"]),
            int(told["replicates"]),
            float(document.get("alpha", DEFAULT_ALPHA)),
            int(document.get("seed", 0)),
            document.get("verdicts") is not False,
        )
    except (ValueError, KeyError, TypeError):
        return None


def floor_note(sides: Sequence[Foreseen | None]) -> str:
    """Return what it takes where no difference of the two sides can be significant; else an empty text."""
    base, candidate = sides
    if base is None or candidate is None or not (base.verdicts and candidate.verdicts):
        return ""
    family = len(base.arms & candidate.arms)
    alpha, replicates = min(base.alpha, candidate.alpha), min(base.replicates, candidate.replicates)
    if not family:
        return ""
    is_paired = base.seed == candidate.seed
    needed = needed_replicates(family, alpha) if is_paired else two_sample.needed_each(alpha / family)
    unpaired = two_sample.suffices(base.replicates, candidate.replicates, alpha / family)
    if (replicates >= needed) if is_paired else unpaired:
        return ""
    return (
        f"note: no verdict is possible: {wording.counted(family, 'arm')} on both sides, the baseline among them, "
        f"{'takes' if family == 1 else 'take'} {needed} replicates at alpha {alpha:g}, and "
        f"{'there is 1' if replicates == 1 else f'there are {replicates}'}; give --replicates {needed}"
    )


def with_absolute_folders(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables with folders that were named from here made absolute: the side runs in its own tree."""
    return {
        name: str(Path(value).resolve()) if name in ("HARNESS_DATA", "HARNESS_CACHE") and value else value
        for name, value in environment.items()
    }

"""Opens the two sides of a gate: each resolves the suite by its own code, and says what it has."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import nearest
from harness.launch.gate_build import GateRefused, Side
from harness.launch.gate_measures import check_code
from harness.launch.gate_process import Answer

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is sampled, and how.

    Attributes:
        arms: The arms; None for all of the suite's.
        replicates: Paired replicates that accuracy is judged by; 0 leaves accuracy out.
        margin: Loss of accuracy that matters, in points; None for the rules' own.
        data: The data root, or None.
        device: "auto", "cpu", "cuda" or "cuda:1".
        timeout_seconds: A process that says nothing for so long is ended; 0 waits for ever.
    """

    arms: tuple[str, ...] | None
    replicates: int
    margin: float | None
    data: Path | None
    device: str
    timeout_seconds: float


def open_suites(
    sides: tuple[Side, Side], sampling: Sampling, device: str, ask_side: Callable[[Side, Json], Answer]
) -> tuple[Json, Json]:
    """Have both sides resolve the suite; check that each runs its own code.

    Args:
        sides: Base and candidate.
        sampling: What is wanted of them.
        device: In torch's name.
        ask_side: Puts a request of kind "open" to a side.

    Returns:
        Each side's answer (see `gate_driver`).

    Raises:
        GateRefused: A side cannot read the suite, runs another's code, or neither has an arm that was asked for.
    """
    request = {
        "arms": sampling.arms,
        "data": None if sampling.data is None else str(sampling.data.resolve()),
        "replicates": max(1, sampling.replicates),
        "device": device,
    }
    base, candidate = (_open(side, ask_side(side, {"suite": str(side.suite), **request})) for side in sides)
    known = list(dict.fromkeys([*base["all_arms"], *candidate["all_arms"]]))
    for name in sampling.arms or ():
        if name not in known:
            raise GateRefused(f'there is no arm "{name}" on either side{nearest(name, known)}')
    return base, candidate


def _open(side: Side, answer: Answer) -> Json:
    if answer.value is None:
        # A suite that the base cannot read leaves nothing to compare with; the candidate's is an error.
        code = 3 if side.name == "base" else answer.exit_code or 5
        text = (answer.failure or "").replace(f"{side.tree}{os.sep}", "")
        raise GateRefused(f"{side.name} ({side.label}): {text}", code)
    check_code(side, answer.value)
    return answer.value


def broken_arms(sides: Sequence[Side], opened: Sequence[Json]) -> dict[str, list[str]]:
    """Return by name the arms that a side cannot build, each with the reasons."""
    found: dict[str, list[str]] = {}
    for side, one in zip(sides, opened, strict=True):
        for name, arm in one["arms"].items():
            if arm["failure"]:
                found.setdefault(name, []).append(f"{side.name}: {arm['failure']}")
    return found

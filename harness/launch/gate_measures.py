"""What a gate's samples are made of: which figures, of whose code, and what keeps two arms from comparing."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.launch.gate_build import GateRefused, Side
from harness.record.limits import usable_cores

Json = dict[str, Any]

SPEED_KEYS = ("batch_size", "numerics")
ACCURACY_KEYS = ("batch_size", "budget", "evaluation", "numerics")


@dataclass(slots=True)
class Series:
    """The samples of one name: by side, and a second time once that was asked for.

    A sample in which a side did not have the measure is None, so that the rounds stay paired.
    """

    kind: str
    base: list[float | None] = field(default_factory=list)
    candidate: list[float | None] = field(default_factory=list)
    again: dict[str, list[float | None]] | None = None

    def add(self, base: float | None, candidate: float | None) -> None:
        """Add a round to the series in progress."""
        if self.again is None:
            self.base.append(base)
            self.candidate.append(candidate)
        else:
            self.again["base"].append(base)
            self.again["candidate"].append(candidate)

    def side(self, name: str) -> list[float | None]:
        """Return the first series of "base" or "candidate"; empty where that side never had the measure."""
        values = self.base if name == "base" else self.candidate
        return values if any(value is not None for value in values) else []


def arm_of(name: str) -> str:
    """Return the arm that a measurement's name belongs to."""
    return name.rpartition("/")[0]


def kind_of(measure: str) -> str:
    """Return "memory" or "time"."""
    return "memory" if measure.endswith("_bytes") else "time"


def order_of(seed: str, number: int) -> tuple[int, int]:
    """Return which side goes first in a round, and which second: 0 is the base, 1 the candidate.

    A coin decides for every two rounds, the second of them the other way round: whatever going first does to a
    sample is as often the base's as the candidate's, and nothing that comes and goes with the rounds can keep
    step with the order.

    Args:
        seed: What is measured; the same gives the same order.
        number: Of the round, from 0.
    """
    pair, second = divmod(number, 2)
    candidate_first = random.Random(f"gate/order/{seed}/{pair}").getrandbits(1) ^ second
    return (1, 0) if candidate_first else (0, 1)


def measures_of(answer: Mapping[str, Any], device: str) -> Iterable[tuple[str, float]]:
    """Give what is gated of a timing; what is absent gives nothing.

    On a CPU a step's time is the mean over the faster half of the turns, without the time in which another process
    had the core (waiting for data, for a lock or a disk stays in). Measured on two cores with a load of 9 to 11,
    one pair of samples scatters by 2.3 % so; by 17 % with the median of the windows' wall time.
    """
    timing = answer["timing"]
    windows, steps = timing["window_seconds"], timing["steady_steps"]
    if device == "cpu" and answer["turns"]:
        turns = sorted((turn["seconds"] - turn["delay_seconds"]) / turn["steps"] for turn in answer["turns"])
        yield "step_seconds", statistics.fmean(turns[: (len(turns) + 1) // 2])
    elif windows and steps:
        yield "step_seconds", statistics.median(windows) * len(windows) / steps
    for name in ("resident", "allocated"):
        if timing["peak_memory_bytes"][name] is not None:
            yield f"peak_{name}_bytes", float(timing["peak_memory_bytes"][name])


def trials_at_a_time(opened: Iterable[Json], device: str) -> int:
    """Return how many trials run side by side, as nothing of them is timed: the cores over a trial's threads.

    Args:
        opened: What both sides answered when they were opened.
        device: In torch's name; a device other than the CPU takes one.
    """
    if device != "cpu":
        return 1
    jobs = [arm["jobs"][0] for one in opened for arm in one["arms"].values() if arm["jobs"]]
    return max(
        1, usable_cores() // max((int(job["recipe"]["numerics"]["threads"]) for job in jobs), default=1)
    )


def differences(base: Json, candidate: Json, keys: Sequence[str]) -> list[str]:
    """Return in what, of what the protocol wants equal, two sides' jobs of one arm differ.

    Of a table the keys that both know count: what a later version adds is its change, and is measured.

    Args:
        base: A job of the base's.
        candidate: One of the candidate's.
        keys: The keys of the recipe that count.
    """
    found = [key for key in keys if _differ(base["recipe"].get(key), candidate["recipe"].get(key))]
    if _differ(base["manifest"].get("splits"), candidate["manifest"].get("splits")):
        found.append("data")
    return found


def _differ(base: Any, candidate: Any) -> bool:
    if isinstance(base, Mapping) and isinstance(candidate, Mapping):
        return any(_differ(base[key], candidate[key]) for key in base.keys() & candidate.keys())
    return bool(base != candidate)


def check_code(side: Side, opened: Json) -> None:
    """Refuse a side that ran another's code.

    Raises:
        GateRefused: With exit code 3: what it would measure is not what it says.
    """
    found = Path(opened["harness"]).resolve()
    if (side.tree / "harness" / "__init__.py").is_file() and not found.is_relative_to(side.tree):
        raise GateRefused(
            f"the {side.name} imported harness from {found.parent}, not from its own tree: nothing was compared "
            "(does an installed package put itself before PYTHONPATH?)",
            exit_code=3,
        )
    check_stray(side, opened)


def check_stray(side: Side, answer: Json) -> None:
    """Refuse a side that loaded a module of the checkout's.

    Raises:
        GateRefused: With exit code 3.
    """
    if answer["stray"]:
        raise GateRefused(
            f"the {side.name} imported {answer['stray'][0]} from the checkout, not from its own tree: nothing was "
            "compared (an editable install outside of the folders harness, plugins and src?)",
            exit_code=3,
        )

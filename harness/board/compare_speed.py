"""Speed and memory of one arm on two sides: shown where both were timed on one kind of machine, and not judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.environment import shared_of
from harness.board.gate_hosts import differing
from harness.board.host_words import differences_in_words
from harness.board.select import Record, value_at
from harness.board.speed import rounds_of, speed_of

Json = dict[str, Any]

_RECIPE = ("batch_size", "numerics")
_ADVISORY = (
    "no verdict: the two timing passes were not interleaved; "
    "harness gate SUITE --base REVISION measures side by side"
)


def compare_speed(
    name: str,
    arms: Sequence[Mapping[str, Any]],
    timings: Sequence[Sequence[Record]],
    shared: Sequence[Mapping[str, Any]],
    plans: Sequence[Mapping[str, Any]],
) -> Json:
    """Return `speed` and `memory` of an arm, each `{comparable, differs, base, candidate, ratio, rounds, …, reason}`.

    Args:
        name: The arm.
        arms: The arm in the plan of base and candidate.
        timings: The timings of each side, of one kind of machine.
        shared: By hash, what those of each side refer to.
        plans: The plans.
    """
    own = [[timing for timing in side if timing.get("arm") == name] for side in timings]
    rounds = [rounds_of(side).get(name, {}) for side in own]
    told = [speed_of(side, {}) for side in rounds]
    hosts = [
        next(iter(shared_of(side, "host", values).values()), None)
        for side, values in zip(own, shared, strict=True)
    ]
    timed = all(rounds)
    differs = [*(differing(*hosts) if timed else []), *_unlike(arms, plans)]
    if timed and not any(hosts):
        differs.append("host (unknown)")
    counts, why = [len(side) for side in rounds], differences_in_words(differs, hosts)
    return {
        "speed": _pair(told, "images_per_second", differs, why, counts),
        "memory": _pair(told, "peak_memory_bytes", differs, why, counts),
    }


def _unlike(arms: Sequence[Mapping[str, Any]], plans: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in what recipes and plans differ that speed hangs on beside the machine."""
    different = [
        f"recipe.{key}"
        for key in _RECIPE
        if value_at(arms[0], "recipe", key) != value_at(arms[1], "recipe", key)
    ]
    if arms[0].get("data") != arms[1].get("data"):
        different.append("data")
    return different + [key for key in ("loader", "protocol") if plans[0].get(key) != plans[1].get(key)]


def _pair(told: Sequence[Json], column: str, differs: Sequence[str], why: str, rounds: Sequence[int]) -> Json:
    base, candidate = (side[column] for side in told)
    kinds = {side["peak_memory_kind"] for side in told}
    found: Json = {"comparable": not differs, "differs": list(differs), "base": base, "candidate": candidate}
    found |= {"ratio": None, "rounds": list(rounds), "verdict": None}
    if base is None or candidate is None:
        side = "either side" if base is candidate else "the base" if base is None else "the candidate"
        return {**found, "reason": f"no timing of {side}"}
    if differs:
        return {**found, "reason": f"not comparable: {why}"}
    if column == "peak_memory_bytes" and len(kinds) > 1:
        return {**found, "comparable": False, "reason": "not comparable: other kinds of memory were measured"}
    return {**found, "ratio": candidate / base if base else None, "reason": _ADVISORY}

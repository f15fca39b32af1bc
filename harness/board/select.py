"""Which records count: the final attempt of every trial of the plan, under the arms that the plan gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.record.attempt import Attempt
from harness.record.packed import finite

Record = Mapping[str, Any]

FAILED_BY_ARM = frozenset({"diverged", "oom", "timeout", "crashed", "failed"})
COUNTED = FAILED_BY_ARM | {"completed"}


@dataclass(frozen=True, slots=True)
class ArmTrials:
    """One arm's trials.

    Attributes:
        name: The arm.
        planned: Its replicates, ascending.
        attempts: Every record of its trials, by replicate and attempt.
        counted: The record that counts, by replicate; a replicate that only the machine has stopped has none.
        good: Those of them that completed with a finite test accuracy.
        top1: Of the good ones the test accuracy, in points.
        changed: Replicates whose counted record says that global state was changed.
    """

    name: str
    planned: tuple[int, ...]
    attempts: list[tuple[int, Attempt]] = field(default_factory=list)
    counted: dict[int, Attempt] = field(default_factory=dict)
    good: dict[int, Attempt] = field(default_factory=dict)
    top1: dict[int, float] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.top1.update({at: one.top1 for at, one in self.good.items() if one.top1 is not None})
        self.changed.update(at for at, one in self.counted.items() if one.rest["changes"])


def rests_of(attempts: Iterable[Attempt]) -> list[Mapping[str, Any]]:
    """Return what attempts have under `rest`, each of them once: it is shared by many."""
    return [rest for rest, _ in counted_rests(attempts)]


def counted_rests(attempts: Iterable[Attempt]) -> list[tuple[Mapping[str, Any], int]]:
    """Return what attempts have under `rest`, each of them once, and how many have it."""
    rests = [one.rest for one in attempts]
    counts = Counter(map(id, rests))
    return [(rest, counts[place]) for place, rest in dict(zip(map(id, rests), rests, strict=True)).items()]


def value_at(record: object, *keys: str) -> Any:
    """Return what lies under `keys`, or None where any of them is absent."""
    for key in keys:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def number_at(record: object, *keys: str) -> float | None:
    """Return the finite number under `keys`, or None: NaN, infinity and a wrong type are absences."""
    return finite(value_at(record, *keys))


def numbers_at(records: Iterable[object], *keys: str) -> list[float]:
    """Return the finite numbers under `keys` of those records that hold one."""
    return [value for record in records if (value := number_at(record, *keys)) is not None]


def is_good(record: Record) -> bool:
    """Return whether a record completed and holds a finite test accuracy."""
    return record.get("status") == "completed" and number_at(record, "results", "test", "top1") is not None


def known(values: Sequence[float | None]) -> list[float]:
    """Return the numbers among `values`."""
    return [value for value in values if value is not None]


def select(plan: Mapping[str, Any], attempts: Iterable[Attempt]) -> tuple[dict[str, ArmTrials], list[str]]:
    """Give every attempt to the arms whose trial it is.

    The plan decides, not the record's `arm`: an id does not contain the arm's name, so a record may have been
    written under another name, and two arms with equal recipes share their trials.

    Returns:
        The trials by arm, in the plan's order, and one line for each kind of record that was left out.
    """
    trials = plan.get("trials", [])
    found: dict[str, list[Attempt]] = {trial["id"]: [] for trial in trials}
    strangers = other_protocol = 0
    protocol = plan.get("protocol")
    for attempt in attempts:
        own = found.get(attempt.trial)
        if own is None:
            strangers += 1
        elif attempt.rest["protocol"] != protocol:
            other_protocol += 1
        else:
            own.append(attempt)
    planned: dict[str, dict[int, list[Attempt]]] = {str(arm["name"]): {} for arm in plan.get("arms", [])}
    for trial in trials:
        planned.setdefault(trial["arm"], {})[trial["replicate"]] = found[trial["id"]]
    notes = []
    if strangers:
        notes.append(f"records of no trial of this plan, left out: {strangers}")
    if other_protocol:
        notes.append(f"records of another protocol version, left out: {other_protocol}")
    return {name: _arm_trials(name, members) for name, members in planned.items()}, notes


def _arm_trials(name: str, members: Mapping[int, list[Attempt]]) -> ArmTrials:
    """Enter attempts as they ended: the first that ended for good stands, there are no second tries."""
    planned = tuple(sorted(members))
    attempts = [(replicate, one) for replicate in planned for one in _as_ended(members[replicate])]
    counted: dict[int, Attempt] = {}
    for replicate, one in attempts:
        if one.status in COUNTED and replicate not in counted:
            counted[replicate] = one
    good = {at: one for at, one in counted.items() if one.status == "completed" and one.top1 is not None}
    return ArmTrials(name, planned, attempts, counted, good)


def _as_ended(attempts: list[Attempt]) -> list[Attempt]:
    """Return attempts at one trial in the order in which they ended; one that two arms share may be read twice."""
    if len(attempts) < 2:
        return attempts
    ended = {one.ended: one for one in attempts}
    return [ended[key] for key in sorted(ended)]

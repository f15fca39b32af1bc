"""Which records count: the final attempt of every trial of the plan, under the arms that the plan gives it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.record.record import ended_order

Record = Mapping[str, Any]

FAILED_BY_ARM = frozenset({"diverged", "oom", "timeout", "crashed", "failed"})


@dataclass(frozen=True, slots=True)
class ArmTrials:
    """One arm's trials.

    Attributes:
        name: The arm.
        planned: Its replicates, ascending.
        attempts: Every record of its trials, by replicate and attempt.
        counted: The record that counts, by replicate; a replicate that only the machine has stopped has none.
        good: Those of them that completed with a finite test accuracy.
        top1: Of the good ones the test accuracy, in points: asked for so often that it is looked up once.
        changed: Replicates whose counted record says that global state was changed.
    """

    name: str
    planned: tuple[int, ...]
    attempts: list[tuple[int, Record]] = field(default_factory=list)
    counted: dict[int, Record] = field(default_factory=dict)
    good: dict[int, Record] = field(default_factory=dict)
    top1: dict[int, float] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for replicate, record in self.counted.items():
            self.note(replicate, record)

    def note(self, replicate: int, record: Record) -> None:
        """Look up what is asked of a record that counts again and again; keep it as good where it is."""
        if record.get("changes"):
            self.changed.add(replicate)
        top1 = number_at(record, "results", "test", "top1") if record.get("status") == "completed" else None
        if top1 is not None:
            self.good[replicate] = record
            self.top1[replicate] = top1


def value_at(record: object, *keys: str) -> Any:
    """Return what lies under `keys`, or None where any of them is absent."""
    for key in keys:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def number_at(record: object, *keys: str) -> float | None:
    """Return the finite number under `keys`, or None: NaN, infinity and a wrong type are absences."""
    for key in keys:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    value = record
    if type(value) is float:  # nearly all are: a hundred thousand records are asked some fifty times
        return value if math.isfinite(value) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def numbers_at(records: Iterable[object], *keys: str) -> list[float]:
    """Return the finite numbers under `keys` of those records that hold one."""
    return [value for record in records if (value := number_at(record, *keys)) is not None]


def is_good(record: Record) -> bool:
    """Return whether a record completed and holds a finite test accuracy."""
    return record.get("status") == "completed" and number_at(record, "results", "test", "top1") is not None


def select(plan: Mapping[str, Any], records: Iterable[Record]) -> tuple[dict[str, ArmTrials], list[str]]:
    """Give every record to the arms whose trials it is.

    The plan decides, not the record's `arm`: an id does not contain the arm's name, so a record may have been
    written under another name, and two arms with equal recipes share their trials.

    Returns:
        The trials by arm, in the plan's order, and one line for each kind of record that was left out.
    """
    places: dict[str, list[tuple[str, int]]] = {}
    planned: dict[str, set[int]] = {str(arm["name"]): set() for arm in plan.get("arms", [])}
    for trial in plan.get("trials", []):
        places.setdefault(trial["id"], []).append((trial["arm"], trial["replicate"]))
        planned.setdefault(trial["arm"], set()).add(trial["replicate"])
    trials = {name: ArmTrials(name, tuple(sorted(replicates))) for name, replicates in planned.items()}
    strangers = other_protocol = 0
    previous = None
    for order, _, record in sorted((_order(record), place, record) for place, record in enumerate(records)):
        # A trial that two arms share is read twice.
        if order == previous:
            continue
        previous = order
        where = places.get(record.get("trial", ""), [])
        if not where:
            strangers += 1
        elif record.get("protocol") != plan.get("protocol"):
            other_protocol += 1
        else:
            for arm, replicate in where:
                _take(trials[arm], replicate, record)
    notes = []
    if strangers:
        notes.append(f"records of no trial of this plan, left out: {strangers}")
    if other_protocol:
        notes.append(f"records of another protocol version, left out: {other_protocol}")
    for arm_trials in trials.values():
        arm_trials.attempts.sort(key=lambda pair: pair[0])
    return trials, notes


def _order(record: Record) -> tuple[str, str, int, str]:
    return str(record.get("trial")), *ended_order(record)


def _take(trials: ArmTrials, replicate: int, record: Record) -> None:
    """Enter an attempt. They come as they ended, and the first that ended for good stands: no second tries."""
    trials.attempts.append((replicate, record))
    final = record.get("status") == "completed" or record.get("status") in FAILED_BY_ARM
    if final and trials.counted.setdefault(replicate, record) is record:
        trials.note(replicate, record)

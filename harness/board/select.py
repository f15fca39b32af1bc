"""Which records count: the final attempt of every trial of the plan, under the arms that the plan gives it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.record.attempt import Attempt
from harness.record.packed import Run, amount, finite, runs_of

Record = Mapping[str, Any]
CountedRest = tuple[Mapping[str, Any], int]

FAILED_BY_ARM = frozenset({"diverged", "oom", "timeout", "crashed", "failed"})
COUNTED = FAILED_BY_ARM | {"completed"}


@dataclass(frozen=True, slots=True)
class ArmTrials:
    """One arm's trials.

    Attributes:
        name: The arm.
        planned: Its replicates, ascending.
        others: The records of its trials that do not count, by replicate and in the order in which they ended.
        counted: The record that counts, by replicate; a replicate that only the machine has stopped has none.
        good: Those of them that completed with a finite test accuracy.
        top1: Of the good ones the test accuracy, in points.
        accuracies: The same as packed numbers, which a second process reads without copying what they came from.
        test_counts: How many test examples the good ones had: one number, where all is well.
        runs: Of the good ones, where their lists of numbers lie.
        counted_rests: What the counted ones have under `rest`, each of them once, and how many have it.
        good_rests: The same of the good ones.
        changed: Replicates whose counted record says that global state was changed.
    """

    name: str
    planned: tuple[int, ...]
    others: list[tuple[int, Attempt]] = field(default_factory=list)
    counted: dict[int, Attempt] = field(default_factory=dict)
    good: dict[int, Attempt] = field(default_factory=dict)
    top1: dict[int, float] = field(default_factory=dict)
    accuracies: array[float] = field(default_factory=lambda: array("d"))
    test_counts: set[int] = field(default_factory=set)
    runs: list[Run] = field(default_factory=list)
    counted_rests: list[CountedRest] = field(default_factory=list)
    good_rests: list[CountedRest] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Look at each attempt once, for all who ask later."""
        self.top1.update({at: one.top1 for at, one in self.good.items() if one.top1 is not None})
        self.accuracies.extend(self.top1.values())
        self.test_counts.update([one.test_count for one in self.good.values()])
        self.runs.extend(runs_of(self.good.values()))
        self.counted_rests.extend(counted_rests(self.counted.values()))
        is_same = len(self.good) == len(self.counted)
        self.good_rests.extend(self.counted_rests if is_same else counted_rests(self.good.values()))
        if any(rest["changes"] for rest, _ in self.counted_rests):
            self.changed.update(at for at, one in self.counted.items() if one.rest["changes"])


def counted_rests(attempts: Iterable[Attempt]) -> list[CountedRest]:
    """Return what attempts have under `rest`, each of them once, and how many have it: it is shared by many."""
    rests = [one.rest for one in attempts]
    counts = Counter(map(id, rests))
    return [(rest, counts[place]) for place, rest in dict(zip(map(id, rests), rests, strict=True)).items()]


def rests_of(arms: Iterable[ArmTrials]) -> list[CountedRest]:
    """Return what the counted attempts of arms have under `rest`, each of them once, and how many have it."""
    found: dict[int, CountedRest] = {}
    for arm in arms:
        for rest, count in arm.counted_rests:
            before = found.get(id(rest), (rest, 0))[1]
            found[id(rest)] = (rest, before + count)
    return list(found.values())


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


def amount_at(record: object, *keys: str) -> float | None:
    """Return the seconds, bytes, joules or rate under `keys`, or None: what cannot have been measured is absent too."""
    return amount(value_at(record, *keys))


def amounts_at(records: Iterable[object], *keys: str) -> list[float]:
    """Return the amounts under `keys` of those records that hold one."""
    return [value for record in records if (value := amount_at(record, *keys)) is not None]


def numbers_at(records: Iterable[object], *keys: str) -> list[float]:
    """Return the finite numbers under `keys` of those records that hold one."""
    return [value for record in records if (value := number_at(record, *keys)) is not None]


def is_good(record: Record) -> bool:
    """Return whether a record completed and holds a finite test accuracy."""
    return record.get("status") == "completed" and number_at(record, "results", "test", "top1") is not None


def known(values: Sequence[float | None]) -> list[float]:
    """Return the numbers among `values`."""
    return [value for value in values if value is not None]


Placed = tuple[int | None, Attempt]
"""An attempt, and which of the plan's trials it is of: None where it is of none of them."""


def placed_in(plan: Mapping[str, Any], attempts: Iterable[Attempt]) -> list[Placed]:
    """Return attempts with their places in the plan; trials that two arms share have one, that of the last."""
    place_of = {trial["id"]: place for place, trial in enumerate(plan.get("trials", []))}
    return [(place_of.get(one.trial), one) for one in attempts]


def select(plan: Mapping[str, Any], attempts: Iterable[Placed]) -> tuple[dict[str, ArmTrials], list[str]]:
    """Give every attempt to the arms whose trial it is.

    The plan decides, not the record's `arm`: an id does not contain the arm's name, so a record may have been
    written under another name, and two arms with equal recipes share their trials.

    Returns:
        The trials by arm, in the plan's order, and one line for each kind of record that was left out.
    """
    trials = plan.get("trials", [])
    first: list[Attempt | None] = [None] * len(trials)
    more: dict[int, list[Attempt]] = {}
    strangers = other_protocol = 0
    protocol = plan.get("protocol")
    for place, attempt in attempts:
        if place is None:
            strangers += 1
        elif attempt.rest["protocol"] != protocol:
            other_protocol += 1
        elif first[place] is None:
            first[place] = attempt
        else:
            more.setdefault(place, []).append(attempt)
    place_of = {trial["id"]: place for place, trial in enumerate(trials)}
    planned: dict[str, dict[int, int]] = {str(arm["name"]): {} for arm in plan.get("arms", [])}
    for place, trial in enumerate(trials):
        own = place if len(place_of) == len(trials) else place_of[trial["id"]]
        planned.setdefault(trial["arm"], {})[trial["replicate"]] = own
    notes = []
    if strangers:
        notes.append(f"records of no trial of this plan, left out: {strangers}")
    if other_protocol:
        notes.append(f"records of another protocol version, left out: {other_protocol}")
    return {name: _arm_trials(name, own, first, more) for name, own in planned.items()}, notes


def _arm_trials(
    name: str,
    places: Mapping[int, int],
    first: Sequence[Attempt | None],
    more: Mapping[int, Sequence[Attempt]],
) -> ArmTrials:
    """Enter attempts as they ended: the first that ended for good stands, there are no second tries.

    Args:
        name: The arm's.
        places: Its trials, by replicate.
        first: By trial, the attempt that was met first; nearly always the only one.
        more: By trial, those that were met after it.
    """
    planned = tuple(sorted(places))
    counted: dict[int, Attempt] = {}
    others: list[tuple[int, Attempt]] = []
    for replicate in planned:
        if (one := first[place := places[replicate]]) is None:
            continue
        for attempt in _as_ended([one, *more[place]]) if place in more else (one,):
            if attempt.status in COUNTED and replicate not in counted:
                counted[replicate] = attempt
            else:
                others.append((replicate, attempt))
    good = {at: one for at, one in counted.items() if one.status == "completed" and one.top1 is not None}
    return ArmTrials(name, planned, others, counted, good)


def _as_ended(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return attempts at one trial in the order in which they ended; one that two arms share may be read twice."""
    ended = {one.ended: one for one in attempts}
    return [ended[key] for key in sorted(ended)]

"""What may be compared (PROTOCOL.md): which records count together in accuracy, and which timings in speed.

Accuracy hangs on the major version of the schema, the protocol, the data manifest, the split, the budget, the
evaluation, the precision class, and world size × batch size. It does not hang on the machine: bits are equal on one
type of CPU and one build only, elsewhere to a tolerance, and that tolerance is far below the noise between
replicates. So records of other hosts count, and the board is stamped `mixed hosts` (`environment`).

Speed and memory hang on the machine as well: GPU model, count and memory, the driver's major version, CUDA, cuDNN,
torch, compile mode, CPU model, cores, power cap, workers. Compile mode and workers stand in the recipe and the plan.
Python's version and the operating system count too, because they decide what a step costs on the host; the kernel's
release, clocks, temperature, time and the host's name do not.

Where a plan has a budget in seconds accuracy hangs on all of that too: another machine takes another number of steps.

What differs is never pooled: what contradicts its plan (a record that names another recipe, say) is left out, however
many there are; of several groups of machines the largest is shown, and where two are equally large the one whose first
member comes first in the plan. What is left out is told with numbers. On request everything is pooled and the
board is stamped; even then rounds of different machines are not paired with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from harness.board.alike import Comparable, Group, group_alike
from harness.board.gate_hosts import speed_keys
from harness.board.in_seconds import is_in_seconds
from harness.board.select import Placed, Record, value_at
from harness.registry.digests import digest_json

Json = dict[str, Any]
Shared = Mapping[str, Any]


def accuracy_entries(
    recipe: Mapping[str, Any], manifest: Mapping[str, Any], *, world_size: int = 1
) -> dict[str, Any]:
    """Return what accuracy hangs on, flat, as far as recipe and manifest say it; null where they do not.

    Schema and protocol are the records' own, and compared beside this.
    """
    batch_size = recipe.get("batch_size")
    return {
        "data": manifest.get("hash"),
        "split.train": value_at(manifest, "splits", "train", "digest"),
        "split.test": value_at(manifest, "splits", "test", "digest"),
        "split.validation": value_at(recipe, "dataset", "validation"),
        "budget": recipe.get("budget"),
        "evaluation": recipe.get("evaluation"),
        "precision": value_at(recipe, "numerics", "precision"),
        "world_size × batch_size": world_size * batch_size if isinstance(batch_size, int) else batch_size,
    }


def speed_entries(host: Any, name: str | None) -> dict[str, Any]:
    """Return what the speed of a machine hangs on, flat.

    Args:
        host: The fingerprint, or None where it cannot be read: then it is a machine of its own.
        name: The fingerprint's hash.
    """
    return speed_keys(host) if isinstance(host, dict) else {"host": name}


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the entries in which two sides differ, sorted; one that either side does not know is no difference."""
    return sorted(
        key
        for key in one.keys() & other.keys()
        if one[key] is not None and other[key] is not None and one[key] != other[key]
    )


def comparable_records(
    plan: Mapping[str, Any], attempts: Iterable[Placed], shared: Shared, *, allow_mixed: bool = False
) -> Comparable[Placed]:
    """Return the attempts whose accuracy may be compared.

    Arms may differ in what their `varies` declares, so a record is held against the arm that it is a trial of: a
    group is in what its records are unlike their plan, and the usual one is nothing.

    Args:
        plan: The plan as JSON.
        attempts: Of any plan; those of another plan or protocol pass, `select` tells of them.
        shared: By hash, what the records refer to.
        allow_mixed: Pool all of them.
    """
    arm_at = [str(trial["arm"]) for trial in plan.get("trials", [])]
    unlike, in_seconds = _unlike(plan, shared), is_in_seconds(plan)
    protocol = plan.get("protocol")
    passing: list[Placed] = []
    # What the attempts of an arm hang on stands under `rest`, which most of them share.
    alike: dict[tuple[str, int], list[Placed]] = {}
    groups: dict[bytes, tuple[Mapping[str, Any], list[Placed], frozenset[str]]] = {}
    for placed in attempts:
        place, attempt = placed
        if place is None:
            passing.append(placed)
            continue
        members = alike.get(kind := (arm_at[place], id(attempt.rest)))
        if members is None:
            if attempt.rest["protocol"] == protocol:
                own = unlike(attempt.rest, arm_at[place])
                # With a budget in seconds accuracy hangs on the machine as well.
                machine = _machine(attempt.rest, shared) if in_seconds else {}
                entries = {**own, **_schema(attempt.rest), **machine}
                text = orjson.dumps(entries, option=orjson.OPT_SORT_KEYS)
                members = groups.setdefault(text, (entries, [], frozenset(own)))[1]
            else:
                members = passing
            alike[kind] = members
        members.append(placed)
    found, _ = group_alike(
        (
            Group(entries, members, (min(place or 0 for place, _ in members), 0), own)
            for entries, members, own in groups.values()
        ),
        "trials",
        "record",
        allow_mixed,
    )
    return replace(found, members=[*passing, *found.members])


def comparable_timings(
    plan: Mapping[str, Any], timings: Sequence[Record], shared: Shared, *, allow_mixed: bool = False
) -> Comparable[Record]:
    """Return the timings whose speed and memory may be compared: those of one kind of machine.

    Of several timings of one arm in one round on one kind of machine the first counts. Where machines are pooled on
    request, their rounds get numbers of their own, so that a ratio is always that of one machine.

    Args:
        plan: The plan as JSON.
        timings: Its timing records.
        shared: By hash, what they refer to.
        allow_mixed: Pool all of them.
    """
    order = {str(arm["name"]): number for number, arm in enumerate(plan.get("arms", []))}
    unlike = _unlike(plan, shared)

    def alone(timing: Record) -> Group[Record]:
        arm = str(timing.get("arm"))
        own = unlike(timing, arm) if arm in order else {}
        place = (int(timing.get("round") or 0), order.get(arm, len(order)))
        return Group({**own, **_schema(timing), **_machine(timing, shared)}, [timing], place, frozenset(own))

    found, shown = group_alike(map(alone, timings), "timings", "timing", allow_mixed)
    return replace(found, members=_numbered([_first_of_each(group.members) for group in shown]))


def comparability_of(accuracy: Comparable[Any], speed: Comparable[Any]) -> Json:
    """Return the board's `comparability`."""
    return {
        "accuracy": accuracy.groups,
        "speed": speed.groups,
        "left_out": accuracy.left_out + speed.left_out,
        "mixed": accuracy.mixed or speed.mixed,
    }


def _unlike(plan: Mapping[str, Any], shared: Shared) -> Callable[[Record, str], Mapping[str, Any]]:
    """Return what tells in which entries a record is unlike the arm of the plan that it belongs to."""
    manifests = plan.get("manifests") or {}
    planned = {
        str(arm["name"]): {
            "recipe": arm.get("recipe") or {},
            "manifest": manifests.get(arm.get("data")) or {},
        }
        for arm in plan.get("arms", [])
    }
    digests = {
        arm: {name: digest_json(value) for name, value in told.items() if value}
        for arm, told in planned.items()
    }

    def unlike(record: Record, arm: str) -> Mapping[str, Any]:
        wanted, size = planned[arm], record.get("world_size")
        found = {name: _referred(record, name, shared) or value for name, value in wanted.items()}
        entries = accuracy_entries(
            found["recipe"], found["manifest"], world_size=1 if size is None else int(size)
        )
        own = {
            name: entries[name]
            for name in differing(accuracy_entries(wanted["recipe"], wanted["manifest"]), entries)
        }
        # One trial has one recipe and one manifest. What else they hold is not compared, but it is another's.
        named = {name: value_at(record, "refs", name) for name in digests[arm]}
        others = {name: one for name, one in named.items() if one in shared and one != digests[arm][name]}
        if not own or any(shared[one] is None for one in others.values()):
            own |= others
        return own

    return unlike


def _schema(record: Record) -> Mapping[str, Any]:
    return {} if record.get("schema") is None else {"schema": record["schema"]}


def _machine(record: Record, shared: Shared) -> Mapping[str, Any]:
    name = value_at(record, "refs", "host")
    return speed_entries(shared.get(name) if isinstance(name, str) else None, name)


def _referred(record: Record, name: str, shared: Shared) -> Json | None:
    digest = value_at(record, "refs", name)
    value = shared.get(digest) if isinstance(digest, str) else None
    return value if isinstance(value, dict) else None


def _first_of_each(timings: Sequence[Record]) -> list[Record]:
    """Return one timing for each arm and round: a completed one before any other, then the first that ended."""
    chosen: dict[tuple[str, int], Record] = {}
    for timing in sorted(timings, key=_ended):
        chosen.setdefault((str(timing.get("arm")), int(timing.get("round") or 0)), timing)
    return list(chosen.values())


def _ended(timing: Record) -> tuple[bool, str, str]:
    return (
        timing.get("status") != "completed",
        str(timing.get("finished_at") or ""),
        str(timing.get("content_hash")),
    )


def _numbered(groups: Sequence[Sequence[Record]]) -> list[Record]:
    """Return the timings of all groups; where there are several, each round of each has a number of its own."""
    if len(groups) < 2:
        return [timing for group in groups for timing in group]
    numbers = sorted(
        {(at, int(timing.get("round") or 0)) for at, group in enumerate(groups) for timing in group}
    )
    known = {pair: number for number, pair in enumerate(numbers)}
    return [
        {**timing, "round": known[at, int(timing.get("round") or 0)]}
        for at, group in enumerate(groups)
        for timing in group
    ]

"""Records put into groups of what is alike: the largest counts, the others are left out and told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import orjson

from harness.board.host_words import groups_in_words
from harness.registry.digests import digest_json

Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Comparable(Generic[T]):
    """The records, or the timings, that count together.

    Attributes:
        members: Those that count.
        groups: The largest first: `{fingerprint, trials or timings, shown, differs}`, `differs` being what the
            groups have unlike.
        left_out: How many do not count.
        notes: What a reader of the board has to be told.
        mixed: Whether unlike ones were pooled on request.
    """

    members: list[T]
    groups: list[Json]
    left_out: int
    notes: list[str]
    mixed: bool


@dataclass(frozen=True, slots=True)
class Group(Generic[T]):
    """What is alike.

    Attributes:
        entries: In what it is alike.
        members: What is alike.
        place: Where in the plan the first of them stands.
        unlike: Names of the entries that contradict the plan; where there are any, it counts on request only.
    """

    entries: Mapping[str, Any]
    members: list[T]
    place: tuple[int, int]
    unlike: frozenset[str]


def group_alike(
    batches: Iterable[Group[T]], counted: str, word: str, allow_mixed: bool
) -> tuple[Comparable[T], list[Group[T]]]:
    """Put what is alike into one group, and keep the largest that is as planned; return it with the groups shown.

    Args:
        batches: What is grouped, in batches whose members are known to be alike.
        counted: Name of the count in a group, "trials" or "timings".
        word: What one of them is called in a note, "record" or "timing".
        allow_mixed: Show all groups.
    """
    found: dict[bytes, Group[T]] = {}
    for batch in batches:
        kind = orjson.dumps(batch.entries, option=orjson.OPT_SORT_KEYS)
        own = found.setdefault(kind, Group(batch.entries, [], batch.place, batch.unlike))
        own.members.extend(batch.members)
        if batch.place < own.place:
            found[kind] = replace(own, place=batch.place)
    groups = sorted(
        found.values(),
        key=lambda group: (
            bool(group.unlike),
            -len(group.members),
            group.place,
            digest_json(group.entries),
        ),
    )
    shown = groups if allow_mixed else [group for group in groups[:1] if not group.unlike]
    left_out = sum(len(group.members) for group in groups[len(shown) :])
    mixed = len(shown) > 1
    # Where nothing is as planned, the plan is what all are unlike.
    told = groups if shown else [*map(_as_planned, groups[:1]), *groups]
    names = _unlike_names(told)
    listed = [
        {
            "fingerprint": digest_json(group.entries)[:12],
            counted: len(group.members),
            "shown": number < len(shown),
            "differs": {name: group.entries.get(name) for name in names},
        }
        for number, group in enumerate(groups)
    ]
    kept = [one for group in shown for one in group.members]
    notes = _notes(told, names, left_out, word, mixed)
    return Comparable(kept, listed, left_out, notes, mixed), shown


def _as_planned(group: Group[T]) -> Group[T]:
    entries = {name: value for name, value in group.entries.items() if name not in group.unlike}
    return Group(entries, [], group.place, frozenset())


def _unlike_names(groups: Sequence[Group[Any]]) -> list[str]:
    """Return the entries that are not alike in all groups."""
    names = sorted({name for group in groups for name in group.entries})
    return [name for name in names if len({repr(group.entries.get(name)) for group in groups}) > 1]


def _notes(
    groups: Sequence[Group[Any]], names: Sequence[str], left_out: int, word: str, mixed: bool
) -> list[str]:
    if not left_out and not mixed:
        return []
    what = "accuracy" if word == "record" else "speed and memory"
    entries = groups_in_words(names, [group.entries for group in groups], is_pooled=mixed)
    total = sum(len(group.members) for group in groups)
    if mixed:
        pooled = f"mixed {what}: {total} {word}s of {len(groups)} kinds that may not be compared are pooled on request"
        return [f"{pooled} (they differ in {entries})"]
    why = "may not be compared with the others" if left_out < total else "are not what the plan says"
    return [f"{what}: {left_out} of {total} {word}s left out, they {why} (they differ in {entries})"]

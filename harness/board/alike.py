"""Records put into groups of what is alike: the largest counts, the others are left out and told."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from harness.board.select import Record
from harness.registry.digests import digest_json

Json = dict[str, Any]

_MOST_NAMED = 6
"""Entries that a note names; the board's JSON has them all."""


@dataclass(frozen=True, slots=True)
class Comparable:
    """The records, or the timings, that count together.

    Attributes:
        members: Those that count.
        groups: The largest first: `{fingerprint, trials or timings, shown, differs}`, `differs` being what the
            groups have unlike.
        left_out: How many do not count.
        notes: What a reader of the board has to be told.
        mixed: Whether unlike ones were pooled on request.
    """

    members: list[Record]
    groups: list[Json]
    left_out: int
    notes: list[str]
    mixed: bool


@dataclass(frozen=True, slots=True)
class Group:
    """What is alike: its entries, its members, and where in the plan the first of them stands."""

    entries: Mapping[str, Any]
    members: list[Record]
    place: tuple[int, int]


def group_alike(
    records: Sequence[Record],
    place_of: Callable[[Record], tuple[int, int] | None],
    entries_of: Callable[[Record], tuple[Hashable, Callable[[], Mapping[str, Any]]]],
    counted: str,
    word: str,
    allow_mixed: bool,
) -> tuple[Comparable, list[Group]]:
    """Group records by what they hang on, and keep the largest group; return it with the groups that are shown.

    Args:
        records: What is grouped.
        place_of: Where a record stands in the plan, which decides between groups of one size; None for one that is
            no business of this grouping: it passes.
        entries_of: What a record hangs on: a key that is cheap to make, and what makes its entries. Records of one
            key have the same entries, so these are made once for each key.
        counted: Name of the count in a group, "trials" or "timings".
        word: What one of them is called in a note, "record" or "timing".
        allow_mixed: Show all groups.
    """
    kinds: dict[Hashable, bytes] = {}
    entries: dict[bytes, Mapping[str, Any]] = {}
    members: dict[bytes, list[Record]] = {}
    first: dict[bytes, tuple[int, int]] = {}
    passing: list[Record] = []
    for record in records:
        place = place_of(record)
        if place is None:
            passing.append(record)
            continue
        key, made = entries_of(record)
        if key not in kinds:
            told = made()
            kinds[key] = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
            entries.setdefault(kinds[key], told)
        kind = kinds[key]
        members.setdefault(kind, []).append(record)
        first[kind] = min(place, first.get(kind, place))
    groups = sorted(
        (Group(entries[kind], members[kind], first[kind]) for kind in members),
        key=lambda group: (-len(group.members), group.place, digest_json(group.entries)),
    )
    shown = groups if allow_mixed else groups[:1]
    left_out = sum(len(group.members) for group in groups[len(shown) :])
    mixed = len(shown) > 1
    names = _unlike_names(groups)
    listed = [
        {
            "fingerprint": digest_json(group.entries)[:12],
            counted: len(group.members),
            "shown": number < len(shown),
            "differs": {name: group.entries.get(name) for name in names},
        }
        for number, group in enumerate(groups)
    ]
    kept = [*passing, *(one for group in shown for one in group.members)]
    notes = _notes(groups, names, left_out, word, mixed)
    return Comparable(kept, listed, left_out, notes, mixed), shown


def _unlike_names(groups: Sequence[Group]) -> list[str]:
    """Return the entries that are not alike in all groups."""
    names = sorted({name for group in groups for name in group.entries})
    return [name for name in names if len({repr(group.entries.get(name)) for group in groups}) > 1]


def _notes(groups: Sequence[Group], names: Sequence[str], left_out: int, word: str, mixed: bool) -> list[str]:
    if not left_out and not mixed:
        return []
    what = "accuracy" if word == "record" else "speed and memory"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    entries = ", ".join(names[:_MOST_NAMED]) + more
    total = sum(len(group.members) for group in groups)
    if mixed:
        pooled = f"mixed {what}: {total} {word}s of {len(groups)} kinds that may not be compared are pooled on request"
        return [f"{pooled} (they differ in {entries})"]
    return [
        f"{what}: {left_out} of {total} {word}s left out, they may not be compared with the others "
        f"(they differ in {entries})"
    ]

"""Many records read flat, by two processes: what a board asks of each, straight from its bytes.

The second process reads the second half and tells it some hundred trials at a time. Column by column, for that is how
`marshal` and the first process take in most at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, repeat
from pathlib import Path
from typing import Any

import orjson

from harness.record.attempt import Attempt, Keyed, attempt_of, keyed
from harness.record.halves import beside
from harness.record.packed import Block, joined
from harness.record.place import Places
from harness.record.reading import (
    USUAL,
    Reading,
    add,
    bytes_of,
    finish,
    names_in,
    read_trial,
    strangers_in,
    without_collecting,
)

Json = dict[str, Any]

_FEWEST = 2_000
"""Trials from which a second process pays."""
_OWN_PERCENT = 46
"""What the first process reads of many trials: it also takes in what the second one reads."""
_AT_ONCE = 128


def read_flat(root: Path, plan: Mapping[str, Any]) -> Reading[Attempt]:
    """Return all that the folder `root` holds of a plan, its records flat; by two processes where there are many."""
    found: Reading[Attempt] = Reading([])
    later: Reading[Attempt] = Reading([])
    places, known = Places(plan), _Rests()
    folder, trials = f"{root}/trials", list(places.trials)
    is_many = len(trials) >= _FEWEST
    own = _OWN_PERCENT * len(trials) // 100 if is_many else 0
    with (
        without_collecting(),
        beside(lambda: _flat_parts(folder, trials[own:], places), is_worth_it=is_many) as second,
    ):
        for part in _flat_parts(folder, trials[:own], places):
            add(found, _attempts(part, known))
            for other in second.come():
                add(later, _attempts(other, known))
        strangers = strangers_in(root, places)
        if is_many:
            import numpy  # noqa: F401 - what a board of so many takes: loaded while the other process reads
        for other in second:
            add(later, _attempts(other, known))
    add(found, later)
    finish(root, places, found, [rest["refs"] for rest in known.values()], strangers)
    return found


class _Rests(dict[bytes, Json]):
    """By their JSON, what attempts have under `rest`: one object for all that have the same."""

    def __missing__(self, key: bytes) -> Json:
        found: Json = orjson.loads(key)
        self[key] = found
        return found


def _attempts(part: Any, known: _Rests) -> Reading[Attempt]:
    """Return what `_flat_parts` tells, as a reading."""
    rests, columns, packed, set_aside, others = part
    *facts, places = columns
    own = [known[key] for key in rests]
    rows = zip(*facts, map(own.__getitem__, places), repeat(Block(packed)), count(), strict=False)
    return Reading(list(map(Attempt._make, rows)), set_aside=set_aside, others=others)


def _flat_parts(folder: str, trials: Sequence[str], places: Places) -> Iterator[Any]:
    """Yield what some hundred trials hold, as `marshal` can write it.

    Yields:
        The distinct `rest` as JSON; column by column the attempts' fields up to `test_count`, then where among these
        their `rest` stands; their lists as a `Block` takes them; what is set aside; other names.
    """
    quick = _quick(places)
    for start in range(0, len(trials), _AT_ONCE):
        rows: list[Keyed] = []
        odd: Reading[Json] = Reading([])
        for trial in trials[start : start + _AT_ONCE]:
            found = _usual(folder, trial, quick)
            if found is not None:
                rows.append(found)
            else:
                other = read_trial(folder, trial, places)
                add(odd, other)
                rows.extend(map(keyed, map(attempt_of, other.records)))
        *facts, keys, packed = zip(*rows, strict=True) if rows else ((), ())
        rests = {key: at for at, key in enumerate(dict.fromkeys(keys))}
        columns = [*facts, list(map(rests.__getitem__, keys))]
        yield list(rests), columns, joined(packed), odd.set_aside, odd.others


def _usual(folder: str, trial: str, quick: Any) -> Keyed | None:
    """Return, as `keyed` does, the attempt that stands alone in a trial's folder and is as it should be."""
    own = f"{folder}/{trial}"
    if quick is None or names_in(own) != [USUAL]:
        return None
    try:
        data = bytes_of(f"{own}/{USUAL}")
    except OSError:
        return None
    found: Keyed | None = quick.facts_of(data, trial)
    return found


def _quick(places: Places) -> Any:
    """Return what decodes the usual ones of many records; None for few, which are read before it is imported."""
    if len(places.trials) < _FEWEST:
        return None
    from harness.record.quick import Quick

    return Quick(places)

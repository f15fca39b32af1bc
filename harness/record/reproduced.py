"""Whether a trial that was trained again came out the same: bit for bit, or within what."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

DIGESTS = ("order", "initial_weights", "final_weights", "evaluation_outputs")
"""In the order in which a trial makes them: the first that differs says where it went another way."""

_DECISIVE = ("final_weights", "evaluation_outputs")


def compare_attempts(record: Mapping[str, Any], again: Mapping[str, Any]) -> Json:
    """Return how a record and that of the same trial trained again compare.

    Returns:
        `{equal, status: [then, now], digests: {name: bool or None}, top1: [then, now], top1_difference, nll: [then,
        now], nll_difference, examples: {otherwise, of} or None}`. `equal` is true where both ended alike, and weights,
        outputs and accuracy are the same bit for bit; a trial that did not complete has only its status.
    """
    statuses = [one.get("status") for one in (record, again)]
    digests = {name: _same(_at(record, "digests", name), _at(again, "digests", name)) for name in DIGESTS}
    numbers = {
        name: [_at(one, "results", "test", name) for one in (record, again)] for name in ("top1", "nll")
    }
    known = [digests[name] for name in _DECISIVE]
    proven = all(known) if statuses[0] == "completed" else False not in known
    equal = statuses[0] == statuses[1] and proven and all(pair[0] == pair[1] for pair in numbers.values())
    return {
        "equal": equal,
        "status": statuses,
        "digests": digests,
        **numbers,
        **{f"{name}_difference": _difference(pair) for name, pair in numbers.items()},
        "examples": _judged_otherwise(record, again),
    }


def differing_environment(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> list[str]:
    """Return in what two host fingerprints differ that may change bits, as `libraries.torch 2.9, now 2.15`."""
    if not then or not now:
        return [] if then == now else ["the environment of the record is not known"]
    one, other = (dict(_flat(_table(side.get("accuracy")))) for side in (then, now))
    return [
        f"{name} {_word(one.get(name))}, now {_word(other.get(name))}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _same(one: object, other: object) -> bool | None:
    return None if one is None or other is None else one == other


def _difference(pair: list[Any]) -> float | None:
    return pair[1] - pair[0] if all(type(one) in (int, float) for one in pair) else None


def _judged_otherwise(record: Mapping[str, Any], again: Mapping[str, Any]) -> Json | None:
    """Return on how many test examples only one of the two was right; None where either does not tell."""
    count = _at(record, "results", "test", "count")
    if type(count) is not int:
        return None
    try:
        one, other = (
            base64.b64decode(_at(side, "results", "test", "correct_bits") or "", validate=True)
            for side in (record, again)
        )
    except (binascii.Error, TypeError):
        return None
    if not one or len(one) != len(other):
        return None
    return {"otherwise": sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True)), "of": count}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            yield from _flat(entry, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", entry


def _word(value: object) -> str:
    return "absent" if value is None or value == [] else str(value)


def _at(value: object, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value

"""Records in a third less memory, for a board of a hundred thousand of them: the same values, held once.

What many records have in common becomes one object, long lists of numbers become arrays, and what no board shows is
left out. A board that is built from compact records is the same byte for byte (a test holds it).
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Json = dict[str, Any]

_WORDS = ("schema", "suite", "plan", "arm", "status")
_TABLES = ("refs", "place", "budget", "loader", "mode", "time_to_target", "observables")
_NOT_SHOWN = ("memory",)
_CURVES = ("epoch", "train_loss", "validation_loss", "validation_top1", "learning_rate")
_BINS = ("count", "correct", "confidence")


@contextmanager
def without_collecting() -> Iterator[None]:
    """Pause the collector of cyclic garbage: records are trees, and looking through a million of them takes minutes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def compact(record: Json, known: dict[Any, Any]) -> Json:
    """Return an intact trial record in little memory; it is changed in place.

    Args:
        record: As `open_sealed` returned it.
        known: What earlier records had; of several equal values the first is kept.
    """
    for key in _NOT_SHOWN:
        record.pop(key, None)
    for key in _WORDS:
        if key in record:
            record[key] = _once(record[key], record[key], known)
    for key in _TABLES:
        table = record.get(key)
        if isinstance(table, dict):
            values = tuple(table.values())
            record[key] = _once(table, (key, *table, *values, *map(type, values)), known)
    digests = record.get("digests")
    if isinstance(digests, dict):
        for key, digest in digests.items():
            if key in ("order", "initial_weights"):
                digests[key] = _once(digest, digest, known)
    curves = record.get("curves")
    if isinstance(curves, dict):
        for key in _CURVES:
            curves[key] = _floats(curves.get(key), known if key in ("epoch", "learning_rate") else None)
    _compact_classes(record)
    return record


def _compact_classes(record: Json) -> None:
    for split in ("test", "validation"):
        told = (record.get("results") or {}).get(split) if isinstance(record.get("results"), dict) else None
        if not isinstance(told, dict):
            continue
        for key in ("class_correct", "confusion"):
            if key in told:
                told[key] = _counts(told[key])
        bins = told.get("reliability")
        if isinstance(bins, dict):
            for key in _BINS:
                if key in bins:
                    bins[key] = _counts(bins[key]) if key != "confidence" else _floats(bins[key], None)


def _once(value: Any, key: Any, known: dict[Any, Any]) -> Any:
    try:
        return known.setdefault(key, value)
    except TypeError:  # a table in a table
        return value


def _floats(values: Any, known: dict[Any, Any] | None) -> Any:
    """Return a list of numbers as an array; anything else (a null among them) as it is."""
    if not isinstance(values, list):
        return values
    # What is shown as it stands (epochs, rates) must not turn whole numbers into floats.
    if known is not None and set(map(type, values)) != {float}:
        return values
    try:
        made = array("d", values)
    except (TypeError, OverflowError):
        return values
    return made if known is None else known.setdefault(made.tobytes(), made)


def _counts(values: Any) -> Any:
    """Return a list of whole numbers as an array; anything else as it is."""
    if not isinstance(values, list):
        return values
    try:
        return array("i", values)
    except (TypeError, OverflowError):
        return values

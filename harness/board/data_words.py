"""How many images a board's arms train on, hold out and are judged on, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def sizes(entry: Json) -> str:
    """Return `284 training, 30 validation and 539 test images` of a data set; empty where it tells no size."""
    return _in_words([entry])


def range_of_sizes(data: Sequence[Json]) -> str:
    """Return `648 to 900 training, 72 to 100 validation and 360 to 10,000 test images`; empty where one is unknown."""
    is_known = all(isinstance(entry.get(key), int) for entry in data for key in ("train", "test"))
    return _in_words(data) if is_known else ""


def _in_words(data: Sequence[Json]) -> str:
    """Return the sizes that are known; where it is not known how many are held out, they are among the others."""
    train = [entry["train"] for entry in data if isinstance(entry.get("train"), int)]
    test = [entry["test"] for entry in data if isinstance(entry.get("test"), int)]
    # A board of an earlier version has no such key, and says no more than the split's size.
    held = [entry.get("validation", 0) for entry in data]
    among = "" if None not in held else ", validation among them"
    if among or not train:
        held = [0] * len(data)
    trained = [count - out for count, out in zip(train, held, strict=False)]
    parts = [_range(trained, f"training{among}"), _range(held, "validation"), _range(test, "test")]
    told = [part for part in parts if part]
    if not told:
        return ""
    *first, last = told
    if not first:
        return f"{last.removesuffix(among)} images{among if train else ''}"
    return f"{', '.join(first)}{',' if among else ''} and {last} images"


def _range(counts: Sequence[int], word: str) -> str:
    """Return `720 to 1,000 training`, one number where all are alike; empty where there is nothing."""
    if not any(counts):
        return ""
    low, high = min(counts), max(counts)
    return f"{low:,} {word}" if low == high else f"{low:,} to {high:,} {word}"

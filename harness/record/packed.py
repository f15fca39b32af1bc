"""Lists of numbers as packed bytes: curves, hits by class, confusions, bins of confidence, correctness.

Those of some hundred attempts lie one behind the other in a `Block`: what one arm has of a kind is one piece of memory,
mostly, and a forked process copies none of it.
"""

from __future__ import annotations

import binascii
import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import sub
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from harness.record.attempt import Attempt

CURVES = ("train_loss", "validation_loss", "validation_top1", "learning_rate")
BINS = ("count", "correct", "confidence")
PACKED = ("curves", "class_correct", "confusion", "reliability", "correct")
Packed = tuple[bytes, bytes, bytes, bytes, bytes]
"""One attempt's lists of numbers by `PACKED`, see `Attempt`."""
LEAST, MOST = 1e-9, 1e15
"""Between these lies what a clock or a counter of bytes finds: seconds, bytes, and either of them by the image.

A nanosecond to thirty million years, a petabyte, an image in thirty years to a billion of them in a microsecond. What
lies beyond was not measured; and nothing that is reckoned of what lies between is too large or too small for a float.
"""
MOST_FLOPS = 1e30
"""Operations of a training: thousands of times those of the largest one that there was."""
POINTS = 100.0
ROUNDING = 1.01
"""By how much more than 1 a confidence may be on the average of a bin: what a GPU adds up in float32 is rounded."""
_UNPACKABLE = (TypeError, OverflowError, StructError)


class Block:
    """The packed lists of some attempts, those of each kind one behind the other.

    Attributes:
        columns: By kind, in the order of `PACKED`: the bytes, and where each attempt's begin, with the end of the last.
    """

    __slots__ = ("columns",)

    def __init__(self, parts: Iterable[tuple[bytes, int | list[int]]]) -> None:
        """Take what `joined` returns."""
        self.columns = [
            (data, range(0, len(data) + 1, ends) if isinstance(ends, int) else ends) for data, ends in parts
        ]

    def __getitem__(self, at: tuple[int, int]) -> bytes:
        """Return what an attempt has of one kind."""
        kind, row = at
        data, begins = self.columns[kind]
        return data[begins[row] : begins[row + 1]]


def joined(packed: Sequence[Packed]) -> list[tuple[bytes, int | list[int]]]:
    """Return by kind the lists of some attempts one behind the other, and how long each is, or where they begin."""
    found: list[tuple[bytes, int | list[int]]] = []
    for rows in zip(*packed, strict=True):
        lengths = list(map(len, rows))
        if lengths[0] and lengths.count(lengths[0]) == len(lengths):
            found.append((b"".join(rows), lengths[0]))
        else:
            found.append((b"".join(rows), list(accumulate(lengths, initial=0))))
    return found


class Rows(NamedTuple):
    """The packed lists of one kind that some attempts have.

    Attributes:
        data: One behind the other.
        lengths: Of each, in bytes; 0 where an attempt has none.
    """

    data: bytes
    lengths: list[int]

    def of_length(self, length: int) -> tuple[bytes, list[int]]:
        """Return those of one length one behind the other, and the places of the attempts that have them."""
        if not length:
            return b"", []
        if self.lengths.count(length) == len(self.lengths):  # nearly always
            return self.data, list(range(len(self.lengths)))
        begins = accumulate(self.lengths, initial=0)
        found = [
            (at, begin)
            for at, (begin, own) in enumerate(zip(begins, self.lengths, strict=False))
            if own == length
        ]
        return b"".join([self.data[begin : begin + length] for _, begin in found]), [at for at, _ in found]


Run = tuple[Block, int, int]
"""Attempts that lie side by side: their block, the first one's row, and the row behind the last one's."""


def runs_of(attempts: Iterable[Attempt]) -> list[Run]:
    """Return where the lists of attempts lie, in the attempts' order."""
    runs: list[Run] = []
    block, first, end = None, 0, 0
    for attempt in attempts:
        if attempt.block is block and attempt.row == end:
            end += 1
            continue
        if block is not None:
            runs.append((block, first, end))
        block, first = attempt.block, attempt.row
        end = first + 1
    return runs if block is None else [*runs, (block, first, end)]


def rows_of(runs: Iterable[Run], kind: str) -> Rows:
    """Return what attempts have of a kind of `PACKED`, those of a run at once."""
    number = PACKED.index(kind)
    parts: list[bytes] = []
    lengths: list[int] = []
    for block, first, end in runs:
        data, begins = block.columns[number]
        own = begins[first : end + 1]
        parts.append(data[own[0] : own[-1]])
        lengths += map(sub, own[1:], own)
    return Rows(b"".join(parts), lengths)


def finite(value: object) -> float | None:
    """Return a finite number as a float, or None: NaN, infinity and a wrong type are absences."""
    if type(value) is float:  # nearly all are
        return value if math.isfinite(value) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def amount(value: object) -> float | None:
    """Return seconds, bytes or the like as a float, or None: what cannot have been measured is an absence, as NaN is.

    Zero can: a phase that a trial did not have took none.
    """
    return within(value, MOST, LEAST)


def within(value: object, most: float, least: float = 0.0) -> float | None:
    """Return a number as a float where it is 0 or from `least` to `most`, else None."""
    found = finite(value)
    return found if found is not None and (found == 0.0 or least <= found <= most) else None


def pack_curves(columns: list[Any]) -> bytes:
    """Return curves, lists of an epoch's numbers, as `Attempt.curves` has them."""
    try:
        one, two, three, four = columns
        if len(one) == len(two) == len(three) == len(four):
            return _packer("d", 4 * len(one))(*one, *two, *three, *four)
    except _UNPACKABLE:  # a null among them: an epoch that diverged, a curve that is absent
        pass
    lists = [column if isinstance(column, list) else [] for column in columns]
    epochs = range(max(map(len, lists)))
    numbers = (finite(column[epoch]) if epoch < len(column) else None for column in lists for epoch in epochs)
    return array("d", [math.nan if one is None else one for one in numbers]).tobytes()


def pack_counts(values: object) -> bytes:
    """Return whole numbers packed; nothing where they are none."""
    if not isinstance(values, list):
        return b""
    try:
        return _packer("i", len(values))(*values)
    except _UNPACKABLE:
        return b""


def pack_bins(columns: list[Any]) -> bytes:
    """Return `BINS`, lists of one length, as `Attempt.reliability` has them; nothing where they are none."""
    try:
        count, correct, confidence = columns
        if not len(count) == len(correct) == len(confidence) or not sum(count) > 0:
            return b""
        # NaN compares to nothing, so what is asked is what has to be so.
        most = sum(count)
        if not (min(count) >= 0 and min(correct) >= 0 and sum(correct) <= most <= MOST):
            return b""
        if not (min(confidence) >= 0.0 and sum(confidence) <= ROUNDING * most):
            return b""
        return _packer("d", 3 * len(count))(*count, *correct, *confidence)
    except _UNPACKABLE:
        return b""


@lru_cache(maxsize=256)
def _packer(typecode: str, count: int) -> Callable[..., bytes]:
    """Return what packs so many numbers: in two thirds of the time that an array takes."""
    return Struct(f"={count}{typecode}").pack


def pack_bits(text: object) -> bytes:
    """Return what a text in base64 stands for; nothing where it is none."""
    try:
        return binascii.a2b_base64(text, strict_mode=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""

"""One attempt at a trial, flat: what boards ask of a record, looked up once.

A record is a tree of some thirty tables, and a board asks each of a hundred thousand records some fifty questions. An
`Attempt` holds the answers: numbers that are finite or None, and under `rest` the tables that are the same for many
records, each kept once. Lists of numbers are packed bytes (a tenth of the lists' memory), those of some hundred
attempts in one `Block`: what one arm has of a kind is one piece of memory, mostly, and a forked process copies none of
it. What has another shape than records have is absent here, as everywhere on a board.
"""

from __future__ import annotations

import binascii
import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from operator import sub
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

import orjson

Json = dict[str, Any]

CURVES = ("train_loss", "validation_loss", "validation_top1", "learning_rate")
SECONDS = ("build", "compile", "warm_up", "train", "data_wait", "evaluate")
BINS = ("count", "correct", "confidence")
REST = (
    "schema",
    "protocol",
    "changes",
    "culprit",
    "refs",
    "place",
    "loader",
    "mode",
    "time_to_target",
    "observables",
    "leak",
    "parents",
    "chance_top1",
    "world_size",
)
PACKED = ("curves", "class_correct", "confusion", "reliability", "correct")
Packed = tuple[bytes, bytes, bytes, bytes, bytes]
"""One attempt's lists of numbers by `PACKED`, see `Attempt`."""
Keyed = tuple[Any, ...]
"""An attempt's fields up to `test_count`, its `rest` as JSON, and its `Packed`."""
_UNPACKABLE = (TypeError, OverflowError, StructError)
_EMPTY: Json = {}


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


class Attempt(NamedTuple):
    """What boards ask of one record.

    Attributes:
        trial: Its id.
        number: The attempt's.
        status: How it ended.
        ended: What puts the attempts at one trial in the order in which they ended.
        started_at: UTC, ISO 8601.
        order: Digest of the order of the samples.
        final_weights: Digest.
        evaluation_outputs: Digest.
        top1: Test accuracy, in points.
        nll: Negative log likelihood on the test split.
        validation_top1: In points.
        parameters: How many.
        training_flops: In all.
        seconds: By `SECONDS`.
        test_count: How many test examples there are; 0 where the record does not say.
        rest: As in the record: `refs`, `changes`, `culprit`, ..., `metrics` of the test split, `epoch` and
            `gradient_norms` of the curves. Shared between attempts: not to be written to.
        block: Holds the lists of numbers; those of many attempts are asked for by `rows_of`.
        row: Which of the block's attempts this is.
    """

    trial: str
    number: int
    status: str
    ended: tuple[str, int, str]
    started_at: str | None
    order: str | None
    final_weights: str | None
    evaluation_outputs: str | None
    top1: float | None
    nll: float | None
    validation_top1: float | None
    parameters: float | None
    training_flops: float | None
    seconds: tuple[float | None, ...]
    test_count: int
    rest: Mapping[str, Any]
    block: Block
    row: int

    @property
    def curves(self) -> bytes:
        """By `CURVES` one after the other, float64 a number an epoch; NaN where there is none."""
        return self.block[0, self.row]

    @property
    def class_correct(self) -> bytes:
        """Hits by class on the test split, int32."""
        return self.block[1, self.row]

    @property
    def confusion(self) -> bytes:
        """Counts, target by prediction, int32."""
        return self.block[2, self.row]

    @property
    def reliability(self) -> bytes:
        """Examples by bin of confidence, hits by bin, sum of confidence by bin, float64."""
        return self.block[3, self.row]

    @property
    def correct(self) -> bytes:
        """Which test examples were right: one bit each, as numpy's `packbits` writes them."""
        return self.block[4, self.row]

    def __eq__(self, other: object) -> bool:
        """Return whether both say the same, wherever their lists lie."""
        if not isinstance(other, Attempt) or self[:-2] != other[:-2]:
            return False
        return all(self.block[kind, self.row] == other.block[kind, other.row] for kind in range(len(PACKED)))


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


def rows_of(attempts: Sequence[Attempt], kind: str) -> Rows:
    """Return what attempts have of a kind of `PACKED`; those that lie side by side in a block are taken at once."""
    at, number = 0, PACKED.index(kind)
    parts: list[bytes] = []
    lengths: list[int] = []
    while at < len(attempts):
        block, row = attempts[at].block, attempts[at].row
        end = at + 1
        while end < len(attempts) and attempts[end].block is block and attempts[end].row == row + end - at:
            end += 1
        data, begins = block.columns[number]
        own = begins[row : row + end - at + 1]
        parts.append(data[own[0] : own[-1]])
        lengths += map(sub, own[1:], own)
        at = end
    return Rows(b"".join(parts), lengths)


def attempts_of(records: Iterable[Mapping[str, Any] | Attempt]) -> list[Attempt]:
    """Return records flat; those that were flattened when they were read are taken as they are."""
    known: dict[bytes, Json] = {}
    found = []
    for record in records:
        if not isinstance(record, Attempt):
            record = attempt_of(record)
            record = record._replace(rest=known.setdefault(rest_key(record.rest), dict(record.rest)))
        found.append(record)
    return found


def keyed(attempt: Attempt) -> Keyed:
    """Return an attempt in parts that `marshal` can write."""
    *facts, rest, block, row = attempt
    return (*facts, rest_key(rest), tuple([block[kind, row] for kind in range(len(PACKED))]))


def rest_key(rest: Mapping[str, Any]) -> bytes:
    """Return what tells one `rest` from another."""
    return orjson.dumps(rest)


def attempt_of(record: Mapping[str, Any]) -> Attempt:
    """Return a record flat, with a `rest` of its own."""
    get = record.get
    results, digests, curves = _table(get("results")), _table(get("digests")), _table(get("curves"))
    seconds = _table(get("seconds"))
    test = _table(results.get("test"))
    rest = {key: get(key) for key in REST}
    rest["metrics"] = test.get("metrics")
    rest["epoch"] = curves.get("epoch")
    rest["gradient_norms"] = curves.get("gradient_norms")
    number = get("attempt")
    packed = (
        pack_curves([curves.get(name) for name in CURVES]),
        pack_counts(test.get("class_correct")),
        pack_counts(test.get("confusion")),
        pack_bins([_table(test.get("reliability")).get(name) for name in BINS]),
        _bits(test.get("correct_bits")),
    )
    return Attempt(
        str(get("trial") or ""),
        number or 0,
        str(get("status")),
        (str(get("finished_at") or ""), int(number or 0), str(get("content_hash"))),
        get("started_at"),
        digests.get("order"),
        digests.get("final_weights"),
        digests.get("evaluation_outputs"),
        finite(test.get("top1")),
        finite(test.get("nll")),
        finite(_table(results.get("validation")).get("top1")),
        finite(get("parameters")),
        finite(_table(get("budget")).get("training_flops")),
        tuple([finite(seconds.get(name)) for name in SECONDS]),
        int(finite(test.get("count")) or 0),
        rest,
        Block(joined([packed])),
        0,
    )


def finite(value: object) -> float | None:
    """Return a finite number as a float, or None: NaN, infinity and a wrong type are absences."""
    if type(value) is float:  # nearly all are
        return value if math.isfinite(value) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _table(value: object) -> Json:
    return value if isinstance(value, dict) else _EMPTY


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
        if not math.isfinite(sum(confidence)):
            return b""
        return _packer("d", 3 * len(count))(*count, *correct, *confidence)
    except _UNPACKABLE:
        return b""


@cache
def _packer(typecode: str, count: int) -> Callable[..., bytes]:
    """Return what packs so many numbers: in two thirds of the time that an array takes."""
    return Struct(f"={count}{typecode}").pack


def _bits(text: object) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""

"""One attempt at a trial, flat: what boards ask of a record, looked up once.

A record is a tree of some thirty tables, and a board asks each of a hundred thousand records some fifty questions. An
`Attempt` holds the answers: numbers that are finite or None, lists of numbers as packed bytes (a tenth of the lists'
memory), and under `rest` the tables that are the same for many records, each kept once. What has another shape than
records have is absent here, as everywhere on a board.
"""

from __future__ import annotations

import binascii
import math
from array import array
from collections.abc import Iterable, Mapping
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
_EMPTY: Json = {}


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
        curves: By `CURVES` one after the other, float64 a number an epoch, packed; NaN where there is none.
        class_correct: Hits by class on the test split, int32 packed.
        confusion: Counts, target by prediction, int32 packed.
        reliability: float64 packed: examples by bin of confidence, hits by bin, sum of confidence by bin.
        correct: Which test examples were right: one bit each, packed as numpy's `packbits` does.
        test_count: How many there are; 0 where the record does not say.
        rest: As in the record: `refs`, `changes`, `culprit`, ..., `metrics` of the test split, `epoch` and
            `gradient_norms` of the curves. Shared between attempts: not to be written to.
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
    curves: bytes
    class_correct: bytes | None
    confusion: bytes | None
    reliability: bytes | None
    correct: bytes | None
    test_count: int
    rest: Mapping[str, Any]


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
        pack_curves([curves.get(name) for name in CURVES]),
        pack_counts(test.get("class_correct")),
        pack_counts(test.get("confusion")),
        pack_bins([_table(test.get("reliability")).get(name) for name in BINS]),
        _bits(test.get("correct_bits")),
        int(finite(test.get("count")) or 0),
        rest,
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
            return array("d", one + two + three + four).tobytes()
    except (TypeError, OverflowError):  # a null among them: an epoch that diverged, a curve that is absent
        pass
    lists = [column if isinstance(column, list) else [] for column in columns]
    epochs = range(max(map(len, lists)))
    numbers = (finite(column[epoch]) if epoch < len(column) else None for column in lists for epoch in epochs)
    return array("d", [math.nan if one is None else one for one in numbers]).tobytes()


def pack_counts(values: object) -> bytes | None:
    """Return whole numbers packed; None where they are none."""
    if not isinstance(values, list) or not values:
        return None
    try:
        return array("i", values).tobytes()
    except (TypeError, OverflowError):
        return None


def pack_bins(columns: list[Any]) -> bytes | None:
    """Return `BINS`, lists of one length, as `Attempt.reliability` has them; None where they are none."""
    try:
        count, correct, confidence = columns
        if not len(count) == len(correct) == len(confidence) or not sum(count) > 0:
            return None
        return array("d", count + correct + confidence).tobytes() if math.isfinite(sum(confidence)) else None
    except (TypeError, OverflowError):
        return None


def _bits(text: object) -> bytes | None:
    try:
        return binascii.a2b_base64(text, strict_mode=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None

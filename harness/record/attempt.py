"""One attempt at a trial, flat: what boards ask of a record, looked up once.

A record is a tree of some thirty tables, and a board asks each of a hundred thousand records some fifty questions. An
`Attempt` holds the answers: numbers that are finite or None, and under `rest` the tables that are the same for many
records, each kept once. Lists of numbers are packed bytes (`packed`), a tenth of the lists' memory. What has another
shape than records have is absent here, as everywhere on a board.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from harness.record.packed import (
    BINS,
    CURVES,
    MOST,
    MOST_FLOPS,
    PACKED,
    POINTS,
    Block,
    amount,
    finite,
    joined,
    pack_bins,
    pack_bits,
    pack_counts,
    pack_curves,
    within,
)

Json = dict[str, Any]

SECONDS = ("build", "compile", "warm_up", "train", "data_wait", "evaluate")
REST = (
    "schema",
    "protocol",
    "plan",
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
Keyed = tuple[Any, ...]
"""An attempt's fields up to `test_count`, its `rest` as JSON, and its `Packed`."""
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
        pack_bits(test.get("correct_bits")),
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
        within(test.get("nll"), MOST),
        within(_table(results.get("validation")).get("top1"), POINTS),
        within(get("parameters"), MOST, 1.0),
        within(_table(get("budget")).get("training_flops"), MOST_FLOPS, 1.0),
        tuple([amount(seconds.get(name)) for name in SECONDS]),
        int(finite(test.get("count")) or 0),
        rest,
        Block(joined([packed])),
        0,
    )


def _table(value: object) -> Json:
    return value if isinstance(value, dict) else _EMPTY

"""Records of the usual shape, decoded straight into what a board asks of them: in half the time of the general way.

A decoder that knows the types makes neither tables nor checks that nobody needs. It is for a hundred thousand records
that are as they should be; of whatever is not it says nothing, and `reading.read_trial` looks and says why. What comes
out is what `attempt_of` makes of the same record (a test holds it).
"""

from __future__ import annotations

from operator import attrgetter
from sys import intern
from typing import Any

import msgspec

from harness.record.attempt import REST, SECONDS, Keyed, attempt_of, rest_key
from harness.record.packed import LEAST, MOST, MOST_FLOPS, POINTS, pack_bins, pack_counts, pack_curves
from harness.record.place import Places
from harness.record.record import is_sealed, open_sealed

_Raw = msgspec.Raw
_Numbers = list[float | None] | None


class _Bins(msgspec.Struct, gc=False):
    count: list[int] | None = None
    correct: list[int] | None = None
    confidence: list[float] | None = None


class _Test(msgspec.Struct, gc=False):
    top1: float | None = None
    nll: float | None = None
    count: int = 0
    correct_bits: bytes | None = None
    class_correct: list[int] | None = None
    confusion: list[int] | None = None
    reliability: _Bins | None = None
    metrics: _Raw = _Raw()


class _Validation(msgspec.Struct, gc=False):
    top1: float | None = None


class _Results(msgspec.Struct, gc=False):
    test: _Test
    validation: _Validation | None = None


class _Curves(msgspec.Struct, gc=False):
    train_loss: _Numbers = None
    validation_loss: _Numbers = None
    validation_top1: _Numbers = None
    learning_rate: _Numbers = None
    epoch: _Raw = _Raw()
    gradient_norms: _Raw = _Raw()


class _Budget(msgspec.Struct, gc=False):
    training_flops: float | None = None


class _Seconds(msgspec.Struct, gc=False):
    build: float | None = None
    compile: float | None = None
    warm_up: float | None = None
    train: float | None = None
    data_wait: float | None = None
    evaluate: float | None = None


class _Digests(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    order: str | None = None
    initial_weights: str | None = None
    final_weights: str | None = None
    evaluation_outputs: str | None = None


class _Facts(msgspec.Struct, gc=False):
    trial: str
    attempt: int
    status: str
    suite: str
    replicate: int
    content_hash: str
    results: _Results
    curves: _Curves
    digests: _Digests
    budget: _Budget
    seconds: _Seconds
    arm: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    parameters: float | None = None
    weights: dict[str, Any] | None = None
    # Of a timing, and asked for by type alone.
    round: int | None = None
    augmentations: list[Any] | None = None
    schema: _Raw = _Raw()
    protocol: _Raw = _Raw()
    plan: _Raw = _Raw()
    changes: _Raw = _Raw()
    culprit: _Raw = _Raw()
    refs: _Raw = _Raw()
    place: _Raw = _Raw()
    loader: _Raw = _Raw()
    mode: _Raw = _Raw()
    time_to_target: _Raw = _Raw()
    observables: _Raw = _Raw()
    leak: _Raw = _Raw()
    parents: _Raw = _Raw()
    chance_top1: _Raw = _Raw()
    world_size: _Raw = _Raw()


_decode = msgspec.json.Decoder(_Facts).decode
_raw = attrgetter(*REST)
_seconds = attrgetter(*SECONDS)


class Quick:
    """Decodes the records of one plan.

    Args:
        places: What the plan says of its trials.
    """

    def __init__(self, places: Places) -> None:
        self._suite, self._replicates, self._places = places.suite, places.trials, places
        self._test_counts = places.test_counts
        self._rests: dict[bytes, bytes] = {}

    def facts_of(self, data: bytes, trial: str) -> Keyed | None:
        """Return what `Keyed` names of a trial's attempt; None where anything else is to be said of the bytes.

        Args:
            data: Of the only record in the trial's folder, which is that of the first attempt.
            trial: Its id.
        """
        try:
            one = _decode(data)
        except msgspec.MsgspecError:
            return None
        test, curves, digests = one.results.test, one.curves, one.digests
        top1, bins, seconds = test.top1, test.reliability, _seconds(one.seconds)
        validation_top1 = one.results.validation and one.results.validation.top1
        if (
            one.trial != trial
            or one.attempt != 0
            or one.suite != self._suite
            or one.replicate != self._replicates[trial]
            or (test.count != (count := self._test_counts[trial]) and count is not None)
            or top1 is None
            or not 0.0 <= top1 <= 100.0
            or not 0.0 <= (test.nll or 0.0) <= MOST
            or not 1.0 <= (one.parameters or 1.0) <= MOST
            or not 1.0 <= (one.budget.training_flops or 1.0) <= MOST_FLOPS
            or not 0.0 <= (validation_top1 or 0.0) <= POINTS
            or not is_sealed(data, one.content_hash)
        ):
            return None
        for took in seconds:
            if took and not LEAST <= took <= MOST:
                return None
        told = [*_raw(one), test.metrics, curves.epoch, curves.gradient_norms, one.status.encode()]
        key = b"\n".join(told)
        rest = self._rests.get(key)
        if rest is None:
            rest = self._checked(data)
            if rest is None:
                return None
            self._rests[key] = rest
        return (
            trial,
            0,
            intern(one.status),
            (one.finished_at or "", 0, one.content_hash),
            one.started_at,
            digests.order,
            digests.final_weights,
            digests.evaluation_outputs,
            top1,
            test.nll,
            validation_top1,
            one.parameters,
            one.budget.training_flops,
            seconds,
            test.count,
            rest,
            (
                pack_curves(
                    [curves.train_loss, curves.validation_loss, curves.validation_top1, curves.learning_rate]
                ),
                pack_counts(test.class_correct),
                pack_counts(test.confusion),
                pack_bins([bins.count, bins.correct, bins.confidence]) if bins else b"",
                test.correct_bits or b"",
            ),
        )

    def _checked(self, data: bytes) -> bytes | None:
        """Return the `rest` of a record that is looked at in full, the first of many with the same; or None."""
        try:
            record = open_sealed(data)
        except ValueError:
            return None
        return None if self._places.misfit(record) else rest_key(attempt_of(record).rest)

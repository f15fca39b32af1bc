"""Flat records are those that stand on disk; reading them in two processes finds what reading in one does."""

from __future__ import annotations

import copy
import math
import os
import random
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.record import flat
from harness.record.attempt import SECONDS, Attempt, Keyed, attempt_of, attempts_of
from harness.record.packed import PACKED, Block, amount, joined, rows_of, runs_of
from harness.record.place import Places
from harness.record.quick import Quick
from harness.record.reading import Reading
from harness.record.record import canonical, open_sealed, seal
from harness.record.store import Store

TRIALS = [f"trial-{number}" for number in range(600)]
PLAN = {"hash": "p", "trials": [{"id": trial} for trial in TRIALS]}


def body(trial: str, attempt: int = 0, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "trial": trial, "attempt": attempt, "status": "completed", "refs": {}, **more}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "s")
    for trial in TRIALS[:-1]:  # the last has no folder
        store.write_trial(seal(body(trial, text="x" * 3000)))
    first = [store.trial_folder(trial) / "0.json" for trial in TRIALS[:6]]
    first[0].write_bytes(first[0].read_bytes()[:50])
    first[1].write_bytes(first[1].read_bytes().replace(b"completed", b"diverged_"))
    first[2].write_bytes(first[3].read_bytes())
    first[4].write_bytes(b"")
    store.write_trial(seal(body(TRIALS[5], 1)))
    # A hash within stands before the record's own, and the bytes are another way of writing the same.
    within = seal(body(TRIALS[6], aaa={"content_hash": "0" * 32}))
    (store.trial_folder(TRIALS[6]) / "0.json").write_bytes(canonical(within))
    # Sealed under a hash that is no longer its own.
    forged = canonical(seal(body(TRIALS[7]))).replace(b'"status"', b'"content_hash":"1","status"')
    (store.trial_folder(TRIALS[7]) / "0.json").write_bytes(forged)
    return store


def read_flat(store: Store, monkeypatch: pytest.MonkeyPatch, fewest: int) -> Reading[Attempt]:
    monkeypatch.setattr(flat, "_FEWEST", fewest)
    monkeypatch.setattr(flat, "_AT_ONCE", 64)
    monkeypatch.setattr("threading.active_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    return store.read_flat(PLAN)


@pytest.mark.skipif(sys.platform != "linux", reason="one process alone reads elsewhere")
def test_two_processes_find_what_one_does(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, both = (read_flat(store, monkeypatch, fewest) for fewest in (10**9, 1))
    assert both == alone
    assert len(alone.set_aside) == 5
    assert len(alone.others) == 2


def test_flat_records_are_those_that_are_read_as_they_are(store: Store) -> None:
    whole, flat = store.read(PLAN), store.read_flat(PLAN)
    assert flat.records == attempts_of(whole.records)
    assert (flat.set_aside, flat.others, flat.shared) == (whole.set_aside, whole.others, whole.shared)
    # What many have in common is held once.
    assert len({id(one.rest) for one in flat.records}) < len(flat.records) / 4


@pytest.mark.skipif(sys.platform != "linux", reason="one process alone reads elsewhere")
def test_about_half_of_the_records_are_read_by_the_second_process(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_here = []
    usual = flat._usual
    monkeypatch.setattr(
        flat, "_usual", lambda folder, trial, *more: read_here.append(trial) or usual(folder, trial, *more)
    )
    read_flat(store, monkeypatch, 1)
    assert read_here == TRIALS[: len(read_here)] and 200 < len(read_here) < 360


REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@pytest.mark.parametrize("suite", sorted(path.name for path in REFERENCE.iterdir()))
def test_real_records_are_all_decoded_the_quick_way_and_come_out_the_same(
    suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(REFERENCE / suite)
    plan, whole = store.read_plan(), store.read(store.read_plan())
    places = Places(plan)
    quick = Quick(places)
    for trial in places.trials:
        data = (store.trial_folder(trial) / "0.json").read_bytes()
        found = quick.facts_of(data, trial)
        assert found is not None, f"{trial} is not of the usual shape"
        (record,) = (one for one in whole.records if one["trial"] == trial)
        assert attempt_from(found) == attempt_of(record)


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, 97.5, -1.0, 1e-320, -1e300, 1.7e308, "x", "qqA=", [1, None], {"x": [1]}, 10**20],
    ids=repr,
)
def test_what_is_of_another_type_is_the_same_either_way_or_left_to_the_general_way(value: object) -> None:
    """Every key of a real record in turn, of its tables too."""
    store = Store(REFERENCE / "tricks")
    plan = store.read_plan()
    places = Places(plan)
    trial = next(iter(places.trials))
    record = orjson.loads((store.trial_folder(trial) / "0.json").read_bytes())
    record |= {"round": None, "augmentations": None, "weights": None}
    # Its `rest` is known, so that nothing but the decoder's types looks at what is changed elsewhere.
    quick = Quick(places)
    assert quick.facts_of(canonical(seal(record)), trial) is not None
    taken = 0
    for path in list(paths_of(record)):
        if path == ("content_hash",):
            continue
        changed = copy.deepcopy(record)
        at = changed
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        try:
            data = canonical(seal(changed))
        except TypeError:  # larger than JSON's whole numbers
            return
        found = quick.facts_of(data, trial)
        if found is not None:
            told = open_sealed(data)  # raises where the general way would set it aside
            assert places.misfit(told) is None
            one, other = attempt_from(found), attempt_of(told)
            assert one == other
            assert repr(one[:-2]) == repr(other[:-2])  # 1 is not 1.0 there
            taken += 1
    assert taken > 10 or not isinstance(value, float)


def attempt_from(found: Keyed) -> Attempt:
    *facts, rest, packed = found
    return Attempt._make((*facts, orjson.loads(rest), Block(joined([packed])), 0))


def paths_of(value: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, one in value.items():
        yield (key,)
        if isinstance(one, dict):
            yield from ((key, *path) for path in paths_of(one))


@pytest.mark.skipif(sys.platform != "linux", reason="one process alone reads elsewhere")
def test_a_second_process_that_dies_costs_no_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = read_flat(store, monkeypatch, 10**9)
    usual, parent = flat._usual, os.getpid()

    def dies(folder: str, trial: str, *more: Any) -> Any:
        if trial == "trial-500" and os.getpid() != parent:
            os._exit(1)
        return usual(folder, trial, *more)

    monkeypatch.setattr(flat, "_usual", dies)
    assert read_flat(store, monkeypatch, 1) == alone


def test_numbers_are_packed_as_they_are_and_what_is_none_is_absent() -> None:
    test = {
        "top1": 50.0,
        "count": 12,
        "nll": "1",
        "class_correct": [1, 2.5],
        "confusion": [3, 4],
        "correct_bits": "qqA=",
        "reliability": {"count": [2, 0], "correct": [1, 0], "confidence": [0.5]},
    }
    told = body("t", results={"test": test}, curves={"train_loss": [1, None, 0.5]}, seconds={"train": True})
    flat = attempt_of(told)
    assert (flat.top1, flat.nll, flat.class_correct, flat.reliability) == (50.0, None, b"", b"")
    assert array("i", flat.confusion).tolist() == [3, 4]
    assert flat.correct == bytes([0b10101010, 0b10100000]) and flat.test_count == 12
    one, two, three, *others = array("d", flat.curves)
    assert (one, three) == (1.0, 0.5) and all(map(math.isnan, (two, *others))) and len(others) == 9
    assert flat.seconds == (None,) * len(SECONDS)


@pytest.mark.parametrize("number", [1.7e308, -1e308, -1.0, 1e31])
def test_what_cannot_have_been_measured_is_absent(number: float) -> None:
    bins = {"count": [2, 3], "correct": [1, 2], "confidence": [1.5, 2.25]}
    test = {"top1": 50.0, "nll": number}
    told = attempt_of(
        body("t", results={"test": test, "validation": {"top1": number}})
        | {"parameters": number, "budget": {"training_flops": number}}
        | {"seconds": dict.fromkeys(SECONDS, number)}
    )
    assert told.nll is told.validation_top1 is told.parameters is told.training_flops is None
    assert told.seconds == (None,) * len(SECONDS)
    tiny = attempt_of(body("t") | {"parameters": 1e-320, "budget": {"training_flops": 1e-320}})
    assert tiny.parameters is tiny.training_flops is None
    whole = attempt_of(body("t", results={"test": {**test, "reliability": bins}}))
    assert array("d", whole.reliability).tolist() == [2, 3, 1, 2, 1.5, 2.25]
    for name in bins:
        broken = {**test, "reliability": {**bins, name: [number, 2]}}
        assert attempt_of(body("t", results={"test": broken})).reliability == b""


def test_a_time_is_nothing_or_what_a_clock_can_tell() -> None:
    wanted = {0.0: 0.0, 1e-9: 1e-9, 1e15: 1e15, 3: 3.0, 1e-323: None, 1.1e15: None, -1e-3: None}
    assert {value: amount(value) for value in wanted} == wanted


def test_lists_are_found_again_wherever_they_lie() -> None:
    """Rows of some blocks, in any order: against each attempt asked for by itself."""
    draw = random.Random(0)
    attempts = []
    for lengths in ((3,), (2, 2, 2, 2, 2), (0, 4, 1, 0, 5), (0, 0)):
        packed: Any = [tuple(draw.randbytes(length) for _ in PACKED) for length in lengths]
        block = Block(joined(packed))
        one = attempt_of(body("t"))
        attempts += [one._replace(block=block, row=row) for row in range(len(lengths))]
        assert [(block[0, row], block[4, row]) for row in range(len(packed))] == [
            (row[0], row[4]) for row in packed
        ]
    for _ in range(50):
        some = draw.sample(attempts, draw.randrange(len(attempts) + 1)) if draw.random() < 0.7 else attempts
        for kind in PACKED:
            rows = rows_of(runs_of(some), kind)
            wanted = [getattr(one, kind) for one in some]
            assert rows.data == b"".join(wanted)
            assert rows.lengths == list(map(len, wanted))
            for length in range(6):
                places = [at for at, row in enumerate(wanted) if len(row) == length != 0]
                assert rows.of_length(length) == (b"".join(wanted[at] for at in places), places)


def test_a_folder_where_a_record_should_be_keeps_no_board_from_being_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.trial_folder(TRIALS[20]) / "0.json"
    path.unlink()
    path.mkdir()
    found = read_flat(store, monkeypatch, 1)
    assert f"trials/{TRIALS[20]}/0.json" in [one["path"] for one in found.set_aside]
    assert len(found.set_aside) == 6

"""Reading in two processes finds what reading in one does: what is unusual, torn or edited is left to the first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.record import ahead
from harness.record.record import canonical, seal
from harness.record.store import Reading, Store

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


def read(store: Store, monkeypatch: pytest.MonkeyPatch, least: int, *, is_compact: bool) -> Reading:
    monkeypatch.setattr(ahead, "_FROM", least)
    monkeypatch.setattr("threading.active_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    return store.read(PLAN, is_compact=is_compact)


@pytest.mark.skipif(sys.platform != "linux", reason="one process alone reads elsewhere")
@pytest.mark.parametrize("is_compact", [False, True])
def test_two_processes_read_what_one_does(
    store: Store, monkeypatch: pytest.MonkeyPatch, is_compact: bool
) -> None:
    alone = read(store, monkeypatch, 10**9, is_compact=is_compact)
    looked = []
    monkeypatch.setattr(Store, "_read_trial", _counting(Store._read_trial, looked))
    both = read(store, monkeypatch, 1, is_compact=is_compact)
    assert both == alone
    assert len(alone.set_aside) == 5
    assert len(alone.others) == 2
    assert len(looked) < 10


def _counting(method: Any, looked: list[str]) -> Any:
    def counted(self: Store, trial: str, *given: Any) -> None:
        looked.append(trial)
        method(self, trial, *given)

    return counted


@pytest.mark.skipif(sys.platform != "linux", reason="one process alone reads elsewhere")
def test_a_second_process_that_dies_costs_no_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = read(store, monkeypatch, 10**9, is_compact=False)
    sent = ahead._usual
    monkeypatch.setattr(
        ahead, "_usual", lambda folder: os._exit(1) if folder.endswith("-300") else sent(folder)
    )
    assert read(store, monkeypatch, 1, is_compact=False) == alone

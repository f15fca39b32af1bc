"""The index only ever spares work: what it notices, what it is not trusted with, and that it changes no output."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.cli import boards
from harness.record import index
from harness.record.plans import plan_hash
from harness.record.record import dead_outcome, trial_record
from harness.record.store import Store

Json = dict[str, Any]
TRIALS = [f"t{number}" for number in range(8)]
WHOLE_PLAN: Json = {
    "suite": "s",
    "protocol": 1,
    "baseline": "plain",
    "replicates": len(TRIALS),
    "arms": [{"name": "plain", "data": None}],
    "manifests": {},
    "verdicts": False,
    "trials": [{"id": trial, "arm": "plain", "replicate": int(trial[1:])} for trial in TRIALS],
}
PLAN = plan_hash(WHOLE_PLAN)


def a_record(trial: str, attempt: int = 0, top1: float = 90.0) -> Json:
    heading = {"protocol": 1, "suite": "s", "plan": PLAN, "trial": trial, "arm": "plain"}
    heading |= {"replicate": int(trial[1:]), "attempt": attempt}
    outcome = {**dead_outcome("completed", None), "results": {"test": {"top1": top1}}}
    return trial_record(outcome, heading=heading, refs={}, started_at="a", finished_at="b")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(tmp_path / "s")
    store.write_plan({**WHOLE_PLAN, "hash": PLAN})
    for trial in TRIALS:
        store.write_trial(a_record(trial))
    monkeypatch.setattr(index, "YOUNG_SECONDS", -3600.0)  # else each test would sleep for two seconds
    return store


def rebuild(store: Store, capsys: pytest.CaptureFixture[str]) -> tuple[str, bool]:
    """Rebuild the board; return what was printed, and whether the records were read for it."""
    seen = []
    read = Store.read_flat

    def spy(self: Store, *args: Any, **more: Any) -> Any:
        seen.append(1)
        return read(self, *args, **more)

    Store.read_flat = spy  # type: ignore[method-assign]
    try:
        assert boards.rebuild(store.root, as_json=False) == 0
    finally:
        Store.read_flat = read  # type: ignore[method-assign]
    return capsys.readouterr().out, bool(seen)


def outputs(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.root.glob("leaderboard.*"))}


def test_nothing_is_read_where_nothing_changed_and_the_output_is_the_same(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first, was_read = rebuild(store, capsys)
    assert was_read
    files = outputs(store)
    again, was_read = rebuild(store, capsys)
    assert not was_read
    assert (again, outputs(store)) == (first, files)


def test_without_the_index_the_same_bytes_come_out(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = rebuild(store, capsys)
    files = outputs(store)
    shutil.rmtree(store.root / ".cache")
    again, was_read = rebuild(store, capsys)
    assert was_read and (again, outputs(store)) == (first, files)


def edit(store: Store) -> None:
    path = store.trial_folder("t3") / "0.json"
    with path.open("r+b") as file:  # in place, of equal length
        file.seek(path.read_bytes().index(b"90.0"))
        file.write(b"99.0")


def keep_time(store: Store) -> None:
    path = store.trial_folder("t3") / "0.json"
    status = path.stat()
    edit(store)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, Callable[[Store], object]] = {
    "a byte in place": edit,
    "a byte in place, its time put back": keep_time,
    "a record replaced": lambda s: shutil.move(
        s.trial_folder("t2") / "0.json", s.trial_folder("t3") / "0.json"
    ),
    "a record gone": lambda s: (s.trial_folder("t1") / "0.json").unlink(),
    "a trial gone": lambda s: shutil.rmtree(s.trial_folder("t1")),
    "a trial more": lambda s: shutil.copytree(s.trial_folder("t1"), s.trial_folder("t9")),
    "an attempt by hand": lambda s: shutil.copy(
        s.trial_folder("t1") / "0.json", s.trial_folder("t1") / "1.json"
    ),
    "an attempt by the harness": lambda s: s.write_trial(a_record("t1", 1)),
    "an output edited": lambda s: (s.root / "leaderboard.md").write_text("mine"),
    "an output gone": lambda s: (s.root / "leaderboard.csv").unlink(),
    "a plan more": lambda s: (s.root / "plans" / "x.json").write_text("{}"),
    "a timing": lambda s: (s.root / "timings" / PLAN).mkdir(parents=True),
    "something shared": lambda s: s.share({"a": 1}),
    "the index torn": lambda s: (s.root / ".cache" / "board.json").write_text('{"sch'),
    "the index of another version": lambda s: (s.root / ".cache" / "board.json").write_text('{"schema": 0}'),
    "the index empty": lambda s: (s.root / ".cache" / "board.json").write_text("[]"),
}


@pytest.mark.parametrize("how", CHANGES)
def test_every_change_is_noticed(store: Store, capsys: pytest.CaptureFixture[str], how: str) -> None:
    rebuild(store, capsys)
    assert not rebuild(store, capsys)[1]
    CHANGES[how](store)
    _, was_read = rebuild(store, capsys)
    assert was_read


def test_a_change_in_place_is_set_aside(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    rebuild(store, capsys)
    edit(store)
    rebuild(store, capsys)
    (aside,) = orjson.loads((store.root / "leaderboard.json").read_bytes())["set_aside"]
    assert aside["path"] == "trials/t3/0.json" and "changed since it was written" in aside["reason"]


def test_a_second_attempt_is_looked_at_as_well(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.write_trial(a_record("t3", 1))
    rebuild(store, capsys)
    assert not rebuild(store, capsys)[1]
    with (store.trial_folder("t3") / "1.json").open("ab") as file:
        file.write(b" ")
    assert rebuild(store, capsys)[1]


def test_a_folder_that_changed_just_now_is_not_remembered(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "YOUNG_SECONDS", 2.0)
    (store.trial_folder("t3") / "0.json").touch()
    rebuild(store, capsys)
    assert not (store.root / ".cache").exists()
    assert rebuild(store, capsys)[1]


def test_many_trials_are_looked_at_in_two_processes_with_the_same_result(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = index.state_of(store.root)
    monkeypatch.setattr(index, "_FEWEST", 1)
    monkeypatch.setattr("threading.active_count", lambda: 1)
    assert index.state_of(store.root) == alone
    edit(store)
    assert index.state_of(store.root) != alone


def test_above_a_number_of_trials_the_first_records_alone_are_looked_at(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "FOLDERS_UP_TO", 4)
    rebuild(store, capsys)
    assert not rebuild(store, capsys)[1]
    edit(store)
    assert rebuild(store, capsys)[1]
    store.write_trial(a_record("t1", 1))  # what the harness itself adds makes it forget
    assert rebuild(store, capsys)[1]


def test_the_index_keeps_itself_out_of_version_control_and_a_read_only_folder_serves(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    rebuild(store, capsys)
    assert (store.root / ".cache" / ".gitignore").read_text() == "*\n"
    shutil.rmtree(store.root / ".cache")
    (store.root / ".cache").write_text("a file in its place")
    before = time.time_ns()
    index.remember(store.root, PLAN, before, [], [], {})
    assert (store.root / ".cache").is_file()

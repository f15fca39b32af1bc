import os

import orjson
import pytest

from harness.errors import StoreError
from harness.record import files, reading
from harness.record.plans import plan_hash
from harness.record.record import dead_outcome, open_sealed, seal, timing_record, trial_record
from harness.record.store import Store

HEADING = {"protocol": 1, "suite": "s", "plan": "p"}


def a_record(trial="t0", attempt=0, status="completed", **more):
    heading = {**HEADING, "trial": trial, "arm": "plain", "replicate": 0, "attempt": attempt}
    outcome = {**dead_outcome(status, None), **more}
    return trial_record(outcome, heading=heading, refs={"host": None}, started_at="a", finished_at="b")


def a_timing(number=0, arm="plain", **more):
    timing = {"status": "completed", **more}
    heading = {**HEADING, "arm": arm, "round": number}
    return timing_record(timing, heading=heading, refs={}, started_at="a", finished_at="b")


def a_plan(*trials):
    return {"hash": "p", "suite": "s", "trials": [{"id": t, "arm": "plain", "replicate": 0} for t in trials]}


def a_whole_plan(*trials):
    plan = {**a_plan(*trials), "arms": [{"name": "plain"}], "alpha": 0.05}
    return {**plan, "hash": plan_hash(plan)}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results" / "s")


def test_a_record_comes_back_as_it_was_written(store):
    record = a_record(results={"test": {"top1": 91.25, "nll": float("nan")}})
    store.write_trial(record)
    (read,) = store.read(a_plan("t0")).records
    assert read == record
    assert read["results"]["test"]["nll"] is None  # NaN is no JSON


def test_an_attempt_is_never_overwritten(store):
    path = store.write_trial(a_record())
    before = path.read_bytes()
    with pytest.raises(StoreError, match="never overwritten"):
        store.write_trial(a_record(status="failed"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "empty", "edited", "no json", "not a record", "two hashes"])
def test_a_damaged_record_is_set_aside_and_left_where_it_is(store, damage):
    path = store.write_trial(a_record(results={"test": {"top1": 10.0}}))
    store.write_trial(a_record(trial="t1"))
    data = path.read_bytes()
    damaged = {
        "truncated": data[: len(data) // 2],
        "empty": b"",
        "edited": data.replace(b'"top1":10.0', b'"top1":99.0'),
        "no json": b"\x00" * 4096,
        "not a record": b"[1]",
        "two hashes": data[:-1] + b',"content_hash":"0"}',
    }[damage]
    assert damaged != data
    path.write_bytes(damaged)
    reading = store.read(a_plan("t0", "t1"))
    assert [record["trial"] for record in reading.records] == ["t1"]
    assert [item["path"] for item in reading.set_aside] == ["trials/t0/0.json"]
    assert path.read_bytes() == damaged
    assert store.next_attempt("t0") == 1


def test_every_flipped_bit_is_noticed(store):
    path = store.write_trial(a_record(results={"test": {"top1": 10.0, "nll": 0.5}}))
    data = path.read_bytes()
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << (position % 8)
        try:
            open_sealed(bytes(flipped))
        except ValueError:
            continue
        pytest.fail(f"bit {position % 8} of byte {position} went by")


def test_a_record_that_was_only_laid_out_anew_is_still_good():
    record = a_record()
    assert open_sealed(orjson.dumps(record, option=orjson.OPT_INDENT_2)) == record


def test_a_copied_record_is_a_duplicate(store):
    path = store.write_trial(a_record())
    path.with_name("1.json").write_bytes(path.read_bytes())
    other = store.trial_folder("t1")
    other.mkdir()
    (other / "0.json").write_bytes(path.read_bytes())
    reading = store.read(a_plan("t0", "t1"))
    assert len(reading.records) == 1
    assert [item["path"] for item in reading.set_aside] == ["trials/t0/1.json", "trials/t1/0.json"]
    assert all("duplicate" in item["reason"] for item in reading.set_aside)


def test_a_record_of_another_schema_is_set_aside(store):
    record = seal({**a_record(), "schema": 2})
    store.write_trial(record)
    reading = store.read(a_plan("t0"))
    assert not reading.records
    assert "schema 2" in reading.set_aside[0]["reason"]


def test_the_first_final_attempt_counts_and_all_are_listed(store):
    for attempt, status in enumerate(["preempted", "lost", "failed", "completed"]):
        store.write_trial(a_record(attempt=attempt, status=status))
    assert store.good("t0")["attempt"] == 2
    assert [r["attempt"] for r in store.attempts("t0")] == [0, 1, 2, 3]
    assert store.next_attempt("t0") == 4


def test_a_damaged_timing_is_set_aside_when_its_successor_is_written(store):
    path = store.write_timing(a_timing(images_per_second=100.0))
    path.write_bytes(path.read_bytes()[:-20])
    store.write_timing(a_timing(images_per_second=200.0))
    reading = store.read(a_plan())
    assert [timing["images_per_second"] for timing in reading.timings] == [200.0]
    assert len(reading.set_aside) == 1
    with pytest.raises(StoreError):
        store.write_timing(a_timing(images_per_second=300.0))


def test_timings_come_by_round_then_arm(store):
    for number, arm in [(10, "b"), (2, "b"), (2, "a")]:
        store.write_timing(a_timing(number, arm))
    assert [(t["round"], t["arm"]) for t in store.read(a_plan()).timings] == [(2, "a"), (2, "b"), (10, "b")]


def test_what_is_shared_is_written_once_and_checked(store):
    name = store.share({"cpu": "x"})
    assert store.share({"cpu": "x"}) == name
    assert store.shared(name) == {"cpu": "x"}
    path = store.root / "shared" / f"{name}.json"
    path.write_bytes(b'{"cpu":"y"}')
    with pytest.raises(StoreError, match="changed"):
        store.shared(name)
    record = trial_record(
        dead_outcome("completed", None),
        heading={**HEADING, "trial": "t0", "arm": "plain", "replicate": 0, "attempt": 0},
        refs={"host": name},
        started_at="a",
        finished_at="b",
    )
    store.write_trial(record)
    reading = store.read(a_plan("t0"))
    assert len(reading.records) == 1
    assert reading.shared[name] is None
    assert [item["path"] for item in reading.set_aside] == [f"shared/{name}.json"]


def test_a_plan_comes_back_and_a_damaged_one_is_refused(store):
    plan = a_whole_plan("t0")
    path = store.write_plan(plan)
    assert store.read_plan() == plan
    times = path.stat().st_mtime_ns
    store.write_plan(plan)
    assert path.stat().st_mtime_ns == times
    path.write_bytes(path.read_bytes().replace(plan["hash"].encode(), b"q"))
    with pytest.raises(StoreError, match="damaged"):
        store.read_plan()
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="damaged"):
        store.read_plan()


def test_a_folder_without_plan_is_told_apart(store):
    with pytest.raises(StoreError, match="holds no plan"):
        store.read_plan()


def test_a_writer_that_dies_leaves_nothing_under_the_name(store, monkeypatch):
    def dies(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(StoreError, match=r"bytes to write\): No space left on device"):
        store.write_trial(a_record())
    monkeypatch.undo()
    assert list(store.trial_folder("t0").iterdir()) == []
    # A kill leaves the temporary file; it is no record, and the next run on the trial removes it.
    (store.trial_folder("t0") / ".writing-0.json.99").write_bytes(b"{")
    assert store.read(a_plan("t0")).set_aside == []
    files.remove_leftovers(store.trial_folder("t0"))
    assert list(store.trial_folder("t0").iterdir()) == []


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "results").write_text("not a folder")
    store = Store(tmp_path / "results" / "s")
    with pytest.raises(StoreError, match="a file stands where a folder should be"), store.lock():
        pass
    store = Store(tmp_path / "results")
    with pytest.raises(StoreError, match="a file stands where a folder should be"), store.lock():
        pass


def test_a_full_disk_is_seen_before_training(store):
    told = r"1,000,000,000,000,000,000 bytes are needed and [\d,]+ are free"
    with pytest.raises(StoreError, match=told), store.lock(needed_bytes=10**18):
        pytest.fail("the run began")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_is_seen_before_training(tmp_path):
    (tmp_path / "results").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="Permission denied"), Store(tmp_path / "results" / "s").lock():
        pass


def test_each_of_many_records_is_opened_once(store, monkeypatch):
    """What ten thousand take in seconds is for `benchmarks/gates/test_board_building.py`."""
    trials = [f"{number:05}" for number in range(50)]
    paths = [str(store.write_trial(a_record(trial, results={"test": {"top1": 1.0}}))) for trial in trials]
    opened = []
    bytes_of = reading.bytes_of
    monkeypatch.setattr(reading, "bytes_of", lambda path: opened.append(path) or bytes_of(path))
    assert [record["trial"] for record in store.read(a_plan(*trials)).records] == trials
    assert opened == paths

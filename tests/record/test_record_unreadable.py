"""What the system does not let us read is set aside with its reason, and all else is read, merged and told."""

import errno
import os
import sys

import orjson
import pytest

from harness.errors import StoreError
from harness.record.flat import read_flat
from harness.record.history import note_plan
from harness.record.merge import merge
from harness.record.plans import plan_hash
from harness.record.reading import read
from harness.record.record import dead_outcome, timing_record, trial_record
from harness.record.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")

UNREAD = f"cannot be read: {os.strerror(errno.ELOOP)}"


def make(root, trials=("a", "b", "c")):
    plan = {
        "suite": "s",
        "baseline": "plain",
        "arms": [{"name": "plain"}],
        "trials": [{"id": name, "arm": "plain", "replicate": at} for at, name in enumerate(trials)],
        "hash": "",
    }
    plan["hash"] = plan_hash(plan)
    store = Store(root)
    store.write_plan(plan)
    times = {"refs": {}, "started_at": "2026-01-01T00:00", "finished_at": "2026-01-01T00:01"}
    heading = {"protocol": 1, "suite": "s", "plan": plan["hash"], "arm": "plain"}
    for at, name in enumerate(trials):
        place = {"trial": name, "replicate": at, "attempt": 0}
        store.write_trial(trial_record(dead_outcome("completed", None), heading=heading | place, **times))
    store.write_timing(timing_record({"status": "completed"}, heading=heading | {"round": 0}, **times))
    return store, plan


def lead_nowhere(path):
    """Put a link to itself in the place of a file or folder: nobody can read that, not even root."""
    if path.exists():
        path.rename(path.with_name(".kept"))
    path.symlink_to(path.name)


def told(reading):
    return {one["path"]: one["reason"] for one in reading.set_aside}


@pytest.mark.parametrize("reader", [read, read_flat])
@pytest.mark.parametrize(
    ("place", "trials", "timings"),
    [
        ("trials/b", ["a", "c"], 1),
        ("trials/b/0.json", ["a", "c"], 1),
        ("trials", [], 1),
        ("timings/PLAN", ["a", "b", "c"], 0),
        ("timings/PLAN/0-plain.json", ["a", "b", "c"], 0),
    ],
)
def test_one_place_that_cannot_be_read_is_told_once_and_costs_no_other(
    tmp_path, reader, place, trials, timings
):
    store, plan = make(tmp_path / "s")
    place = place.replace("PLAN", plan["hash"])
    lead_nowhere(store.root / place)
    reading = reader(store.root, plan)
    assert told(reading) == {place: UNREAD}
    found = [one["trial"] if isinstance(one, dict) else one.trial for one in reading.records]
    assert (found, len(reading.timings)) == (trials, timings)


def test_all_timings_that_cannot_be_read_are_told_under_the_plan_that_they_are_of(tmp_path):
    store, plan = make(tmp_path / "s")
    lead_nowhere(store.root / "timings")
    assert told(store.read(plan)) == {f"timings/{plan['hash']}": UNREAD}


def test_a_folder_that_nobody_may_list_is_told_by_its_reason(tmp_path, monkeypatch):
    store, plan = make(tmp_path / "s")
    listdir = os.listdir

    def refuse(folder):
        if str(folder).endswith("trials/b"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    assert told(store.read(plan)) == {"trials/b": f"cannot be read: {os.strerror(errno.EACCES)}"}
    assert store.good("b") is None
    with pytest.raises(StoreError, match=r"trials/b: cannot be read"):
        store.next_attempt("b")


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("place", "copied"),
    [
        ("trials/b", {"trials": 2, "timings": 1}),
        ("trials/b/0.json", {"trials": 2, "timings": 1}),
        ("trials", {"trials": 0, "timings": 1}),
        ("timings", {"trials": 3, "timings": 0}),
        ("timings/PLAN", {"trials": 3, "timings": 0}),
    ],
)
def test_merging_takes_what_can_be_read_and_tells_the_rest(tmp_path, place, copied, dry_run):
    store, plan = make(tmp_path / "from")
    place = place.replace("PLAN", plan["hash"])
    lead_nowhere(store.root / place)
    [one] = merge(tmp_path / "into", [store.root], dry_run=dry_run)["from"]
    assert one["copied"] == copied
    assert one["damaged"] == [{"path": place, "reason": UNREAD}]


def test_merging_into_a_folder_with_a_place_that_cannot_be_read_fills_the_others(tmp_path):
    source, plan = make(tmp_path / "from")
    target = Store(tmp_path / "into")
    target.write_plan(plan)
    (target.root / "trials").mkdir()
    lead_nowhere(target.root / "trials" / "b")
    [one] = merge(target.root, [source.root])["from"]
    assert one["copied"] == {"trials": 2, "timings": 1}
    assert one["damaged"] == [{"path": f"{target.root}/trials/b", "reason": f"in the way, and {UNREAD}"}]
    assert sorted(target.read(plan).good()) == ["a", "c"]


def test_a_link_that_leads_nowhere_is_no_folder_to_write_into(tmp_path):
    store = Store(tmp_path / "s")
    store.root.mkdir()
    lead_nowhere(store.root / "shared")
    with pytest.raises(StoreError, match="where a folder should be"):
        store.share({"a": 1})


@pytest.mark.parametrize("text", [b"\xff", b"", b"a\0b", b"../../elsewhere", "é".encode(), b"a" * 5000])
def test_what_names_the_latest_plan_is_a_hash_or_damaged(tmp_path, text):
    store, _ = make(tmp_path / "s")
    path = store.root / "plans" / "latest"
    path.write_bytes(text)
    with pytest.raises(StoreError) as raised:
        store.read_plan()
    assert f"{path}: damaged: expected the hash of a plan" in str(raised.value)
    assert len(str(raised.value)) < len(str(path)) + 300


def test_a_name_that_no_file_can_have_is_no_plan(tmp_path):
    store, _ = make(tmp_path / "s")
    with pytest.raises(StoreError, match="the plan is damaged"):
        store.read_plan("a\0b")


def test_a_plan_is_not_noted_as_the_first_where_nobody_can_see_what_was_run(tmp_path):
    store, plan = make(tmp_path / "s")
    lead_nowhere(store.root / "trials")
    later = plan | {"alpha": 0.2}
    later["hash"] = plan_hash(later)
    with pytest.raises(StoreError, match="trials: cannot be read"):
        note_plan(store.root, later)
    lines = (store.root / "plans" / "log.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["plan"] for line in lines] == [plan["hash"]]

"""A record that stands in another's place: a duplicate only where its own place holds it as well."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.record.merge import merge
from harness.record.plans import plan_hash
from harness.record.record import canonical, dead_outcome, dead_timing, timing_record, trial_record
from harness.record.store import Store

Json = dict[str, Any]


def a_plan() -> Json:
    plan: Json = {
        "schema": 1,
        "protocol": 1,
        "suite": "s",
        "baseline": "plain",
        "replicates": 3,
        "timing": {"rounds": 2},
        "arms": [{"name": name, "recipe": {}} for name in ("plain", "a")],
        "trials": [
            {"id": f"{name}-{number}", "arm": name, "replicate": number}
            for name in ("plain", "a")
            for number in range(3)
        ],
    }
    return {**plan, "hash": plan_hash(plan)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a folder with every record of its plan, and two rounds of timings."""
    store, plan = Store(tmp_path / "s"), a_plan()
    store.write_plan(plan)
    common = {"protocol": 1, "suite": "s", "plan": plan["hash"]}
    times = {"started_at": "a", "finished_at": "b"}
    recipe = store.share({"recipe": 1})
    for trial in plan["trials"]:
        heading = {**common, "trial": trial["id"], "arm": trial["arm"], "replicate": trial["replicate"]}
        outcome = {**dead_outcome("completed", None), "results": {"test": {"top1": 90.0}}}
        heading["attempt"] = 0
        store.write_trial(trial_record(outcome, heading=heading, refs={"recipe": recipe}, **times))
    for number in range(2):
        for arm in ("plain", "a"):
            heading = {**common, "arm": arm, "round": number}
            store.write_timing(
                timing_record(dead_timing("completed", None), heading=heading, refs={}, **times)
            )
    return store


def place(store: Store, name: str) -> Path:
    return store.root / "trials" / name / "0.json"


def exchange(one: Path, other: Path) -> None:
    between = one.with_suffix(".between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def told(store: Store) -> dict[str, str]:
    """Return why what is set aside, by path, as all ways of reading say it."""
    reading, flat = store.read(a_plan()), store.read_flat(a_plan())
    assert reading.set_aside == flat.set_aside
    assert {one["content_hash"] for one in reading.records} == {one.ended[2] for one in flat.records}
    return {one["path"]: one["reason"] for one in reading.set_aside}


def test_two_that_were_exchanged_are_out_of_place_both(store: Store) -> None:
    exchange(place(store, "a-0"), place(store, "a-1"))
    assert told(store) == {
        "trials/a-0/0.json": "out of place: it says that it is attempt 0 of a-1",
        "trials/a-1/0.json": "out of place: it says that it is attempt 0 of a-0",
    }


def test_a_copy_is_a_duplicate_and_what_it_stands_for_is_lacking(store: Store) -> None:
    shutil.copy(place(store, "a-1"), place(store, "a-0"))
    assert told(store) == {"trials/a-0/0.json": "a duplicate: it says that it is attempt 0 of a-1"}


@pytest.mark.parametrize("left", [None, b"", b"torn"], ids=["gone", "empty", "torn"])
def test_a_copy_of_what_is_no_longer_whole_is_out_of_place(store: Store, left: bytes | None) -> None:
    shutil.copy(place(store, "a-1"), place(store, "a-0"))
    place(store, "a-1").unlink() if left is None else place(store, "a-1").write_bytes(left)
    assert told(store)["trials/a-0/0.json"] == "out of place: it says that it is attempt 0 of a-1"


def test_a_copy_of_one_that_stands_beside_another_is_a_duplicate(store: Store) -> None:
    own = place(store, "a-1")
    beside = own.with_name(f"0.{store.read(a_plan()).good()['a-1']['content_hash']}.json")
    own.rename(beside)
    shutil.copy(beside, place(store, "a-0"))
    assert told(store) == {"trials/a-0/0.json": "a duplicate: it says that it is attempt 0 of a-1"}


def test_timings_that_were_exchanged_or_moved_among_trials_are_out_of_place(store: Store) -> None:
    folder = store.root / "timings" / a_plan()["hash"]
    exchange(folder / "0-plain.json", folder / "1-plain.json")
    shutil.copy(folder / "1-a.json", folder / "2-a.json")
    (folder / "0-a.json").rename(store.root / "trials" / "a-2" / "1.json")
    assert told(store) == {
        f"timings/{folder.name}/0-plain.json": "out of place: it says that it is round 1 of plain",
        f"timings/{folder.name}/1-plain.json": "out of place: it says that it is round 0 of plain",
        f"timings/{folder.name}/2-a.json": "a duplicate: it says that it is round 1 of a",
        "trials/a-2/1.json": "out of place: it says that it is round 0 of a",
    }


def test_merge_says_the_same_and_copies_neither(store: Store, tmp_path: Path) -> None:
    exchange(place(store, "a-0"), place(store, "a-1"))
    shutil.copy(place(store, "plain-0"), place(store, "plain-1"))
    [one] = merge(tmp_path / "joined" / "s", [store.root])["from"]
    assert {item["path"]: item["reason"].partition(":")[0] for item in one["damaged"]} == {
        "trials/a-0/0.json": "out of place",
        "trials/a-1/0.json": "out of place",
        "trials/plain-1/0.json": "a duplicate",
    }
    assert one["copied"] == {"trials": 3, "timings": 4}


def test_a_name_that_leads_out_of_the_folder_is_nowhere(store: Store, tmp_path: Path) -> None:
    name = "../../elsewhere"
    heading = {"protocol": 1, "suite": "s", "plan": "p", "trial": name, "attempt": 0, "replicate": 0}
    record = trial_record(
        dead_outcome("completed", None), heading=heading, refs={}, started_at="a", finished_at="b"
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "0.json").write_bytes(canonical(record))
    place(store, "a-0").write_bytes(canonical(record))
    assert told(store)["trials/a-0/0.json"] == f"out of place: it says that it is attempt 0 of {name}"


def test_an_arm_whose_name_leads_out_of_the_folder_is_nowhere(store: Store) -> None:
    arm, folder = "x/../../../elsewhere/0", store.root / "timings" / a_plan()["hash"]
    heading = {"protocol": 1, "suite": "s", "plan": folder.name, "arm": arm, "round": 0}
    record = timing_record(
        dead_timing("completed", None), heading=heading, refs={}, started_at="a", finished_at="b"
    )
    (folder / "0-x").mkdir()
    (store.root / "elsewhere").mkdir()
    (store.root / "elsewhere" / "0.json").write_bytes(canonical(record))
    (folder / "2-a.json").write_bytes(canonical(record))
    path = f"timings/{folder.name}/2-a.json"
    assert told(store)[path] == f"out of place: it says that it is round 0 of {arm}"

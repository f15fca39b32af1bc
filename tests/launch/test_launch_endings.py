import itertools
import os
import time
from pathlib import Path

import psutil
import pytest


def records_of(store, plan):
    return store.read(plan.to_json()).records


def only(store, plan):
    (record,) = records_of(store, plan)
    return record


def test_trials_run_are_recorded_and_reused(launch):
    plan = launch.plan(("plain", "mixup"), replicates=3, rounds=2)
    summary, store = launch(plan)
    assert (summary.done, summary.reused, summary.failed, summary.exit_code) == (6, 0, 0, 0)
    reading = store.read(plan.to_json())
    assert {(r["arm"], r["replicate"]) for r in reading.records} == {
        (a, n) for a in ("plain", "mixup") for n in range(3)
    }
    assert {(t["arm"], t["round"]) for t in reading.timings} == {
        (a, n) for a in ("plain", "mixup") for n in range(2)
    }
    assert all(r["seconds"]["submission_to_first_step"] > 0 for r in reading.records)
    record = reading.records[0]
    assert store.shared(record["refs"]["pipeline"]) == "fake"
    assert store.shared(record["refs"]["recipe"])["tricks"] == [record["arm"]]
    assert "initial_parameters" not in record
    before = {p: p.stat().st_mtime_ns for p in store.root.rglob("*.json")}
    again, _ = launch(plan)
    assert (again.done, again.reused) == (0, 6)
    assert {p: p.stat().st_mtime_ns for p in store.root.rglob("*.json")} == before


def test_arms_with_equal_recipes_share_their_trials(launch):
    import dataclasses

    plan = launch.plan(("plain", "copy"))
    trials = tuple(dataclasses.replace(trial, id="same") for trial in plan.trials)
    plan = dataclasses.replace(plan, trials=trials).hashed()
    summary, store = launch(plan)
    assert summary.done == 1
    assert len(records_of(store, plan)) == 1


@pytest.mark.parametrize(
    ("arm", "status", "told"),
    [
        ("exits", "crashed", "code 3"),
        ("exits-hard", "crashed", "code 0"),
        ("exits-255", "crashed", "code 255"),  # what multiprocessing gives for a dead process server too
        ("segfault", "crashed", "SIGSEGV"),
        ("raises", "crashed", "RuntimeError: what a mess"),
    ],
)
def test_a_process_that_dies_without_a_record_is_recorded(launch, arm, status, told):
    plan = launch.plan((arm, "plain"))
    summary, store = launch(plan, "by_arm")
    assert (summary.done, summary.failed, summary.exit_code) == (2, 1, 5)
    record = next(r for r in records_of(store, plan) if r["arm"] == arm)
    assert record["status"] == status
    assert told in record["culprit"]["error"]
    assert record["culprit"]["step"] == 7
    assert record["results"] is None
    again, _ = launch(plan)
    assert (again.done, again.failed, again.exit_code) == (0, 1, 5)


def test_a_crash_leaves_its_stack_in_the_record(launch):
    plan = launch.plan(("segfault",))
    _, store = launch(plan, "by_arm")
    assert "by_arm" in only(store, plan)["culprit"]["traceback"]


def test_a_killed_trial_is_lost_and_run_again(launch):
    plan = launch.plan(("killed-once",))
    summary, store = launch(plan, "by_arm")
    assert (summary.done, summary.failed) == (1, 0)
    assert [r["status"] for r in records_of(store, plan)] == ["lost", "completed"]


def test_a_trial_that_is_lost_again_and_again_is_given_up_for_this_run(launch):
    plan = launch.plan(("killed",))
    summary, store = launch(plan, "by_arm")
    assert (summary.done, summary.failed, summary.exit_code) == (0, 1, 5)
    assert [r["status"] for r in records_of(store, plan)] == ["lost"] * 3
    launch(plan, "by_arm")
    assert len(records_of(store, plan)) == 6


def test_a_kill_by_the_kernel_for_memory_is_oom(launch, monkeypatch):
    from harness.launch import pool

    counts = itertools.count(1)
    monkeypatch.setattr(pool, "oom_kills", lambda: next(counts))
    plan = launch.plan(("killed",))
    summary, store = launch(plan, "by_arm")
    assert only(store, plan)["status"] == "oom"
    assert summary.done == 1


def test_a_hanging_trial_is_ended_with_its_stacks(launch):
    plan = launch.plan(("hangs", "plain"))
    summary, store = launch(plan, "by_arm", timeout_seconds=5.0)
    record = next(r for r in records_of(store, plan) if r["arm"] == "hangs")
    assert record["status"] == "timeout"
    assert "hang_in_here" in record["culprit"]["traceback"]
    assert not list(store.root.rglob("*.stacks"))
    assert summary.failed == 1


def test_a_trial_that_prints_megabytes_is_capped(launch):
    plan = launch.plan(("talks",))
    summary, store = launch(plan, "by_arm")
    assert summary.failed == 0
    (log,) = store.root.rglob("*.log")
    assert 900_000 < log.stat().st_size < 1_100_000


def test_a_process_that_a_plugin_leaks_ends_with_its_trial(launch):
    plan = launch.plan(("leaks",))
    summary, store = launch(plan, "by_arm")
    assert summary.failed == 0
    (file,) = store.root.rglob("leaked")
    process = int(file.read_text())
    deadline = time.monotonic() + 30
    while psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_full_disk_stops_the_run_and_keeps_what_is_done(launch):
    from harness.errors import StoreError

    plan = launch.plan(("plain",), replicates=4)
    with pytest.raises(StoreError, match="No space left"):
        launch(plan, "disk_full", jobs=2)


def test_an_arm_that_cannot_be_resolved_counts_as_failed(launch):
    plan = launch.plan(("plain", "unresolved"))
    summary, _ = launch(plan)
    assert (summary.done, summary.failed, summary.exit_code) == (1, 1, 5)


def test_hooks_are_called_in_the_launcher(launch):
    calls = []
    plan = launch.plan(("plain", "killed-once"))
    launch(plan, "by_arm", notify=lambda name, **arguments: calls.append((name, os.getpid(), arguments)))
    assert [name for name, _, _ in calls] == ["harness_suite_started"] + ["harness_trial_finished"] * 3
    assert {process for _, process, _ in calls} == {os.getpid()}
    assert len(calls[0][2]["trials"]) == 2
    assert all(call[2]["record"]["trial"] == call[2]["trial"].id for call in calls[1:])


def test_timings_run_one_at_a_time_in_an_order_of_their_own(launch):
    plan = launch.plan(("a", "b", "c", "d", "e"), rounds=4)
    _, store = launch(plan)
    timings = sorted(store.read(plan.to_json()).timings, key=lambda t: t["started_at"])
    assert [t["round"] for t in timings] == sorted(t["round"] for t in timings)
    orders = {tuple(t["arm"] for t in timings if t["round"] == number) for number in range(4)}
    assert len(orders) > 1
    for one, next_one in itertools.pairwise(timings):
        assert one["finished_at"] <= next_one["started_at"]


def test_a_process_of_its_own_for_every_trial(launch, tmp_path):
    plan = launch.plan(("plain",), replicates=3)
    _, store = launch(plan, "tells_process")
    processes = {Path(file).read_text() for file in store.root.rglob("process")}
    assert len(processes) == 3
    assert str(os.getpid()) not in processes

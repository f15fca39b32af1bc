"""Replicates at once as the launcher sees them: groups, their records, and what becomes of one that fails."""

import dataclasses
import os
import signal
import threading
import time

import pytest

from harness.launch.tasks import groups_of
from harness.suite.plan import Trial


@pytest.fixture
def at_once(launch):
    """Return a function that runs replicates with a fake, and gives summary, records and what was called."""

    def go(function="all_at_once", together=4, replicates=4, arms=("plain",), **options):
        plan = dataclasses.replace(launch.plan(arms, replicates), together=together).hashed()
        options = {"jobs": 1, "trial_function": "together_fakes:run_trial", **options}
        summary, store = launch(plan, together_function=f"together_fakes:{function}", **options)
        calls = store.root / "trials" / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return summary, store.read(plan.to_json()).records, [line.rpartition(" ")[0] for line in lines]

    return go


def trials(*names):
    return [Trial(f"{arm}-{replicate}", arm, replicate) for arm, replicate in names]


def ids(groups):
    return [[trial.id for trial in group] for group in groups]


def test_groups_hold_one_arm_are_even_and_stand_where_their_first_trial_stood():
    plan = trials(("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2), ("a", 3), ("a", 4))
    assert ids(groups_of(plan, 3)) == [["a-0", "a-1"], ["b-0", "b-1", "b-2"], ["a-2", "a-3", "a-4"]]
    assert ids(groups_of(plan, 16)) == [["a-0", "a-1", "a-2", "a-3", "a-4"], ["b-0", "b-1", "b-2"]]
    assert ids(groups_of(plan, 1)) == [[trial.id] for trial in plan]
    assert groups_of([], 4) == []


def test_one_child_writes_the_records_of_all_replicates(at_once):
    summary, records, calls = at_once(arms=("plain", "mixup"))
    assert (summary.done, summary.failed) == (8, 0)
    assert sorted(calls) == ["together mixup 0,1,2,3 True", "together plain 0,1,2,3 True"]
    assert {(r["arm"], r["replicate"], r["attempt"]) for r in records} == {
        (arm, number, 0) for arm in ("plain", "mixup") for number in range(4)
    }
    assert [r["results"]["test"]["top1"] for r in records] == [10.0 * r["replicate"] for r in records]
    assert {r["mode"]["together"] for r in records} == {4}


def test_a_probe_of_an_arm_is_paid_for_once(at_once):
    _, _, calls = at_once(replicates=8)
    assert calls == ["together plain 0,1,2,3 True", "together plain 4,5,6,7 False"]


def test_replicates_for_which_it_does_not_pay_run_as_ever_and_say_why(at_once):
    summary, records, calls = at_once("too_slow", replicates=8)
    assert (summary.done, summary.failed) == (8, 0)
    assert calls == ["together plain 0,1,2,3 True", *(f"alone plain {number} 0" for number in range(8))]
    assert all(r["mode"]["reason"] == "slower in the probe" and r["mode"]["together"] == 1 for r in records)
    assert {r["mode"]["probe_ratio"] for r in records} == {0.5}


def test_a_single_replicate_is_no_group(at_once):
    _, records, calls = at_once(replicates=1)
    assert calls == ["alone plain 0 0"]
    assert records[0]["mode"]["reason"] == "no other replicate was missing"


def test_a_trial_of_an_ordinary_suite_has_no_mode(at_once):
    _, records, _ = at_once(together=1, replicates=2)
    assert [r["mode"] for r in records] == [None, None]


def test_what_was_written_before_a_kill_counts_and_the_rest_runs_again(at_once):
    summary, records, calls = at_once("killed_half_way")
    assert (summary.done, summary.failed) == (4, 0)
    found = [(r["replicate"], r["attempt"], r["status"]) for r in records]
    assert sorted(found) == [
        (0, 0, "completed"),
        (1, 0, "completed"),
        (2, 0, "lost"),
        (2, 1, "completed"),
        (3, 0, "lost"),
        (3, 1, "completed"),
    ]
    assert calls[1:] == ["together plain 2,3 True"]


def test_a_crash_of_all_is_nobodys_result(at_once):
    summary, records, calls = at_once("crashes")
    assert (summary.done, summary.failed) == (4, 0)
    assert [r["status"] for r in records] == ["completed"] * 4
    assert sorted(calls) == [f"alone plain {n} 0" for n in range(4)]
    assert all("SIGSEGV" in r["mode"]["reason"] and r["mode"]["together"] == 1 for r in records)


def test_an_interrupt_preempts_them_all(at_once, tmp_path):
    calls = tmp_path / "results" / "fake" / "trials" / "calls"

    def interrupt_once_they_run():
        deadline = time.monotonic() + 30
        while not calls.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_once_they_run)
    thread.start()
    summary, records, _ = at_once("waits")
    thread.join()
    assert summary.exit_code == 130
    assert [r["status"] for r in records] == ["preempted"] * 4


def test_a_trial_that_shared_its_gpu_and_ran_out_of_memory_is_run_again_alone(at_once):
    options = {"trial_function": "together_fakes:crowded", "device": "cuda:0", "jobs": 0}
    summary, records, calls = at_once(together=1, jobs_per_device=2, **options)
    assert (summary.done, summary.failed) == (4, 0)
    (lost,) = [r for r in records if r["status"] != "completed"]
    assert (lost["replicate"], lost["status"]) == (1, "lost")
    assert "CUDA out of memory" in lost["culprit"]["error"]
    assert calls.count("alone plain 1 1") == 1


def test_a_trial_that_had_its_gpu_to_itself_and_ran_out_of_memory_is_final(at_once):
    options = {"trial_function": "together_fakes:out_of_memory", "device": "cuda:0", "jobs": 0}
    summary, records, _ = at_once(together=1, replicates=1, **options)
    assert [r["status"] for r in records] == ["oom"]
    assert summary.failed == 1


def test_the_records_session_names_how_many_ran_beside_it(at_once, launch, tmp_path):
    options = {"device": "cuda:0", "jobs": 0, "jobs_per_device": 3}
    _, records, _ = at_once(together=1, **options)
    shared = [
        (tmp_path / "results/fake/shared" / f"{r['refs']['session']}.json").read_text() for r in records
    ]
    assert all('"jobs":3' in text and '"jobs_per_device":3' in text for text in shared)

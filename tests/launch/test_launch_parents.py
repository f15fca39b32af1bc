"""A plan that is a graph: layers, weights that travel or are gone, and parents that fail."""

import shutil
from dataclasses import replace

import pytest

from harness.launch.parents import Parents
from harness.registry.digests import digest_bytes
from harness.suite.plan import Trial


@pytest.fixture
def launch(launch_graph):
    return launch_graph("parents_fakes")


def records(store, plan):
    return {(r["arm"], r["replicate"], r["attempt"]): r for r in store.read(plan.to_json()).records}


CHAIN = {"big": {}, "child": {"teacher": "big"}, "last": {"init": "child", "teacher": "big"}}


def test_children_run_when_their_parents_are_done_and_say_whose_they_are(launch):
    plan = launch.plan(CHAIN, replicates=2, rounds=1)
    summary = launch(plan)
    assert (summary.done, summary.failed) == (6, 0)
    found = records(launch.store, plan)
    for replicate in range(2):
        digests = {arm: digest_bytes(f"weights of {arm}-{replicate}".encode()) for arm in ("big", "child")}
        assert found["last", replicate, 0]["parents"] == {
            role: {
                "arm": arm,
                "trial": f"{arm}-{replicate}",
                "digest": digests[arm],
                "training_flops": 100.0 + replicate,
                "train_seconds": 0.5,
            }
            for role, arm in {"init": "child", "teacher": "big"}.items()
        }
        assert found["big", replicate, 0]["weights"]["digest"] == digests["big"]
        assert "parents" not in found["big", replicate, 0]
        assert "weights" not in found["last", replicate, 0]
    assert len(launch.store.read(plan.to_json()).timings) == 3


def test_a_second_run_trains_nothing_though_the_weights_are_gone(launch):
    plan = launch.plan(CHAIN, rounds=1)
    launch(plan)
    shutil.rmtree(launch.store.root / "weights")
    summary = launch(plan)
    assert (summary.done, summary.reused, summary.failed) == (0, 3, 0)
    assert {attempt for _, _, attempt in records(launch.store, plan)} == {0}


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_a_parent_whose_weights_are_gone_is_trained_again_for_a_new_child(launch, harm):
    first = launch.plan({"big": {}, "child": {"teacher": "big"}}, replicates=2)
    launch(first)
    file = launch.store.weights_path("big-0")
    file.unlink() if harm == "gone" else file.write_bytes(b"weights of nobody")
    more = launch.plan({**CHAIN, "other": {"teacher": "big"}}, replicates=2)
    assert launch(more).failed == 0
    found = records(launch.store, more)
    assert ("big", 0, 1) in found
    assert ("big", 1, 1) not in found
    assert found["other", 0, 0]["parents"]["teacher"]["digest"] == found["big", 0, 1]["weights"]["digest"]
    # The first attempt counts, as ever: no second tries.
    assert launch.store.good("big-0")["attempt"] == 0


def test_ancestors_are_trained_again_as_far_up_as_is_needed(launch):
    launch(launch.plan({"big": {}, "child": {"teacher": "big"}, "last": {"init": "child"}}))
    shutil.rmtree(launch.store.root / "weights")
    plan = launch.plan(
        {"big": {}, "child": {"teacher": "big"}, "last": {"init": "child"}, "new": {"init": "child"}}
    )
    summary = launch(plan)
    assert summary.failed == 0
    assert sorted(key for key in records(launch.store, plan) if key[2] == 1) == [
        ("big", 0, 1),
        ("child", 0, 1),
    ]


def test_a_parent_that_was_none_when_it_was_trained_is_trained_again(launch):
    launch(launch.plan({"big": {}}))
    plan = launch.plan({"big": {}, "child": {"teacher": "big"}})
    assert launch(plan).failed == 0
    assert ("big", 0, 1) in records(launch.store, plan)


def test_a_childs_missing_timing_brings_its_parents_weights_back(launch):
    graph = {"big": {}, "child": {"teacher": "big"}}
    launch(launch.plan(graph))
    shutil.rmtree(launch.store.root / "weights")
    timed = launch.plan(graph, rounds=1)
    assert launch(timed).failed == 0
    assert ("big", 0, 1) in records(launch.store, timed)
    assert {t["arm"]: t["status"] for t in launch.store.read(timed.to_json()).timings} == {
        "big": "completed",
        "child": "completed",
    }


def test_a_failed_parent_fails_its_children_by_name_and_theirs(launch):
    plan = launch.plan(
        {"plain": {}, "diverges": {}, "child": {"teacher": "diverges"}, "last": {"init": "child"}}
    )
    summary = launch(plan)
    assert (summary.done, summary.failed) == (4, 3)
    found = records(launch.store, plan)
    child, last = found["child", 0, 0], found["last", 0, 0]
    assert child["status"] == last["status"] == "failed"
    assert child["culprit"]["error"] == 'its teacher, arm "diverges" replicate 0, ended as diverged'
    assert last["culprit"]["error"] == 'its init, arm "child" replicate 0, ended as failed'
    assert child["parents"]["teacher"]["trial"] == "diverges-0"
    assert launch(plan).done == 0


def test_a_parent_that_the_machine_ended_leaves_its_child_missing(launch):
    plan = launch.plan({"plain": {}, "machine-ended": {}, "child": {"teacher": "machine-ended"}})
    launch(plan)
    found = records(launch.store, plan)
    assert not [key for key in found if key[0] == "child"]
    assert {found[key]["status"] for key in found if key[0] == "machine-ended"} == {"preempted"}


def test_a_parent_that_was_lost_once_is_run_again_ahead_of_its_child(launch):
    plan = launch.plan({"killed-once": {}, "child": {"teacher": "killed-once"}})
    assert launch(plan).failed == 0
    found = records(launch.store, plan)
    assert [found["killed-once", 0, attempt]["status"] for attempt in (0, 1)] == ["lost", "completed"]
    assert found["child", 0, 0]["status"] == "completed"


def test_a_parent_that_fails_the_second_time_fails_the_new_child(launch):
    launch(launch.plan({"diverges-again": {}, "child": {"teacher": "diverges-again"}}))
    shutil.rmtree(launch.store.root / "weights")
    plan = launch.plan(
        {"diverges-again": {}, "child": {"teacher": "diverges-again"}, "new": {"teacher": "diverges-again"}}
    )
    assert launch(plan).exit_code == 5
    found = records(launch.store, plan)
    assert found["new", 0, 0]["status"] == "failed"
    assert "ended as diverged" in found["new", 0, 0]["culprit"]["error"]
    assert found["child", 0, 0]["status"] == "completed"


def test_a_file_is_handed_over_by_where_it_is_and_named_in_the_record(launch, tmp_path):
    file = tmp_path / "given.safetensors"
    file.write_bytes(b"given")
    plan = launch.plan({"plain": {}})
    digest = digest_bytes(b"given")
    recipe = {**plan.arms[0].recipe, "parents": {"init": {"file": "given.safetensors", "digest": digest}}}
    plan = replace(plan, arms=(replace(plan.arms[0], recipe=recipe),)).hashed()
    assert launch(plan, weights={"given.safetensors": file}).failed == 0
    record = records(launch.store, plan)["plain", 0, 0]
    assert record["parents"] == {"init": {"file": "given.safetensors", "digest": digest}}


def test_a_gate_says_that_it_cannot_sample_a_child(tmp_path, monkeypatch):
    from harness.launch.gate_driver import _open
    from harness.testing.jobs import TOYS

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    suite = tmp_path / "suite.toml"
    suite.write_text(
        f'schema = 1\nname = "toy"\nbaseline = "plain"\nplugins = ["{TOYS}"]\n[budget]\nepochs = 1\n[recipe]\n'
        'dataset = "toy-dataset"\nsampler = "toy-shuffle"\nbackbone = "toy-net"\noptimizer = "toy-sgd"\n'
        'schedule = "toy-constant"\nbatch_size = 16\n[arms.plain]\n'
        '[arms.child]\ninit = { arm = "other" }\n[arms.other]\nbatch_size = 8\nvaries = ["batch_size"]\n'
    )
    request = {"suite": str(suite), "data": None, "replicates": 1, "device": "cpu"}
    for wanted in (None, ["child"]):
        arms = _open({**request, "arms": wanted}, lambda _: None)["arms"]
        assert "needs another trial's model (init)" in arms["child"]["failure"]
        assert arms["child"]["jobs"] == []
    assert set(arms) == {"child"}
    plain = _open({**request, "arms": ["plain"]}, lambda _: None)["arms"]["plain"]
    assert plain["failure"] is None
    assert len(plain["jobs"]) == 1


def test_only_parents_are_asked_for_weights_and_a_diamond_is_trained_once(launch):
    graph = {
        "top": {},
        "left": {"init": "top"},
        "right": {"teacher": "top"},
        "end": {"init": "left", "teacher": "right"},
    }
    plan = launch.plan(graph, replicates=2)
    parents = Parents(plan, launch.store, {})
    assert [[t.arm for t in layer] for layer in parents.layers(plan.trials)] == [
        ["top", "top"], ["right", "left", "right", "left"], ["end", "end"],
    ]  # fmt: skip
    assert [parents.weights_of(Trial(f"{arm}-0", arm, 0)) is None for arm in graph] == [
        False,
        False,
        False,
        True,
    ]
    assert launch(plan).done == 8
    assert {attempt for _, _, attempt in records(launch.store, plan)} == {0}

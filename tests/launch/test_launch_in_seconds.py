"""What the launcher hands to a trial whose budget is in seconds: nothing, or what its record says."""

import shutil

import pytest


@pytest.fixture
def launch(launch_graph):
    return launch_graph("seconds_fakes", budget={"unit": "seconds", "amount": 60})


def test_a_trial_measures_and_its_timing_stands_where_its_training_did(launch):
    plan = launch.plan({"plain": {}}, rounds=1)
    assert launch(plan).failed == 0
    record = launch.store.good("plain-0")
    assert record["handed"] == {} and record["budget"]["seconds"]["total_steps"] == 100
    (timing,) = launch.store.read(plan.to_json()).timings
    assert timing["handed"] == record["budget"]["seconds"]


def test_a_trial_that_was_stopped_measures_anew(launch):
    plan = launch.plan({"stopped-once": {}})
    assert launch(plan).failed == 0
    first, second = launch.store.attempts("stopped-once-0")
    assert (first["status"], first["budget"]["seconds"]["total_steps"]) == ("preempted", 100)
    assert second["handed"] == {} and second["budget"]["seconds"]["total_steps"] == 101


def test_a_parent_that_is_trained_again_takes_as_many_steps_as_it_did(launch):
    launch(launch.plan({"big": {}, "child": {"teacher": "big"}}))
    shutil.rmtree(launch.store.root / "weights")
    plan = launch.plan({"big": {}, "child": {"teacher": "big"}, "new": {"teacher": "big"}})
    assert launch(plan).failed == 0
    first, again = launch.store.attempts("big-0")
    assert (first["attempt"], again["attempt"]) == (0, 1)
    assert again["handed"] == first["budget"]["seconds"]


def test_what_is_given_for_a_trial_comes_before_what_its_folder_says(launch):
    given = {"asked": 60.0, "step_seconds": 1.0, "total_steps": 60}
    launch(launch.plan({"plain": {}}), measured={"plain-0": given})
    assert launch.store.good("plain-0")["handed"] == given


def test_another_unit_is_handed_nothing(launch):
    plan = launch.plan({"plain": {}}, rounds=1, budget={"unit": "epochs", "amount": 2})
    launch(plan)
    (timing,) = launch.store.read(plan.to_json()).timings
    assert timing["handed"] == {}

"""What the launcher hands to a trial whose budget is in seconds: nothing, or what its record says."""

import shutil
from pathlib import Path

import pytest

from harness.launch.launcher import Options, run
from harness.record.store import Store
from harness.suite.plan import Arm, Plan, Trial

HERE = Path(__file__).parent
MANIFEST = {"hash": "data", "classes": ["a", "b"], "modalities": {"image": {"shape": [1, 8, 8]}}}
SECONDS = {"unit": "seconds", "amount": 60}


def make_plan(graph, rounds=0, budget=SECONDS):
    arms = []
    for name, parents in graph.items():
        recipe = {
            "numerics": {"threads": 1},
            "backbone": {"name": "net", "params": {}},
            "arm": name,
            "budget": budget,
        }
        if parents:
            recipe["parents"] = {role: {"arm": parent} for role, parent in parents.items()}
        arms.append(Arm(name, recipe, (), (), "data"))
    return Plan(
        suite="timed",
        seed=0,
        replicates=1,
        baseline=next(iter(graph)),
        alpha=0.05,
        margin_points=0.1,
        equal_margin_points=0.2,
        verdicts=False,
        verdicts_reason="fake",
        timing={"rounds": rounds, "seconds": 0.1},
        arms=tuple(arms),
        manifests={"data": MANIFEST},
        trials=tuple(Trial(f"{name}-0", name, 0) for name in graph),
        plugins=(),
    ).hashed()


@pytest.fixture
def launch(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    store = Store(tmp_path / "results" / "timed")

    def go(plan, **more):
        options = Options(
            jobs=2,
            device="cpu",
            timeout_seconds=20.0,
            warm=("harness.launch.worker",),
            trial_function="seconds_fakes:run_trial",
            timing_function="seconds_fakes:time_arm",
            **more,
        )
        with store.lock():
            store.write_plan(plan.to_json())
            return run(plan, store, data={"data": tmp_path}, options=options)

    go.store = store
    return go


def test_a_trial_measures_and_its_timing_stands_where_its_training_did(launch):
    plan = make_plan({"plain": {}}, rounds=1)
    assert launch(plan).failed == 0
    record = launch.store.good("plain-0")
    assert record["handed"] == {} and record["budget"]["seconds"]["total_steps"] == 100
    (timing,) = launch.store.read(plan.to_json()).timings
    assert timing["handed"] == record["budget"]["seconds"]


def test_a_trial_that_was_stopped_measures_anew(launch):
    plan = make_plan({"stopped-once": {}})
    assert launch(plan).failed == 0
    first, second = launch.store.attempts("stopped-once-0")
    assert (first["status"], first["budget"]["seconds"]["total_steps"]) == ("preempted", 100)
    assert second["handed"] == {} and second["budget"]["seconds"]["total_steps"] == 101


def test_a_parent_that_is_trained_again_takes_as_many_steps_as_it_did(launch):
    launch(make_plan({"big": {}, "child": {"teacher": "big"}}))
    shutil.rmtree(launch.store.root / "weights")
    plan = make_plan({"big": {}, "child": {"teacher": "big"}, "new": {"teacher": "big"}})
    assert launch(plan).failed == 0
    first, again = launch.store.attempts("big-0")
    assert (first["attempt"], again["attempt"]) == (0, 1)
    assert again["handed"] == first["budget"]["seconds"]


def test_what_is_given_for_a_trial_comes_before_what_its_folder_says(launch):
    given = {"asked": 60.0, "step_seconds": 1.0, "total_steps": 60}
    launch(make_plan({"plain": {}}), measured={"plain-0": given})
    assert launch.store.good("plain-0")["handed"] == given


def test_another_unit_is_handed_nothing(launch):
    plan = make_plan({"plain": {}}, rounds=1, budget={"unit": "epochs", "amount": 2})
    launch(plan)
    (timing,) = launch.store.read(plan.to_json()).timings
    assert timing["handed"] == {}

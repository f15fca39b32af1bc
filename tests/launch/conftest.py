import sys
from functools import partial
from pathlib import Path

import pytest

from harness.launch.launcher import Options, run
from harness.record.store import Store
from harness.suite.plan import Arm, Plan, Trial

HERE = Path(__file__).parent


def make_plan(arms=("plain",), replicates=1, rounds=0, threads=1):
    recipe = {"numerics": {"threads": threads}}
    made = []
    for name in arms:
        if name == "unresolved":
            made.append(Arm(name, {}, (), (), None, 'there is no trick "mixupp"'))
        else:
            made.append(Arm(name, {**recipe, "tricks": [name]}, (), (), "data"))
    trials = [Trial(f"{arm}-{r}", arm, r) for r in range(replicates) for arm in arms if arm != "unresolved"]
    return plan_of(made, trials, {"hash": "data", "classes": ["a", "b"]}, rounds=rounds)


def make_graph(graph, replicates=1, rounds=0, together=1, **recipe):
    """Return a plan that is a graph.

    Args:
        graph: For each arm its parents by role.
        replicates: Of each arm.
        rounds: Of timings.
        together: Replicates that are trained at once.
        recipe: What every arm's recipe holds besides.
    """
    arms = []
    for name, parents in graph.items():
        own = {"numerics": {"threads": 1}, "backbone": {"name": "net", "params": {}}, "arm": name, **recipe}
        if parents:
            own["parents"] = {role: {"arm": parent} for role, parent in parents.items()}
        arms.append(Arm(name, own, (), (), "data"))
    # The children stand first: the order of the plan is not what makes them wait.
    trials = [Trial(f"{name}-{r}", name, r) for r in range(replicates) for name in reversed(graph)]
    manifest = {"hash": "data", "classes": ["a", "b"], "modalities": {"image": {"shape": [1, 8, 8]}}}
    return plan_of(arms, trials, manifest, rounds=rounds, together=together)


def plan_of(arms, trials, manifest, *, rounds, **more):
    return Plan(
        suite="fake",
        seed=0,
        replicates=1 + max((trial.replicate for trial in trials), default=0),
        baseline=arms[0].name,
        alpha=0.05,
        margin_points=0.1,
        equal_margin_points=0.2,
        verdicts=False,
        verdicts_reason="fake",
        timing={"rounds": rounds, "seconds": 0.1},
        arms=tuple(arms),
        manifests={"data": manifest},
        trials=tuple(trials),
        plugins=(),
        **more,
    ).hashed()


def make_options(function, **more):
    return Options(
        **{
            "jobs": 2,
            "device": "cpu",
            "timeout_seconds": 60.0,
            "warm": ("harness.launch.worker",),
            "trial_function": f"launch_fakes:{function}",
            "timing_function": "launch_fakes:time_arm",
            **more,
        }
    )


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Return a function that runs a plan with a fake of the engine, and gives the summary and the store."""
    monkeypatch.syspath_prepend(str(HERE))

    def go(plan, function="run_trial", notify=None, progress=None, **options):
        store = Store(tmp_path / "results" / "fake")
        with store.lock():
            store.write_plan(plan.to_json())
            summary = run(
                plan,
                store,
                data={"data": tmp_path},
                options=make_options(function, **options),
                progress=progress,
                notify=notify,
            )
        return summary, store

    go.plan = make_plan
    return go


@pytest.fixture
def launch_graph(tmp_path, monkeypatch):
    """Return a function that gives, for a module of fakes, one that runs a graph; it has its store and makes plans."""
    monkeypatch.syspath_prepend(str(HERE))
    store = Store(tmp_path / "results" / "fake")

    def with_fakes(fakes, **recipe):
        functions = {"trial_function": f"{fakes}:run_trial", "timing_function": f"{fakes}:time_arm"}

        def go(plan, **more):
            with store.lock():
                store.write_plan(plan.to_json())
                options = make_options("run_trial", **{**functions, **more})
                return run(plan, store, data={"data": tmp_path}, options=options)

        go.store = store
        go.plan = partial(make_graph, **recipe)
        return go

    return with_fakes


if __name__ == "__main__":
    # A launcher of its own, for the tests that kill it: folder, function, replicates, rounds.
    sys.path.insert(0, str(HERE))
    folder, function, replicates, rounds = sys.argv[1:]
    plan = make_plan(replicates=int(replicates), rounds=int(rounds))
    store = Store(Path(folder) / "results" / "fake")
    with store.lock():
        store.write_plan(plan.to_json())
        options = make_options(function)
        sys.exit(run(plan, store, data={"data": Path(folder)}, options=options).exit_code)

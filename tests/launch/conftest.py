import sys
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
    return Plan(
        suite="fake",
        seed=0,
        replicates=replicates,
        baseline=arms[0],
        alpha=0.05,
        margin_points=0.1,
        equal_margin_points=0.2,
        verdicts=False,
        verdicts_reason="fake",
        timing={"rounds": rounds, "seconds": 0.1},
        arms=tuple(made),
        manifests={"data": {"hash": "data", "classes": ["a", "b"]}},
        trials=tuple(trials),
        plugins=(),
    ).hashed()


def make_options(function, **more):
    return Options(
        **{
            "jobs": 2,
            "device": "cpu",
            "timeout_seconds": 20.0,
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

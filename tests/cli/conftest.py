import os
import subprocess
import sys

import pytest

from harness.record.plans import plan_hash
from harness.record.record import dead_outcome, trial_record
from harness.record.store import Store

SUITE = """
schema = 1
name = "tiny"
replicates = 1
baseline = "plain"
verdicts = false
[budget]
epochs = 1
[timing]
rounds = 1
seconds = 0.1
[recipe]
dataset = { name = "subset", of = "digits", samples = 100 }
backbone = { name = "simple-cnn", width = 4 }
optimizer = { name = "sgd", lr = 0.1 }
schedule = "constant"
batch_size = 32
[arms.plain]
[arms.smooth]
tricks = ["label-smoothing"]
"""

# Runs the command line as the console script does, and tells on the last line which modules came in.
PROGRAM = """
import sys
sys.argv[0] = "harness"
from harness.cli.main import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def harness(cache):
    """Return a function that runs `harness …` and gives the finished process, with the `modules` it imported."""

    def run(*arguments, cwd=None, **environment):
        settings = {**os.environ, "HARNESS_CACHE": str(cache), "OMP_NUM_THREADS": "1", **environment}
        settings.pop("HARNESS_DATA", None)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=settings,
            timeout=120,
            check=False,
        )
        done.stderr, _, modules = done.stderr.rstrip("\n").rpartition("\n")
        done.modules = set(modules.split())
        done.torch = "torch" in done.modules
        return done

    return run


@pytest.fixture(scope="session")
def suite_text():
    return SUITE


@pytest.fixture(scope="session")
def made_results():
    return make_results


def make_results(folder, replicates, *, alpha=0.1, seed=0, points=0.0):
    """Write a results folder of a suite of two arms with these replicates, of accuracies that are `points` higher."""
    store = Store(folder)
    arms = ("plain", "mixup")
    plan = {
        "schema": 1,
        "protocol": 1,
        "suite": "s",
        "seed": seed,
        "replicates": 4,
        "baseline": "plain",
        "alpha": 0.05,
        "margin_points": 0.1,
        "equal_margin_points": 0.1,
        "verdicts": False,
        "verdicts_reason": "few",
        "timing": {"rounds": 0, "seconds": 1.0},
        "arms": [
            {
                "name": arm,
                "recipe": {"batch_size": 32, "alpha": alpha},
                "components": [],
                "varies": [],
                "data": "m",
                "failure": None,
            }
            for arm in arms
        ],
        "manifests": {"m": {"hash": "m", "dataset": "d", "classes": 10, "splits": {"test": {"count": 100}}}},
        "trials": [{"id": f"{arm}{alpha}-{r}", "arm": arm, "replicate": r} for r in range(4) for arm in arms],
        "plugins": [],
    }
    plan["hash"] = plan_hash(plan)
    store.write_plan(plan)
    refs = {"host": None, "recipe": store.share(plan["arms"][0]["recipe"])}
    refs["manifest"] = store.share(plan["manifests"]["m"])
    for trial in plan["trials"]:
        if trial["replicate"] in replicates:
            heading = {"protocol": 1, "suite": "s", "plan": plan["hash"], "attempt": 0}
            heading |= {"trial": trial["id"], "arm": trial["arm"], "replicate": trial["replicate"]}
            results = {
                "test": {"count": 100, "top1": 90.0 + points + trial["replicate"], "nll": 0.3},
                "validation": None,
            }
            digests = dict.fromkeys(("final_weights", "evaluation_outputs"), f"{trial['id']}{points}")
            store.write_trial(
                trial_record(
                    {**dead_outcome("completed", None), "results": results, "digests": digests},
                    heading=heading,
                    refs=refs,
                    started_at="2026-01-01T00:00",
                    finished_at=f"2026-01-01T00:0{trial['replicate']}",
                )
            )
    return folder

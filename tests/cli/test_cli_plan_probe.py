"""`harness plan --probe` times what no record tells, arms of equal recipes once; a dead arm takes no other with it."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest

from harness.cli.forecast import Cost
from harness.cli.probing import worth_probing

PLUGIN = '''
import os
from dataclasses import dataclass
from pathlib import Path

from harness.contract import Slots, Trick, hookimpl

@dataclass(frozen=True)
class Counts(Trick):
    """Write down that a trial was opened, and end its process where that is asked for."""
    code: int

    def bind(self, ctx):
        with (Path(__file__).parent / "opened").open("a") as file:
            file.write("x")

        def batch(batch):
            if self.code:
                print("a last word", flush=True)
                os._exit(self.code)
            return batch

        return Slots(batch=batch)

@hookimpl
def harness_register(registry):
    registry.add("trick", "counts", Counts, summary="counts, or ends")
'''

ARMS = """
aa = true
plugins = ["counts.py"]
[arms.plain]
tricks = [{ name = "counts", code = 0 }]
[arms.dead]
tricks = [{ name = "counts", code = 7 }]
[arms.smooth]
tricks = ["label-smoothing"]
"""


def test_copies_are_timed_once_and_a_dead_arm_leaves_the_others(harness, suite_text, tmp_path):
    head, _, tables = suite_text.partition("[budget]")
    top, _, arms = ARMS.partition("[arms.plain]")
    tables = tables.partition("[arms.plain]")[0]
    (tmp_path / "counts.py").write_text(PLUGIN)
    (tmp_path / "s.toml").write_text(f"{head}{top}[budget]{tables}[arms.plain]{arms}")
    done = harness("plan", "s.toml", "--probe", "--json", cwd=tmp_path)
    costs = {arm["name"]: arm["cost"] for arm in json.loads(done.stdout)["arms"]}
    assert list(costs) == ["plain", "plain-aa", "dead", "smooth"]
    assert costs["plain"] == costs["plain-aa"] and costs["plain"]["seconds"] > 0
    assert costs["dead"] is None and costs["smooth"]["seconds"] > 0
    assert "probe: arm dead: crashed: the process exited with code 7: a last word" in done.stderr
    # A trial is opened to be timed and once more for its parameters; the dead arm's but once, the copy's never.
    assert (tmp_path / "opened").read_text() == "xxx"


@pytest.mark.parametrize(
    ("source", "is_timed", "trials", "rounds", "is_probed"),
    [
        (None, False, 3, 2, True),
        ("like", True, 3, 2, True),  # by another arm's records
        ("budget", True, 3, 2, True),
        ("records", True, 3, 2, False),
        ("records", False, 3, 0, False),
        ("records", False, 0, 2, True),  # no timing tells how long a round takes
        (None, False, 0, 2, True),
        (None, False, 0, 0, False),  # all its trials failed, and nothing is left
        ("like", False, 0, 0, False),
    ],
)
def test_an_arm_is_probed_where_something_is_left_that_its_records_do_not_tell(
    source, is_timed, trials, rounds, is_probed
):
    arm, gone = SimpleNamespace(name="a", failure=None), SimpleNamespace(name="gone", failure="no such trick")
    costs = {} if source is None else {"a": Cost(1.0, None, None, source, "told")}
    timed = {"a": 1.0} if is_timed else {}
    plan = SimpleNamespace(arms=(arm, gone))
    found = worth_probing(plan, costs, timed, Counter(a=trials, gone=3), Counter(a=rounds))
    assert found == ([arm] if is_probed else [])

"""What a plan can never say is told before it is run: of speed and memory, and of claims, each by its own floor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.suite.expand import expand
from harness.suite.load import load
from harness.suite.plan import Plan, needed_rounds
from harness.suite.verdicts import claims_outlook, outlook_lines, speed_outlook

ARMS = '[arms.smooth]\ntricks = ["label-smoothing"]\n[arms.still]\naugmentations = []\n'
SHORT = "; a claim on speed takes 5 s a round, this plan has 1: set [timing] seconds = 5"


def claims(count: int, metric: str = "top1", claimed: float = 0.5) -> str:
    return "".join(
        f'[[claim]]\nname = "{metric} {number}"\nsource = "s"\narm = "smooth"\nclaimed = {claimed}\n'
        f'metric = "{metric}"\n'
        for number in range(count)
    )


@pytest.fixture
def plan_of(suite_file: Callable[..., Path], manifest: dict[str, Any]) -> Callable[..., Plan]:
    def make(more: str, replicates: int = 10) -> Plan:
        suite = load(suite_file(ARMS + more))
        return expand(suite, dict.fromkeys(suite.arms, manifest), replicates=replicates)

    return make


def test_a_claim_on_speed_takes_seven_rounds_or_what_the_family_takes() -> None:
    # ceil(log2(2 m / 0.05)) is 6, 7, 8, 10 for 1, 3, 5, 20 arms
    assert [needed_rounds(m, 0.05) for m in (1, 3, 5, 20)] == [7, 7, 8, 10]


@pytest.mark.parametrize(
    ("timing", "told"),
    [
        ("rounds = 3", "no, 3 rounds, it takes 7: set [timing] rounds = 7 and seconds = 5"),
        ("rounds = 1\nseconds = 5.0", "no, 1 round, it takes 7: set [timing] rounds = 7"),
        (
            "rounds = 0\nseconds = 6",
            "no, there is no timing pass, it takes 7 rounds: set [timing] rounds = 7",
        ),
        ("rounds = 7", f"yes{SHORT}"),
        ("rounds = 7\nseconds = 5.0", "yes"),
    ],
)
def test_rounds_and_seconds_of_speed_verdicts(plan_of: Callable[..., Plan], timing: str, told: str) -> None:
    plan = plan_of(f"[timing]\n{timing}\n")
    assert speed_outlook(plan) == told
    assert outlook_lines(plan) == [f"speed verdicts: {told}"]


def test_claims_have_a_floor_of_their_own(plan_of: Callable[..., Plan]) -> None:
    assert claims_outlook(plan_of("")) == ""
    # Two arms take 7 replicates, so the plan has verdicts; five claims take 8.
    plan = plan_of(claims(5), replicates=7)
    assert plan.verdicts
    assert claims_outlook(plan) == "no, 7 replicates, 5 testable claims take 8: set replicates = 8"
    assert outlook_lines(plan)[1] == f"claim verdicts: {claims_outlook(plan)}"
    assert claims_outlook(plan_of(claims(4), replicates=8)) == "yes"
    untestable = claims(5).replace("claimed", 'testable = "needs a GPU"\nclaimed')
    assert claims_outlook(plan_of(untestable, replicates=7)) == "none is called testable"


def test_claims_on_speed_take_rounds_as_well(plan_of: Callable[..., Plan]) -> None:
    ratio = claims(1, "images_per_second", 1.5)
    wanted = "no, 3 rounds, it takes 7: set [timing] rounds = 7 and seconds = 5"
    assert claims_outlook(plan_of(ratio)) == wanted
    assert claims_outlook(plan_of(claims(1) + ratio)) == f"of accuracy yes; of speed and memory {wanted}"
    assert claims_outlook(plan_of(ratio + "[timing]\nrounds = 7\nseconds = 5.0\n")) == "yes"


def test_a_plan_without_verdicts_has_its_reason_alone(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(claims(1), replicates=3)
    assert not plan.verdicts and outlook_lines(plan) == []
    assert speed_outlook(plan).startswith("no, ") and claims_outlook(plan).startswith("no, ")

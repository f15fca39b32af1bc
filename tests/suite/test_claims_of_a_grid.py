"""A claim in a grid is one cell's: the plan says so before anything is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.suite.expand import expand
from harness.suite.load import load
from harness.suite.verdicts import outlook_lines

CLAIM = '[[claim]]\nname = "c"\nsource = "s"\narm = "smooth"\nclaimed = 0.5\n'
ARMS = '[arms.smooth]\ntricks = ["label-smoothing"]\n'


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        (
            '[grid]\n"optimizer.lr" = [0.05, 0.1]\n',
            "; each is tested in the first cell of the grid alone (optimizer.lr = 0.05)",
        ),
        ("", ""),
    ],
    ids=["grid", "none"],
)
def test_a_plan_says_in_which_cell_its_claims_are_tested(
    suite_file: Callable[..., Path], manifest: dict[str, Any], grid: str, told: str
) -> None:
    suite = load(suite_file(ARMS + CLAIM + grid))
    plan = expand(suite, dict.fromkeys(suite.arms, manifest), replicates=12)
    (line,) = [line for line in outlook_lines(plan) if line.startswith("claim verdicts")]
    assert line == f"claim verdicts: yes{told}"

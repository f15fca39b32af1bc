"""A claim says no more than was measured: where, of which arms, and with which size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from harness.board import render
from harness.board.claim_verdict import judge_claim
from harness.board.claim_words import claim_cells
from harness.board.leaderboard import build
from harness.board.render_terminal import terminal
from harness.board.verdict import Rules, compare

Json = dict[str, Any]


def claim(arm: str, claimed: float, **more: Any) -> Json:
    told = {"name": f"{arm} helps", "source": "s", "arm": arm, "against": "plain", "claimed": claimed}
    return {**told, "metric": "top1", "unit": "points", "testable": None, **more}


@pytest.mark.parametrize("dead", [["plain"], ["a"], ["plain", "a"]], ids=["baseline", "arm", "both"])
def test_nothing_is_measured_where_a_side_has_no_result(
    inputs: Callable[..., Any], failing: Callable[..., None], dead: list[str]
) -> None:
    made = inputs({"plain": 0.0, "a": 1.0, "b": 2.0})
    for arm in dead:
        for record in made.of(arm):
            failing(record, "diverged")
    made.plan["claims"] = [claim("a", 1.0), claim("b", 2.0, against="b2")]
    told = build(made.plan, made.records, made.timings)["claims"][0]
    assert told["measured"] is None
    assert (told["verdict"], told["p"]) == (None, None) and "has no result" in told["reason"]


def test_a_claim_of_a_grid_names_the_cell_in_which_it_is_tested(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 1.0, "plain.1": 0.0, "a.1": 1.0})
    for arm, rate, base in zip(
        made.plan["arms"], (0.05, 0.05, 0.1, 0.1), ("plain",) * 2 + ("plain.1",) * 2, strict=True
    ):
        arm |= {"cell": {"optimizer.lr": rate}, "against": base}
    made.plan["claims"] = [claim("a", 1.0)]
    board = build(made.plan, made.records, made.timings)
    assert board["claims"][0]["cell"] == {"optimizer.lr": 0.05}
    console = Console(width=4000, record=True)
    console.print(terminal(board))
    for text in (render.markdown(board), render.html(board), render.latex(board), console.export_text()):
        assert "at optimizer.lr = 0.05" in text.replace(r"\_", "_")


def test_a_claim_outside_of_a_grid_names_no_cell(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 1.0})
    made.plan["claims"] = [claim("a", 1.0)]
    assert "cell" not in build(made.plan, made.records, made.timings)["claims"][0]


def test_a_component_as_a_cell_is_in_words_in_the_claims_too(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 1.0, "plain.1": 0.0, "a.1": 1.0})
    for number, arm in enumerate(made.plan["arms"]):
        dataset = {"name": ("digits", "svhn")[number // 2], "params": {}}
        arm |= {"cell": {"dataset": dataset}, "against": ("plain", "plain.1")[number // 2]}
    made.plan["claims"] = [claim("a", 1.0)]
    text = render.markdown(build(made.plan, made.records, made.timings))
    assert "at dataset = digits" in text and "'name'" not in text


def test_a_size_of_which_nothing_is_known_is_not_reproduced() -> None:
    rules = Rules(alpha=0.05, family=1, margin=0.1, equal_margin=0.1, needed=6, seed=0)
    wild, tame = [0.2] * 9 + [30.0], [9.0 + 0.1 * x for x in range(10)]
    found = compare({"wild": wild, "tame": tame}, {}, rules)
    # One outlier of ten: mean 3.18, and t(9) at 0.05 times the standard error is 6.74, so the interval holds 0 and 9.
    assert found["wild"].p_holm is not None and found["wild"].p_holm <= 0.05
    verdict, reason = judge_claim(claim("a", 9.0), found["wild"], rules)
    assert verdict == "not resolved"
    assert "of its size nothing is known" in reason and reason.endswith("still contains 0")
    assert judge_claim(claim("a", 9.0), found["tame"], rules)[0] == "reproduced"
    assert judge_claim(claim("a", -9.0), found["wild"], rules)[0] == "contradicted"


def test_the_replicates_that_many_claims_take_are_told_beside_those_of_the_table(
    inputs: Callable[..., Any],
) -> None:
    made = inputs({"plain": 0.0, "a": 1.0}, 2)
    made.plan |= {"verdicts": False, "verdicts_reason": "set replicates = 6"}
    made.plan["claims"] = [claim("a", 0.1 * number, name=str(number)) for number in range(1, 8)]
    (reason,) = {one["reason"] for one in build(made.plan, made.records, made.timings)["claims"]}
    # ceil(log2(2 * 7 / 0.05)) = ceil(8.13)
    assert reason == "no verdict: set replicates = 6; 7 claims take 9 replicates"


@pytest.mark.parametrize(
    ("claimed", "told"),
    [
        (1.5, "1.50×"),
        (0.25, "0.25×"),
        (0.01, "0.01×"),
        (0.004, "0.004×"),
        (1e-320, "1e-320×"),
        (1e308, "1e+308×"),
    ],
)
def test_a_claim_however_large_or_small_is_told_in_a_few_digits(claimed: float, told: str) -> None:
    """Plans that were written before claims had bounds hold any."""
    claim = {"name": "n", "arm": "a", "against": "b", "metric": "images_per_second", "unit": "ratio"}
    cells = claim_cells({**claim, "claimed": claimed, "measured": None, "verdict": None})
    assert cells[3] == told

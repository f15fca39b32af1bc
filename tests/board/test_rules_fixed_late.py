"""A board whose rules are younger than its trials says so, in every format; any other one is as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from rich.console import Console

from harness.board import render
from harness.board.compare import Given, compare_results
from harness.board.leaderboard import build
from harness.board.render_terminal import terminal
from harness.record.history import claim_keys

Json = dict[str, Any]

EARLIER: Json = {
    "plans": 31,
    "family": [1, 5],
    "alpha": [0.05, 0.3],
    "margin_points": [0.1, 0.18552875695732837],
    "replicates": [6, 1200],
}
HISTORY: Json = {
    "plan": "p",
    "at": "2026-01-01T00:00:00+00:00",
    "trials": 22,
    "there": 22,
    "judged": 11,
    "judged_there": 11,
    "earlier": EARLIER,
    "late_claims": [],
}
WORDS = (
    "rules fixed late: 22 of 22 trials had been run when this plan (its arms, replicates, level, margins and claims) "
    "was stored; 31 earlier plans of this folder judge some of them (family of 1 to 5 arms, α 0.05 to 0.3, "
    "margin 0.1 to 0.186 points, 6 to 1,200 replicates)"
)


@pytest.fixture
def board_of(inputs: Callable[..., Any]) -> Callable[..., Json]:
    def build_one(history: Json | None, **plan: Any) -> Json:
        made = inputs({"plain": 0.0, "a": 1.0}, 10)
        made.plan |= plan
        return build(made.plan, made.records, made.timings, shared=made.shared, history=history)

    return build_one


def test_every_format_with_stamps_says_it_in_one_line_and_json_has_the_numbers(
    board_of: Callable[..., Json],
) -> None:
    board = board_of(HISTORY)
    assert board["stamps"][0] == WORDS
    assert board["rules_fixed_late"] == {
        key: HISTORY[key] for key in ("at", "trials", "there", "judged", "judged_there", "earlier")
    }
    console = Console(width=4000, record=True)
    console.print(terminal(board))
    for text in (render.markdown(board), render.html(board), render.latex(board), console.export_text()):
        assert "rules fixed late: 22 of 22 trials" in text
    assert orjson.loads(render.json(board))["rules_fixed_late"]["there"] == 22


@pytest.mark.parametrize("history", [None, {**HISTORY, "judged_there": 0}], ids=["none", "baseline alone"])
def test_a_board_is_as_it_was_where_nothing_was_seen_before(
    board_of: Callable[..., Json], history: Json | None
) -> None:
    assert render.json(board_of(history)) == render.json(board_of(None))
    assert not any("rules fixed" in stamp for stamp in board_of(history)["stamps"])


@pytest.mark.parametrize(
    ("earlier", "end"),
    [
        (None, "; no earlier plan of this folder judges any of them"),
        (
            {
                "plans": 1,
                "family": [1, 1],
                "alpha": [0.05, 0.05],
                "margin_points": [1, 1],
                "replicates": [9, 9],
            },
            "; 1 earlier plan of this folder judges some of them (family of 1 arm, α 0.05, margin 1 point, "
            "9 replicates)",
        ),
    ],
    ids=["none", "one"],
)
def test_few_earlier_plans_in_words(board_of: Callable[..., Json], earlier: Json | None, end: str) -> None:
    assert board_of({**HISTORY, "earlier": earlier})["stamps"][0].endswith(end)


def test_a_comparison_says_of_which_side_the_rules_are_late(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 1.0}, 10)
    sides = [
        Given(name, made.plan, made.records, made.timings, made.shared, history=history)
        for name, history in (("x", None), ("y", HISTORY))
    ]
    assert [note for note in compare_results(*sides)["notes"] if "rules fixed" in note] == [
        f"candidate: {WORDS}"
    ]


def test_a_claim_that_was_made_after_the_run_says_so_and_another_does_not(
    board_of: Callable[..., Json],
    inputs: Callable[..., Any],
) -> None:
    claims = [
        {"name": name, "source": "s", "arm": "a", "against": "plain", "metric": "top1", "unit": "points"}
        | {"claimed": claimed, "testable": None}
        for name, claimed in (("before", 0.5), ("after", 1.0))
    ]
    key = claim_keys({**inputs({"plain": 0.0, "a": 1.0}, 10).plan, "claims": claims})[1]
    history = {**HISTORY, "late_claims": [key]}
    before, after = board_of(history, claims=claims)["claims"]
    assert "stated after the run" in after["reason"] and "stated after the run" not in before["reason"]


@pytest.mark.parametrize(
    ("looks", "stamps"),
    [
        ((0, 0), []),
        (
            (2, 0),
            [
                "compared before: 2 other arms of this folder were compared with the same baseline trials before this "
                "plan was stored; the family here is 1 arm"
            ],
        ),
        (
            (1, 1),
            [
                "compared before: 1 other arm of this folder was compared with the same baseline trials before this "
                "plan was stored; the family here is 1 arm",
                "run before with another seed: arms of these recipes were compared in this folder with 1 other seed "
                "before this plan was stored",
            ],
        ),
    ],
)
def test_looks_at_other_arms_and_seeds_are_stamped_by_board_and_comparison(
    board_of: Callable[..., Json], inputs: Callable[..., Any], looks: tuple[int, int], stamps: list[str]
) -> None:
    history = {**HISTORY, "judged_there": 0, "other_arms": looks[0], "other_seeds": looks[1]}
    plain, board = board_of(None), board_of(history)
    assert board["stamps"] == [*stamps, *plain["stamps"]]
    known = {"other_arms": looks[0], "other_seeds": looks[1], "family": 1} if stamps else None
    assert board.get("compared_before") == known
    made = inputs({"plain": 0.0, "a": 1.0}, 10)
    sides = [
        Given(name, made.plan, made.records, made.timings, made.shared, history=one)
        for name, one in (("x", None), ("y", history))
    ]
    notes = compare_results(*sides)["notes"]
    assert [note for note in notes if "before this plan" in note] == [f"candidate: {one}" for one in stamps]

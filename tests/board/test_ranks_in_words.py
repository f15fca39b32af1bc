"""A tie is shown as a tie: wherever ranks stand, those stand beside them that the tests leave open."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from harness.board import render
from harness.board.leaderboard import build
from harness.board.rank_words import rank, ranks_note


def board_of(given: Any) -> Any:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def ranks_shown(board: Any) -> dict[str, dict[str, str]]:
    """Return, by format, what stands in the column of ranks of each arm."""
    console = Console(width=160)
    with console.capture() as capture:
        console.print(render.terminal(board))
    table = capture.get().partition("───")[2].partition("\n\n")[0]
    cells = re.findall(
        r'<td class="rank"[^>]*>(.*?)</td>.*?<a href="#arm-[0-9a-f]*">(.*?)</a>', render.html(board)
    )
    return {
        "terminal": {
            arm: shown for shown, arm in re.findall(r"^ *(\S+(?: \S+)?)  (\S+)  ", table, re.MULTILINE)
        },
        "markdown": {
            arm: shown
            for shown, arm in re.findall(r"^\| (\d[^|]*) \| (\S+) \|", render.markdown(board), re.M)
        },
        "html": {
            arm: re.sub(
                r"<span class=\"faint interval\">|<[^>]*>", lambda tag: " " * ("faint" in tag[0]), cell
            )
            for cell, arm in cells
        },
    }


EFFECTS = {"plain": 0.0, "alike": 0.02, "too": -0.02, "best": 3.0}


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_arms_that_the_tests_do_not_tell_apart_have_their_ranks_beside_their_rank(
    inputs: Any, form: str
) -> None:
    board = board_of(inputs(EFFECTS, replicates=12))
    intervals = {row["arm"]: (row["rank"], row["rank_interval"]) for row in board["rows"]}
    assert intervals["best"] == (1, [1, 1])  # one arm stands apart, and three are tied
    assert {arm for arm, (_, interval) in intervals.items() if interval == [2, 4]} == {
        "plain",
        "alike",
        "too",
    }
    shown = ranks_shown(board)[form]
    # The terminal has no room for both; there the row's place is the rank.
    written = {"terminal": "2–4", "markdown": "{} (2–4)", "html": "{} 2–4"}[form]
    assert shown == {
        arm: "1" if arm == "best" else written.format(own) for arm, (own, _) in intervals.items()
    }


def test_ranks_that_nothing_tests_are_said_to_be_by_the_mean_alone(inputs: Any) -> None:
    board = board_of(inputs(EFFECTS, replicates=7))  # six pairs take eight
    assert all(rank(row) == str(row["rank"]) for row in board["rows"])
    note = ranks_note(board)
    assert note.startswith(
        "Ranks go by the mean alone, and neighbours may be ties: 6 pairs of arms take 8 replicates"
    )
    console = Console(width=400)
    with console.capture() as capture:
        console.print(render.terminal(board))
    for text in (capture.get(), render.markdown(board), render.html(board)):
        assert note in text
    assert ranks_note(board_of(inputs({"plain": 0.0}, replicates=7))) == ""

"""How a board is made again: every commit that took part is named, and so are the environment and the data."""

from __future__ import annotations

from typing import Any

import pytest

from harness.board import render
from harness.board.leaderboard import build

Json = dict[str, Any]
ENVIRONMENT = "make .venv/.installed  # the environment"
DATA = "export HARNESS_DATA=DIR  # the folder with the data sets"
COMMAND = "harness run benchmarks/suites/digits-tricks.toml"


def board_of(inputs: Any, **shared: Json) -> Json:
    given = inputs({"plain": 0.0, "good": 3.0}, 8)
    for record in given.records:
        record["refs"] |= {"code": "code", "session": "session"}
    for timing in given.timings:
        timing["refs"] |= {"code": "pace-code", "session": "pace-session"}
    given.shared |= {"pace-code": given.shared["code"], "pace-session": given.shared["session"], **shared}
    return build(given.plan, given.records, given.timings, shared=given.shared)


def state(commit: str, engine: str = "e", *, dirty: bool = False) -> Json:
    return {"version": "0.1.0", "engine": engine, "commit": commit, "dirty": dirty}


def test_one_commit_is_checked_out_and_the_environment_made(inputs: Any) -> None:
    board = board_of(inputs)
    assert board["reproduce"] == ["git checkout 7df0c0d1", ENVIRONMENT, COMMAND]
    assert {one["commit"] for one in board["code"]} == {"7df0c0d1"}
    assert not any("mixed code" in stamp for stamp in board["stamps"])


def test_timings_of_another_commit_are_named_stamped_and_shown(inputs: Any) -> None:
    board = board_of(inputs, **{"pace-code": state("9712a3f3", "other")})
    assert board["reproduce"] == [
        "# trials made at commit 7df0c0d1",
        "# timings made at commit 9712a3f3",
        ENVIRONMENT,
        COMMAND,
    ]
    assert "mixed code: trials and timings ran with 2 states of the harness" in board["stamps"]
    assert [one["commit"] for one in board["code"]] == ["7df0c0d1", "9712a3f3"]
    assert "timings made at commit 9712a3f3" in render.html(board)


def test_the_same_engine_at_another_commit_is_no_mixed_code(inputs: Any) -> None:
    board = board_of(inputs, **{"pace-code": state("9712a3f3")})
    assert not any("mixed code" in stamp for stamp in board["stamps"])
    assert "git checkout 7df0c0d1" not in board["reproduce"]


@pytest.mark.parametrize("part", ["code", "pace-code"])
def test_changes_that_no_commit_holds_are_told(inputs: Any, part: str) -> None:
    board = board_of(inputs, **{part: state("7df0c0d1", dirty=True)})
    assert "# with changes that no commit holds" in board["reproduce"]
    assert "uncommitted code: the harness had changes that no commit holds" in board["stamps"]


def test_the_data_root_is_asked_for_where_the_data_came_from_one(inputs: Any) -> None:
    session = {"command": COMMAND, "environment": {"HARNESS_DATA": "/somewhere/data"}}
    lines = board_of(inputs, session=session)["reproduce"]
    assert lines[2:] == [DATA, COMMAND] and "/somewhere" not in "".join(lines)


def test_without_a_commit_no_environment_is_promised(inputs: Any) -> None:
    lines = board_of(inputs, code={"commit": None}, **{"pace-code": {"commit": None}})["reproduce"]
    assert lines == [COMMAND]

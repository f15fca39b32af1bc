"""What holds for a whole board, and in which cell an arm ran, stands in files that are read alone; nothing twice."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from harness.board import render
from harness.board.leaderboard import build

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

Json = dict[str, Any]
LATE: Json = {"plan": "p", "at": "2026-01-01T00:00:00+00:00", "trials": 20, "there": 20, "judged": 10}
LATE |= {"judged_there": 10, "earlier": None, "late_claims": []}


def board_of(given: Any) -> Json:
    return build(given.plan, given.records, given.timings, shared=given.shared)


@pytest.fixture
def stamped(inputs: Callable[..., Any]) -> Json:
    board = board_of(inputs({"plain": 0.0, "a": 1.0}))
    board["stamps"] = ["rules fixed late: 20 of 20 trials", 'mixed "code": 2 states']
    return board


def args_of(board: Json) -> list[Json]:
    blocks = list(yaml.safe_load_all(render.model_index(board).removesuffix("---\n")))
    return [block["model-index"][0]["results"][0]["dataset"]["args"] for block in blocks]


def test_every_row_of_the_csv_has_the_boards_stamps(stamped: Json) -> None:
    rows = list(csv.DictReader(io.StringIO(render.csv(stamped))))
    assert len(rows) == 2
    assert {row["board_stamps"] for row in rows} == {"; ".join(stamped["stamps"])}
    assert {row["stamps"] for row in rows} == {""}
    stamped["stamps"] = []
    assert "board_stamps" not in render.csv(stamped)


def test_a_cards_block_has_the_boards_stamps(stamped: Json) -> None:
    for args in args_of(stamped):
        assert args["stamps"] == stamped["stamps"]
    stamped["stamps"] = []
    assert all(set(args) == {"suite", "plan"} for args in args_of(stamped))


def test_a_cards_block_says_in_which_cell_its_arm_ran(inputs: Callable[..., Any]) -> None:
    given = inputs({"plain": 0.0, "plain.1": 0.5})
    for number, arm in enumerate(given.plan["arms"]):
        arm["cell"] = {
            "optimizer.lr": 0.1 * (number + 1),
            "dataset": {"name": "digits", "samples": 100 * number},
        }
        arm["against"] = arm["name"]
    board = board_of(given)
    told = dict(zip([row["arm"] for row in board["rows"]], args_of(board), strict=True))
    assert told["plain"]["cell"] == "optimizer.lr = 0.1, dataset = digits (samples 0)"
    assert told["plain.1"]["cell"] == "optimizer.lr = 0.2, dataset = digits (samples 100)"


def test_an_interim_reason_is_not_told_twice(inputs: Callable[..., Any]) -> None:
    given = inputs({"plain": 0.0, "a": 1.0, "b": 1.0}, 8)
    given.records.remove(given.of("a")[-1])
    board = board_of(given)
    console = Console(width=4000, record=True)
    console.print(render.terminal(board))
    for text in (console.export_text(), render.markdown(board), render.latex(board)):
        assert "interim, 7 of 8 replicates;" in text
        assert text.count("7 of 8 replicates") == 1
    # The stamp itself stays, where it stands alone.
    assert next(row for row in board["rows"] if row["arm"] == "a")["stamps"] == ["7 of 8 replicates"]


def test_a_baseline_that_lacks_replicates_says_so_itself(inputs: Callable[..., Any]) -> None:
    given = inputs({"plain": 0.0, "a": 1.0}, 8)
    given.records.remove(given.of("plain")[-1])
    text = render.markdown(board_of(given))
    assert 'interim, 7 of 8 replicates of "plain";' in text.replace("&quot;", '"')
    assert text.count("7 of 8 replicates") == 2

"""A folder that takes no files is shown all the same, in every format, and a note says what was not written."""

import json
from pathlib import Path

import pytest

from harness.board import render
from harness.cli import boards, building
from harness.errors import StoreError
from harness.record.store import Store


@pytest.fixture
def folder(made_results, tmp_path: Path) -> Path:
    folder = tmp_path / "s"
    made_results(folder, (0, 1))
    (folder / "leaderboard.json").mkdir()  # also for root nothing can be written in its place
    return folder


@pytest.mark.parametrize("form", ["terminal", "json", "csv", "latex", "markdown", "html", "model-index"])
def test_every_format_is_printed_where_nothing_can_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    assert boards.rebuild(folder, as_json=False, form=form) == 0
    shown = capsys.readouterr()
    assert "mixup" in shown.out
    assert shown.err.count("\n") == 1 and "leaderboard.* were not written" in shown.err
    assert "leaderboard.html" not in shown.out  # no page is named that is not there


def test_what_is_printed_is_what_would_have_been_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boards.rebuild(folder, as_json=False, form="csv")
    unwritten = capsys.readouterr().out
    (folder / "leaderboard.json").rmdir()
    boards.rebuild(folder, as_json=False, form="csv")
    assert capsys.readouterr() == (unwritten, "")
    assert (folder / "leaderboard.csv").read_text() == unwritten
    assert render.csv(json.loads((folder / "leaderboard.json").read_text())) == unwritten


def test_a_run_whose_board_cannot_be_written_fails(folder: Path) -> None:
    store = Store(folder)
    plan = store.read_plan()
    with pytest.raises(StoreError, match="cannot be written"):
        building.build_board(plan, store.read(plan), folder)

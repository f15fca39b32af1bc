"""A folder that takes no files is shown all the same, in every format, and a note says what was not written."""

import errno
import json
import os
from pathlib import Path

import pytest

from harness.board import render
from harness.cli import boards, building
from harness.errors import StoreError
from harness.record import files
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


def leaderboards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("leaderboard.*")) if path.is_file()}


@pytest.mark.parametrize("ending", ["html", "csv"])
def test_no_file_of_a_board_is_written_where_a_folder_stands_in_the_place_of_one(
    folder: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    (folder / "leaderboard.json").rmdir()
    (folder / f"leaderboard.{ending}").mkdir()
    assert boards.rebuild(folder, as_json=False) == 0
    assert leaderboards(folder) == {}
    note = capsys.readouterr().err
    assert "leaderboard.* were not written" in note and f"leaderboard.{ending}: cannot be written" in note
    assert not list(folder.glob(".writing-*"))


def test_a_board_that_cannot_be_written_whole_leaves_the_old_one_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "leaderboard.json").rmdir()
    boards.rebuild(folder, as_json=False)
    (folder / "leaderboard.html").unlink()
    (folder / "leaderboard.html").mkdir()
    old = leaderboards(folder)
    # Of the same board only the page is not there, and the note says just that.
    capsys.readouterr()
    boards.rebuild(folder, as_json=False)
    assert "note: leaderboard.html was not written" in capsys.readouterr().err
    for record in folder.glob("trials/mixup*-1/0.json"):
        record.unlink()
    boards.rebuild(folder, as_json=False)
    assert "note: leaderboard.* were not written" in capsys.readouterr().err
    assert leaderboards(folder) == old


def test_a_disk_that_fills_up_at_the_last_file_leaves_the_old_board(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "leaderboard.json").rmdir()
    boards.rebuild(folder, as_json=False)
    old = leaderboards(folder)
    for record in folder.glob("trials/mixup*-1/0.json"):
        record.unlink()
    temporary = files._temporary

    def full(path: Path, data: bytes) -> Path:
        if path.suffix == ".html":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return temporary(path, data)

    monkeypatch.setattr(files, "_temporary", full)
    boards.rebuild(folder, as_json=False)
    assert "leaderboard.* were not written" in capsys.readouterr().err
    assert leaderboards(folder) == old and not list(folder.glob(".writing-*"))


def test_a_disk_that_fails_between_two_files_is_told_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "leaderboard.json").rmdir()
    replace = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if target.suffix in (".tex", ".html"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    boards.rebuild(folder, as_json=False)
    assert "note: leaderboard.tex and leaderboard.html were not written" in capsys.readouterr().err
    assert sorted(leaderboards(folder)) == ["leaderboard.csv", "leaderboard.json", "leaderboard.md"]

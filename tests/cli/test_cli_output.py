"""Output that cannot be written, or not in these letters, or not in that many columns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "datasets"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of a board, which is rebuilt once."""
    folder = tmp_path_factory.mktemp("output") / "datasets"
    shutil.copytree(REFERENCE, folder)
    assert ran(["leaderboard", str(folder)]).returncode == 0
    return folder


def ran(
    arguments: list[str], *, to: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with open(to or os.devnull, "w") as stream:  # noqa: PTH123 - a device
        return subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            stdout=stream if to else subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**kept, **environment},
            timeout=120,
            check=False,
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["leaderboard", "schema", "--version", "--help"])
def test_a_full_disk_under_the_output_is_one_line_and_no_verdict(command: str, board: Path) -> None:
    told = ran([command, *([str(board)] if command == "leaderboard" else [])], to="/dev/full")
    assert told.returncode == 2  # 1 would say that a check or a gate says no
    assert told.stderr.splitlines() == ["the output cannot be written: No space left on device"]


@pytest.mark.parametrize("command", ["schema", "--version", "--help"])
def test_a_reader_that_has_gone_away_is_no_error(command: str) -> None:
    """As `| head` does, which has read enough: a full disk is another matter."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        told = subprocess.run(
            [sys.executable, "-m", "harness", command],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_stream_without_these_letters_gets_them_escaped(encoding: str, board: Path) -> None:
    told = ran(["leaderboard", str(board)], PYTHONUTF8="0", PYTHONIOENCODING=encoding)
    assert told.returncode == 0 and not told.stderr
    assert "\\u0394" in told.stdout  # the difference's delta


@pytest.mark.parametrize("columns", ["abc", "0", "-5", "", "1e3"])
def test_a_width_that_is_none_is_as_if_nobody_had_told(columns: str, board: Path) -> None:
    usual = ran(["leaderboard", str(board)])
    told = ran(["leaderboard", str(board)], COLUMNS=columns)
    assert (told.returncode, told.stdout, told.stderr) == (0, usual.stdout, "")
    assert "verdict" in told.stdout
    narrow = ran(["leaderboard", str(board)], COLUMNS="60").stdout
    assert narrow != usual.stdout and max(map(len, narrow.splitlines()[:12])) <= 60

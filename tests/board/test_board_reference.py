"""The committed reference boards are what this code builds from the committed plans and records."""

import shutil
from pathlib import Path

import pytest

from harness.board.leaderboard import build
from harness.board.previews import read_pictures, read_preview
from harness.board.write import write
from harness.record.history import history_of
from harness.record.store import Store

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
FOLDERS = sorted(path.parent.parent for path in REFERENCE.glob("*/plans/latest"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_reference_board_is_rebuilt_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    outputs = sorted(copy.glob("leaderboard.*"))
    assert len(outputs) == 5
    for output in outputs:
        output.unlink()
    store = Store(copy)
    plan = store.read_plan()
    reading = store.read(plan)
    assert not reading.set_aside
    board = build(
        plan,
        reading.records,
        reading.timings,
        reading.set_aside,
        shared=reading.shared,
        preview=read_preview(copy),
        history=history_of(copy, plan["hash"]),
    )
    write(board, copy, read_pictures(copy, board))
    for output in outputs:
        assert output.read_bytes() == (folder / output.name).read_bytes(), output.name


def test_there_is_a_reference() -> None:
    assert FOLDERS

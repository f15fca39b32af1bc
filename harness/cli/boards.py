"""`harness leaderboard`, and the building of a board that `run` shares with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.board.leaderboard import build
from harness.board.previews import read_pictures, read_preview
from harness.board.write import write
from harness.cli.output import say, say_json, show
from harness.errors import StoreError
from harness.record.store import Reading, Store

_NOTHING_TO_COMPARE = 3


def build_board(plan: Mapping[str, Any], reading: Reading, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """Build the board of a plan, with the preview that `folder` holds, and write it there; return it with the paths."""
    board = build(
        plan,
        reading.records,
        reading.timings,
        reading.set_aside,
        shared=reading.shared,
        preview=read_preview(folder),
    )
    return board, write(board, folder, read_pictures(folder, board))


def rebuild(folder: Path | None, as_json: bool) -> int:
    """Build a leaderboard anew from plan and records, and show it; 3 where there is no record at all."""
    store = Store(folder if folder is not None else _only_folder(Path("results")))
    plan = store.read_plan()
    reading = store.read(plan)
    board, paths = build_board(plan, reading, store.root)
    if as_json:
        say_json(board)
    else:
        from harness.board.render_terminal import terminal

        show(terminal(board))
        say(f"\n{next(path for path in paths if path.suffix == '.html')}")
    return 0 if reading.records else _NOTHING_TO_COMPARE


def _only_folder(results: Path) -> Path:
    folders = sorted(path.parent for path in results.glob("*/plans"))
    if len(folders) == 1:
        return folders[0]
    if not folders:
        raise StoreError(f"{results} holds no suite's results; run one first: harness run SUITE")
    names = ", ".join(str(path) for path in folders)
    raise StoreError(f"{results} holds several suites' results; name one of them: {names}")

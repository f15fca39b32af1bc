"""The building of a board, for `run` and for `leaderboard` where something changed since the last one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.board.leaderboard import build
from harness.board.previews import read_pictures, read_preview
from harness.board.write import write
from harness.cli.output import complain
from harness.cli.tuning import refuse_search
from harness.errors import StoreError
from harness.record.history import history_of
from harness.record.index import remember
from harness.record.reading import Reading
from harness.record.store import Store


def build_board(
    plan: Mapping[str, Any], reading: Reading[Any], folder: Path, *, allow_mixed: bool = False
) -> tuple[dict[str, Any], list[Path]]:
    """Build the board of a plan, with the preview that `folder` holds, and write it there; return it with the paths."""
    board = _built(plan, reading, folder, allow_mixed)
    return board, write(board, folder, read_pictures(folder, board))


def build_anew(store: Store, allow_mixed: bool) -> tuple[dict[str, Any], Path | None, int]:
    """Read all records and build the board; write it, and remember what it was built from, where the disk lets us.

    Returns:
        The board, its page (None where nothing could be written), and how many records it was built from.
    """
    # A large board is made by two processes: threads of a matrix product would only wait for each other's cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    plan = store.read_plan()
    refuse_search(plan)
    began_ns = time.time_ns()
    reading = store.read_flat(plan)
    board = _built(plan, reading, store.root, allow_mixed)
    try:
        paths = write(board, store.root, read_pictures(store.root, board))
    except StoreError as error:
        complain(f"note: {error}")
        return board, None, len(reading.records)
    page = next(path for path in paths if path.suffix == ".html")
    if not allow_mixed:
        told = {"page": page.name, "records": len(reading.records)}
        remember(store.root, plan["hash"], began_ns, reading.others, paths, told)
    return board, page, len(reading.records)


def _built(plan: Mapping[str, Any], reading: Reading[Any], folder: Path, allow_mixed: bool) -> dict[str, Any]:
    return build(
        plan,
        reading.records,
        reading.timings,
        reading.set_aside,
        shared=reading.shared,
        preview=read_preview(folder),
        history=history_of(folder, plan["hash"]),
        allow_mixed=allow_mixed,
    )

"""`harness leaderboard`, and the building of a board that `run` shares with it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.board import render
from harness.board.leaderboard import build
from harness.board.previews import read_pictures, read_preview
from harness.board.write import write
from harness.cli.output import complain, say, say_json, show
from harness.cli.tuning import refuse_search
from harness.errors import StoreError
from harness.record.history import history_of
from harness.record.index import remember, unchanged
from harness.record.reading import Reading, without_collecting
from harness.record.store import Store

_NOTHING_TO_COMPARE = 3


def build_board(
    plan: Mapping[str, Any], reading: Reading[Any], folder: Path, *, allow_mixed: bool = False
) -> tuple[dict[str, Any], list[Path]]:
    """Build the board of a plan, with the preview that `folder` holds, and write it there; return it with the paths."""
    board = _built(plan, reading, folder, allow_mixed)
    return board, write(board, folder, read_pictures(folder, board))


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


def rebuild(
    folder: Path | None,
    as_json: bool,
    *,
    allow_mixed: bool = False,
    form: str = "terminal",
    arm: str | None = None,
) -> int:
    """Build a leaderboard anew from plan and records, and show it; 3 where there is no record at all.

    `form` is one of `options.Format`; what is not the terminal's is printed as it stands in its file. `arm` is the one
    whose block of a model-index is wanted, where it is not all of them. A folder that takes no files (somebody else's,
    a full disk) is shown all the same, and a note says that its files are not written.
    """
    store = Store(_suite_folder(folder) if folder is not None else _only_folder(Path("results")))
    with without_collecting():
        board, page, count = (None if allow_mixed else _as_before(store)) or _anew(store, allow_mixed)
    if as_json:
        say_json(board)
    elif form != "terminal":
        say(_text(board, form, store.root, arm, is_written=page is not None).removesuffix("\n"))
    else:
        from harness.board.render_terminal import terminal

        show(terminal(board))
        if page is not None:
            say(f"\n{page}")
    return 0 if count else _NOTHING_TO_COMPARE


def _as_before(store: Store) -> tuple[dict[str, Any], Path | None, int] | None:
    """Return the board that stands there, its page and how many records it has, where nothing changed since."""
    told = unchanged(store.root, store.latest())
    if told is None:
        return None
    try:
        board: dict[str, Any] = orjson.loads((store.root / "leaderboard.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return board, store.root / told["page"], int(told["records"])


def _anew(store: Store, allow_mixed: bool) -> tuple[dict[str, Any], Path | None, int]:
    """Read all records and build the board; write it, and remember what it was built from, where the disk lets us."""
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
        complain(f"note: leaderboard.* were not written, what stands there may be older: {error}")
        return board, None, len(reading.records)
    page = next(path for path in paths if path.suffix == ".html")
    if not allow_mixed:
        told = {"page": page.name, "records": len(reading.records)}
        remember(store.root, plan["hash"], began_ns, reading.others, paths, told)
    return board, page, len(reading.records)


_RENDERERS = {"markdown": render.markdown, "latex": render.latex, "csv": render.csv, "json": render.json}
_ENDINGS = {"markdown": "md", "latex": "tex", "csv": "csv", "json": "json", "html": "html"}


def _text(board: Mapping[str, Any], form: str, folder: Path, arm: str | None, *, is_written: bool) -> str:
    """Return the board in a format: what stands in its file, where it has one."""
    if form == "model-index":
        return render.model_index(board, arm)
    if not is_written:
        return render.html(board, read_pictures(folder, board)) if form == "html" else _RENDERERS[form](board)
    return (folder / f"leaderboard.{_ENDINGS[form]}").read_text()


def _suite_folder(folder: Path) -> Path:
    """Return the folder that was named; refuse one that is not there, a file, and one that is no suite's."""
    if folder.is_file():
        raise StoreError(f"{folder} is a file; name the folder of a suite that was run (results/SUITE)")
    if not folder.exists():
        raise StoreError(f"there is no folder {folder}; run the suite first, or name another one")
    return folder


def _only_folder(results: Path) -> Path:
    folders = sorted(path.parent for path in results.glob("*/plans"))
    if len(folders) == 1:
        return folders[0]
    if not folders:
        raise StoreError(f"{results} holds no suite's results; run one first: harness run SUITE")
    names = ", ".join(str(path) for path in folders)
    raise StoreError(f"{results} holds several suites' results; name one of them: {names}")

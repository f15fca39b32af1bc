"""`harness leaderboard`: the board that stands there, or a new one where something changed, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.cli.output import say, say_json, show
from harness.errors import StoreError
from harness.record.index import unchanged
from harness.record.reading import without_collecting
from harness.record.store import Store

_NOTHING_TO_COMPARE = 3


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
    from harness.cli.building import build_anew  # what builds boards takes a tenth of a second to import

    return build_anew(store, allow_mixed)


_ENDINGS = {"markdown": "md", "latex": "tex", "csv": "csv", "json": "json", "html": "html"}


def _text(board: Mapping[str, Any], form: str, folder: Path, arm: str | None, *, is_written: bool) -> str:
    """Return the board in a format: what stands in its file, where it has one."""
    if is_written and form in _ENDINGS:
        return (folder / f"leaderboard.{_ENDINGS[form]}").read_text()
    from harness.board import render

    if form == "model-index":
        return render.model_index(board, arm)
    if form == "html":
        from harness.board.previews import read_pictures

        return render.html(board, read_pictures(folder, board))
    renderers = {"markdown": render.markdown, "latex": render.latex, "csv": render.csv, "json": render.json}
    return renderers[form](board)


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

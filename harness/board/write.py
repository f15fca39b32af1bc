"""The board's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.board import render
from harness.errors import StoreError
from harness.record.files import holds, make_folder, write_all_over
from harness.record.halves import beside

MANY = 40
"""Rows from which a second process pays."""


def write(
    board: Mapping[str, Any], folder: Path, pictures: Mapping[str, bytes] = MappingProxyType({})
) -> list[Path]:
    """Write `leaderboard.{md,csv,json,tex,html}` into `folder`, all of them or none; return the paths.

    A file that holds the same already is left alone. `pictures` are those of the board's previews, by digest.

    Raises:
        StoreError: Where the disk refuses; it says which files do not hold this board.
    """
    # The page takes as long as all the others.
    with beside(lambda: iter([render.html(board, pictures)]), is_worth_it=len(board["rows"]) >= MANY) as page:
        texts = {
            "json": render.json(board),
            "csv": render.csv(board),
            "md": render.markdown(board),
            "tex": render.latex(board),
            "html": next(page),
        }
    make_folder(folder)
    contents = {folder / f"leaderboard.{ending}": text.encode() for ending, text in texts.items()}
    try:
        write_all_over(contents)
    except StoreError as error:
        raise StoreError(f"{_unwritten(contents)}, what stands there may be older: {error}") from error
    return list(contents)


def _unwritten(contents: Mapping[Path, bytes]) -> str:
    """Return `leaderboard.html was not written`: the files that do not hold what they should."""
    names = [path.name for path, data in contents.items() if not holds(path, data)]
    if len(names) == len(contents):
        return "leaderboard.* were not written"
    return f"{' and '.join(names)} {'was' if len(names) == 1 else 'were'} not written"

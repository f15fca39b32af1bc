"""The board's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.board import render
from harness.record.files import make_folder, write_over
from harness.record.halves import beside

MANY = 40
"""Rows from which a second process pays."""


def write(
    board: Mapping[str, Any], folder: Path, pictures: Mapping[str, bytes] = MappingProxyType({})
) -> list[Path]:
    """Write `leaderboard.{md,csv,json,tex,html}` into `folder`, each whole or not at all; return the paths.

    A file that holds the same already is left alone. `pictures` are those of the board's previews, by digest.

    Raises:
        StoreError: Where the disk refuses.
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
    paths = []
    for ending, text in texts.items():
        path = folder / f"leaderboard.{ending}"
        write_over(path, text.encode())
        paths.append(path)
    return paths

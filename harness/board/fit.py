"""Which columns of a table a terminal has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GAP = 2
"""Blanks between two columns."""


def left_out(widths: Mapping[str, int], order: Sequence[str], width: int) -> list[str]:
    """Return the columns to leave out, least important first, until the others fit.

    Args:
        widths: Of every column, in characters.
        order: What may be left out, least important first.
        width: Of the terminal, in characters.
    """
    gone: list[str] = []
    for name in order:
        if table_width([taken for other, taken in widths.items() if other not in gone]) <= width:
            break
        gone += [name] if name in widths else []
    return gone


def table_width(widths: Sequence[int]) -> int:
    """Return how wide a table of such columns is."""
    return sum(widths) + GAP * max(len(widths) - 1, 0)


def left_out_words(columns: Sequence[str], files: str = "they are in the files") -> str:
    """Return the line that says which columns were left out; empty where none was."""
    names = ", ".join(name.removesuffix(", %") for name in columns)
    return f"Left out at this width: {names} ({files})." if columns else ""

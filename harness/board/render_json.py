"""The board as JSON: sorted keys, indented; what is not a number is null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


def json(board: Mapping[str, Any]) -> str:
    """Return the board as JSON text that ends in a newline."""
    written = orjson.dumps(
        board, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
    return visible(written.decode())


def visible(text: str) -> str:
    """Return JSON text in which characters that do not show, or that turn the line round, stand as `\\u202e`.

    It is the same JSON: such a character can only stand in a string.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))

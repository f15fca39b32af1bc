"""The board as JSON: sorted keys, indented; what is not a number is null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


def json(board: Mapping[str, Any]) -> str:
    """Return the board as JSON text that ends in a newline."""
    return orjson.dumps(
        board, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    ).decode()

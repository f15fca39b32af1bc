"""The board as CSV: one line an arm, every number in full."""

from __future__ import annotations

import csv as writer
import io
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.wording import plain

_LEFT_OUT = frozenset({"recipe", "components", "trials"})
_FORMULA = ("=", "+", "-", "@", "|", "%", "−", "＝", "＋", "－", "＠")
"""What a spreadsheet may take for the begin of a formula, in full width too."""
_JOINED = frozenset({"stamps", "varies", "statuses"})


def csv(board: Mapping[str, Any]) -> str:
    """Return the rows with nested values as `top1_mean`; a column is there where any row has it."""
    rows = [_flat(row) for row in board["rows"]]
    columns = list(dict.fromkeys(["rank", "arm", "verdict", *sorted({name for row in rows for name in row})]))
    columns = [name for name in columns if not _is_hollow(name, columns, rows)]
    stream = io.StringIO()
    sheet = writer.writer(stream, lineterminator="\n")
    sheet.writerow([cell(name) for name in columns])
    sheet.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return stream.getvalue()


def cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = plain(value)
    return f"'{text}" if text.lstrip()[:1] in _FORMULA else text


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name in _LEFT_OUT and not prefix:
            continue
        if name in _JOINED and not prefix:
            parts = [f"{key} {number}" for key, number in value.items()] if isinstance(value, dict) else value
            flat[name] = "; ".join(map(str, parts))
        elif name == "augmentations" and not prefix:
            for cost in value:
                told = {key: entry for key, entry in cost.items() if key != "label"}
                flat |= _flat(told, f"augmentation_{cost['label']}_")
        elif isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}_")
        elif isinstance(value, (list, tuple)):
            flat |= _of_list(value, f"{prefix}{name}")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _is_hollow(name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a column is what is left of tables that some rows lack: null here, spread over columns there."""
    if any(row.get(name) is not None for row in rows):
        return False
    return any(column.startswith(f"{name}_") for column in columns)


def _of_list(values: Sequence[Any], name: str) -> dict[str, Any]:
    """Return two numbers as low and high, what else is short in one cell; tables of their own are left to the JSON."""
    if len(values) == 2 and all(isinstance(value, (int, float)) for value in values):
        return {f"{name}_low": values[0], f"{name}_high": values[1]}
    if any(isinstance(value, (dict, list)) for value in values):
        return {}
    return {name: "; ".join(map(str, values))}

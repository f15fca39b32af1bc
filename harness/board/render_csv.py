"""The board as CSV: one line an arm, every number in full, its unit in the column's name (docs/outputs.md)."""

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
_UNITS = {
    "top1": "percent",
    "validation_top1": "percent",
    "two_level": "percent",
    "difference": "points",
    "nll": "nats",
    "time_split": "seconds",
}
"""Units of tables and numbers whose key in the JSON does not name it."""
_WITHOUT_UNIT = ("count", "nonzero", "p", "p_holm", "p_equal", "examples", "seeds")
_VALUE = ("mean", "low", "high", "half_width", "deviation")
_RATIO = ("mean", "low", "high", "rounds")
_VERDICT = ("verdict", "reason", "p_holm", "rounds", *(f"ratio_{end}" for end in _RATIO[:3]))
_FIXED = (
    *("rank", "arm", "verdict", "reason", "baseline", "against"),
    *(f"top1_{end}_percent" for end in _VALUE),
    "top1_count",
    *(f"difference_{end}_points" for end in (*_VALUE, "detectable")),
    *(f"difference_{end}" for end in ("count", "nonzero", "p", "p_holm", "p_equal")),
    *(f"p_better_{end}" for end in _VALUE[:3]),
    *("rank_interval_low", "rank_interval_high"),
    *(f"nll_{end}_nats" for end in _VALUE),
    "nll_count",
    *("images_per_second", *(f"images_per_second_ratio_{end}" for end in _RATIO)),
    *(f"speed_verdict_{end}" for end in _VERDICT),
    *("peak_memory_bytes", "peak_memory_kind"),
    *(f"memory_verdict_{end}" for end in _VERDICT),
    *("training_flops", "training_flops_ratio", "parameters", "train_seconds", "train_seconds_ratio"),
    *(f"replicates_{end}" for end in ("planned", "good", "failed", "missing")),
    *("failure_rate", "attempts", "timing_rounds", "stamps", "varies", "statuses"),
)
"""Columns of every board, in this order, empty where nothing is known; what only some boards have follows by name."""


def csv(board: Mapping[str, Any]) -> str:
    """Return the rows, nested values as `top1_mean_percent`; beside the fixed columns those that any row has."""
    rows = [_flat(row) | _of_board(board) for row in board["rows"]]
    columns = list(dict.fromkeys([*_FIXED, *sorted({name for row in rows for name in row})]))
    columns = [name for name in columns if name in _FIXED or not _is_hollow(name, columns, rows)]
    stream = io.StringIO()
    sheet = writer.writer(stream, lineterminator="\n")
    sheet.writerow([cell(name) for name in columns])
    sheet.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return stream.getvalue()


def _of_board(board: Mapping[str, Any]) -> dict[str, str]:
    """Return the column of what holds for all rows: a file that is read alone has no other place for it."""
    return {"board_stamps": "; ".join(map(str, board["stamps"]))} if board["stamps"] else {}


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
            # A table that a row lacks is null under its bare name: that is no column.
            flat[name if value is None and not prefix else _with_unit(f"{prefix}{name}")] = value
    return flat


def _with_unit(name: str) -> str:
    """Return a column's name with its unit at the end, where the name of the value does not tell it."""
    for key, unit in _UNITS.items():
        if name == key or name.startswith(f"{key}_"):
            last = name.removeprefix(key).removeprefix("_").removeprefix("two_level_")
            return name if last in _WITHOUT_UNIT else f"{name}_{unit}"
    return name


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

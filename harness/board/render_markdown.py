"""The board in Markdown, compact enough for a pull request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.board import wording
from harness.board.wording import plain

_COLUMNS = (
    "#",
    "arm",
    "top-1, %",
    "NLL",
    "Δ top-1",
    "verdict",
    "images/s",
    "memory",
    "parameters",
    "FLOPs",
    "failed",
)
_ALIGN = ("--:", ":--", "--:", "--:", "--:", ":--", "--:", "--:", "--:", "--:", "--:")
_EXTRAS = ("to target", "latency p50", "latency p99", "energy, image")
"""Of what only some suites measure, what a pull request wants to see; the rest is in the other formats."""
_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def escape(value: object) -> str:
    """Return text that Markdown shows as it is: no markup, table cell, HTML, mention or link."""
    text = _SPECIAL.sub(r"\\\1", plain(value).replace("&", "&amp;"))
    for character, entity in (
        ("<", "&lt;"),
        (">", "&gt;"),
        ("@", "&#64;"),
        ("://", "&#58;//"),
        ("www.", "www&#46;"),
    ):
        text = text.replace(character, entity)
    return text


def markdown(board: Mapping[str, Any]) -> str:
    """Return the board as a table with a line of reason for each arm."""
    lines = [
        f"### {escape(board['suite'])}",
        "",
        f"{escape(wording.summary(board))}; plan `{_code(board['plan'])}`.",
        "",
    ]
    for notice in wording.notices(board):
        lines += [f"> **Note:** {escape(notice)}", ">"]
    if lines[-1] == ">":
        lines[-1] = ""
    extras = [name for name in wording.measured(board) if name in _EXTRAS]
    lines += [_table_row((*_COLUMNS[:-1], *extras, _COLUMNS[-1]))]
    lines += [_table_row((*_ALIGN, *("--:" for _ in extras)))]
    lines += [_table_row(_cells(row, extras)) for row in board["rows"]]
    lines += ["", escape(wording.method(board)), ""]
    lines += [
        f"- **{escape(row['arm'])}**: {_remarks(row)}"
        for row in board["rows"]
        if not row["baseline"] or row["stamps"] or row.get("augmentations") or row.get("parents")
    ]
    return "\n".join(lines).rstrip() + "\n"


def _cells(row: Mapping[str, Any], extras: list[str]) -> tuple[str, ...]:
    verdict = wording.verdict(row)
    return (
        wording.rank(row),
        escape(row["arm"]),
        wording.with_half_width(row["top1"]),
        wording.with_half_width(row["nll"], 3),
        wording.interval(row["difference"]),
        f"**{verdict}**" if row["verdict"] in ("better", "worse") else verdict,
        wording.speed(row),
        wording.memory(row["peak_memory_bytes"]),
        wording.count(row["parameters"]),
        wording.with_parents(row, "training_flops"),
        *(wording.MEASURES[name](row) for name in extras),
        wording.failed(row),
    )


def _remarks(row: Mapping[str, Any]) -> str:
    """Return reason, stamps and declared differences in one line."""
    parts = [row["reason"], *row["stamps"], wording.parents(row)]
    if row["varies"]:
        parts.append("varies " + ", ".join(map(str, row["varies"])))
    if costs := row.get("augmentations"):
        parts.append("augmentations: " + ", ".join(map(wording.augmentation_cost, costs)))
    return "; ".join(escape(part) for part in parts if part)


def _table_row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(value: object) -> str:
    return re.sub(r"[^0-9A-Za-z_-]", "?", str(value))

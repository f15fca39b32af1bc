"""The board in Markdown, compact enough for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.board import aggregate_words, claim_words, method_words, rank_words, tuning, wording
from harness.board.cells import with_cells_in_words
from harness.board.interim import stamps_beside
from harness.board.wording import plain

_COLUMNS = ("#", "arm", "top-1, %", "Δ top-1", "verdict", "images/s", "memory", "failed")
_ALIGN = ("--:", ":--", "--:", "--:", ":--", "--:", "--:", "--:")
_MORE_COLUMNS = ("arm", "NLL", "parameters", "FLOPs")
_EXTRAS = ("to target", "latency p50", "latency p99", "energy, image")
"""Of what only some suites measure, what a pull request wants to see; the rest is in the other formats."""
_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
_APART = "&#8203;"  # of no width: GitHub looks for @names and #numbers in the text that entities have become


_NUMBER = re.compile(r"(?<!&)#(?=\d)")


def escape(value: object) -> str:
    """Return text that Markdown shows as it is: no markup, table cell, HTML, formula, mention, issue or link."""
    text = _SPECIAL.sub(r"\\\1", plain(value).replace("&", "&amp;"))
    for character, entity in (
        ("<", "&lt;"),
        (">", "&gt;"),
        ("$", "&#36;"),
        ("@", f"&#64;{_APART}"),
        ("://", "&#58;//"),
        ("www.", "www&#46;"),
    ):
        text = text.replace(character, entity)
    return _NUMBER.sub(f"&#35;{_APART}", text)


def markdown(board: Mapping[str, Any]) -> str:
    """Return the board for a pull request: the verdicts in a short table, reasons and more numbers folded away."""
    board = with_cells_in_words(board)
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
    lines += [_table_row(_COLUMNS), _table_row(_ALIGN)]
    lines += _rows(board["rows"])
    lines += ["", escape(f"{method_words.method(board)} {rank_words.ranks_note(board)}".strip()), ""]
    if calibration := wording.calibration(board):
        lines += [escape(calibration), ""]
    if told := tuning.tuning_line(board):
        lines += [escape(told), ""]
    lines += _aggregate(board)
    lines += _claims(board)
    reasons = [
        f"- **{escape(row['arm'])}**: {_remarks(row)}"
        for row in board["rows"]
        if not row["baseline"]
        or row["stamps"]
        or row.get("augmentations")
        or row.get("parents")
        or row.get("tuned")
    ]
    lines += [*_folded("Reasons", reasons), *_folded("More numbers", _more(board))]
    return "\n".join(lines).rstrip() + "\n"


def _rows(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the table's rows, those of each cell of a grid under its values."""
    before = None
    for row in rows:
        if (values := wording.cell(row)) and values != before:
            yield _table_row(("", f"*{escape(values)}*", *("" for _ in _COLUMNS[2:])))
        before = values
        yield _table_row(_cells(row))


def _aggregate(board: Mapping[str, Any]) -> list[str]:
    """Return the figures over all data sets, where there are three or more."""
    if not board.get("aggregate"):
        return []
    rows = [_table_row(tuple(map(escape, row))) for row in aggregate_words.aggregate_rows(board)]
    head = [_table_row(aggregate_words.HEADINGS), _table_row((":--", "--:", "--:"))]
    table = [*head, *rows, ""] if rows else []
    notes = escape(" ".join(aggregate_words.aggregate_notes(board)))
    return [f"#### {aggregate_words.aggregate_title(board)}", "", *table, notes, ""]


def _claims(board: Mapping[str, Any]) -> list[str]:
    claims = board.get("claims") or []
    if not claims:
        return []
    lines = ["#### Claims", "", _table_row(claim_words.HEADINGS)]
    lines += [_table_row((":--", ":--", ":--", "--:", "--:", ":--"))]
    lines += [_table_row(tuple(map(escape, claim_words.claim_cells(claim)))) for claim in claims]
    remarks = [
        f"- **{escape(claim['name'])}**: {escape(claim_words.claim_remark(claim))}" for claim in claims
    ]
    note = escape(claim_words.family_note(board))
    return [*lines, "", note, "", *_folded("Where claims come from, and why these verdicts", remarks)]


def _folded(title: str, lines: list[str]) -> list[str]:
    """Return lines that are shown on a click."""
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""] if lines else []


def _more(board: Mapping[str, Any]) -> list[str]:
    extras = [name for name in wording.measured(board) if name in _EXTRAS]
    columns = (*_MORE_COLUMNS, *extras)
    lines = [_table_row(columns), _table_row((":--", *("--:" for _ in columns[1:])))]
    for row in board["rows"]:
        numbers = (
            wording.with_half_width(row["nll"], 3),
            wording.count(row["parameters"]),
            wording.with_parents(row, "training_flops"),
            *(wording.MEASURES[name](row) for name in extras),
        )
        lines.append(_table_row((escape(row["arm"]), *numbers)))
    return lines


def _with_verdict(text: str, told: Mapping[str, Any] | None) -> str:
    """Return a measure with its own verdict beside it: `4,200 (0.98×), slower`."""
    verdict = (told or {}).get("verdict")
    return f"{text}, {verdict}" if verdict else text


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    verdict = wording.verdict(row)
    return (
        rank_words.rank(row),
        escape(row["arm"]),
        wording.with_half_width(row["top1"]),
        wording.interval(row["difference"]),
        f"**{verdict}**" if row["verdict"] in ("better", "worse") else verdict,
        _with_verdict(wording.speed(row), row.get("speed_verdict")),
        _with_verdict(wording.memory(row["peak_memory_bytes"]), row.get("memory_verdict")),
        wording.failed(row),
    )


def _remarks(row: Mapping[str, Any]) -> str:
    """Return reason, stamps and declared differences in one line."""
    parts = [row["reason"], *stamps_beside(row), wording.parents(row), tuning.tuned_words(row)]
    if row["varies"]:
        parts.append("varies " + ", ".join(map(str, row["varies"])))
    if costs := row.get("augmentations"):
        parts.append("augmentations: " + ", ".join(map(wording.augmentation_cost, costs)))
    return "; ".join(escape(part) for part in parts if part)


def _table_row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(value: object) -> str:
    return re.sub(r"[^0-9A-Za-z_-]", "?", str(value))

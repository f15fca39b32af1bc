"""The comparison of two results as text and as Markdown. Names come from anywhere: each format escapes in one place."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.board import wording
from harness.board.compare_arms import cell_words
from harness.board.fit import GAP, left_out, left_out_words
from harness.board.render_markdown import escape
from harness.board.wording import plain

Json = Mapping[str, Any]

_COLUMNS = ("arm", "base, %", "candidate, %", "Δ top-1", "verdict", "images/s", "memory")
_MOST_CHANGES = 8
"""Changes that are named for an arm; the JSON has them all."""
_NARROWEST = 40
"""Characters to which text is wrapped however narrow the terminal is."""
_ORDER = ("memory", "images/s", "base, %", "candidate, %")
"""Columns of the text that may be left out, least important first; the reasons tell speed and memory as well."""
_CHANGE = re.compile(r"(\S+) is (.*?) there, (.*) here")
"""A change as `unlike_arms` words it."""


def render_text(report: Json, width: int = 120) -> str:
    """Return the comparison for a terminal: a table, then a reason and what has changed for each arm.

    Args:
        report: The comparison.
        width: Of the terminal, in characters. Columns that do not fit are left out, and a line says which; text wraps.
    """
    width = max(width, _NARROWEST)
    (told,) = _heading(report, plain)
    lines = [*_wrapped(told, width), ""]
    if report["arms"]:
        lines += [*_table([[plain(cell) for cell in _cells(row)] for row in report["arms"]], width), ""]
        for row in report["arms"]:
            lines += _wrapped(f"{row['arm']}:", width)
            for remark in _remarks(row):
                lines += _wrapped(remark, width, 4, 6)
        lines += ["", *_wrapped(_method(report), width)]
    for note in _notes(report):
        lines += _wrapped(f"! {note}", width, 0, 2)
    return "".join(f"{line}\n" for line in lines)


def render_markdown(report: Json) -> str:
    """Return the comparison for a pull request: the table first, the reasons below."""
    lines = [*_heading(report, escape), ""]
    for note in _notes(report):
        lines += [f"> **Note:** {escape(note)}", ""]
    if report["arms"]:
        lines += [_row(_COLUMNS), _row((":--", "--:", "--:", "--:", ":--", "--:", "--:"))]
        lines += [_row([escape(cell) for cell in _cells(row)]) for row in report["arms"]]
        lines += [""]
        for row in report["arms"]:
            lines.append(f"- **{escape(row['arm'])}**: {'; '.join(map(escape, _remarks(row)))}")
        lines += ["", escape(_method(report))]
    return "\n".join(lines).rstrip() + "\n"


def _heading(report: Json, write: Callable[[object], str]) -> list[str]:
    base, candidate = (_side(report[key]) for key in ("base", "candidate"))
    return [f"{write(base)} → {write(candidate)}"]


def _side(side: Json) -> str:
    """Return `results/a (suite tricks, commit 1a2b3c4d5e6f, uncommitted changes)`."""
    commits = ", ".join(commit[:12] for commit in side["commits"])
    parts = [f"suite {side['suite']}"]
    if not commits or commits not in side["label"]:  # `HEAD~1 (1a2b3c4d5e6f)` says it already
        parts.append(f"commit {commits}" if commits else "commit unknown")
    parts += ["uncommitted changes"] if side["uncommitted"] else []
    return f"{side['label']} ({', '.join(parts)})"


def _cells(row: Json) -> list[str]:
    accuracy, speed, memory = row["accuracy"], row["speed"], row["memory"]
    return [
        row["arm"],
        wording.with_half_width(accuracy["base"]),
        wording.with_half_width(accuracy["candidate"]),
        wording.interval(accuracy["difference"]),
        _verdict(accuracy),
        wording.times(speed["ratio"]),
        wording.times(memory["ratio"]),
    ]


def _verdict(accuracy: Json) -> str:
    if accuracy["verdict"]:
        return f"{wording.MARKS[accuracy['verdict']]} {accuracy['verdict']}"
    return "no verdict" if accuracy["comparable"] else "not comparable"


def _remarks(row: Json) -> Iterator[str]:
    """Yield what is to be said of an arm: its cell of a grid, accuracy, speed, memory, and what has changed."""
    accuracy, speed, memory = row["accuracy"], row["speed"], row["memory"]
    if row.get("cell"):
        other = f", {row['candidate_arm']} in the candidate" if row.get("candidate_arm") else ""
        yield f"cell: {cell_words(row['cell'])}{other}"
    test = f" ({accuracy['test']})" if accuracy["test"] else ""
    yield f"accuracy{test}: {accuracy['reason']}"
    yield from accuracy["stamps"]
    if (same := accuracy["bit_equal"]) and same["equal"]:
        yield f"bit for bit: weights and outputs of {same['equal']} of {same['of']} replicates are equal"
    if speed["base"] is not None or speed["candidate"] is not None:
        if speed["reason"] == memory["reason"]:
            yield f"speed and memory: {speed['reason']}"
        else:
            yield f"speed: {speed['reason']}"
            yield f"memory: {memory['reason']}"
    changed = row["changed"]
    if changed:
        more = f", and {len(changed) - _MOST_CHANGES} more" if len(changed) > _MOST_CHANGES else ""
        yield f"changed: {'; '.join(map(_change, changed[:_MOST_CHANGES]))}{more}"


def _change(told: str) -> str:
    """Return `optimizer.lr is 0.1 in the base, 0.2 in the candidate`: the key path as a suite file has it."""
    if not (parts := _CHANGE.fullmatch(told)):
        return told
    path, base, candidate = parts.groups()
    path = path.replace(".params.", ".").replace("optimizer[0]", "optimizer")
    return f"{path} is {base} in the base, {candidate} in the candidate"


def _notes(report: Json) -> list[str]:
    notes = list(report["notes"])
    for word in ("base", "candidate"):
        if names := report[f"only_{word}"]:
            notes.append(f"arms of the {word} alone: {', '.join(names)}")
    if not report["arms"]:
        notes.append("no arm is on both sides: nothing could be compared")
    return notes


def _method(report: Json) -> str:
    settings = report["settings"]
    family = wording.counted(settings["family"], "arm")
    return (
        f"Verdicts on the candidate, the base in the baseline's place: Holm over {family} at "
        f"α = {settings['alpha']:g}, margin {settings['margin_points']:.2g} points. ± and brackets: "
        f"{100 * (1 - settings['alpha']):g} % intervals; those of Δ hold for all arms at once."
    )


def _table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the lines of a table that fits: arm and verdict to the left, numbers to the right."""
    table = [_COLUMNS, *rows]
    widths = {column[0]: max(map(len, column)) for column in zip(*table, strict=True)}
    gone = left_out(widths, _ORDER, width)
    lines = []
    for row in table:
        named = zip(_COLUMNS, row, strict=True)
        cells = [
            cell.ljust(widths[name]) if name in ("arm", "verdict") else cell.rjust(widths[name])
            for name, cell in named
            if name not in gone
        ]
        lines.append((" " * GAP).join(cells).rstrip())
    said = left_out_words(gone, "they are in what --json prints")
    return [*lines, *(_wrapped(said, width) if said else [])]


def _wrapped(text: str, width: int, first: int = 0, others: int = 0) -> list[str]:
    """Return a text's lines: the first one and the others indented."""
    return textwrap.wrap(
        plain(text),
        width,
        initial_indent=" " * first,
        subsequent_indent=" " * others,
        break_on_hyphens=False,
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

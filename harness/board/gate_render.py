"""A gate's report as text, JSON, JUnit XML and Markdown. Names come from anywhere: each format escapes in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board import gate_words as words
from harness.board.markup import join, tag
from harness.board.render_json import json as render_json
from harness.board.render_markdown import escape
from harness.board.wording import plain

__all__ = ["render_json", "render_junit", "render_markdown", "render_text"]

Json = Mapping[str, Any]

_CALM = ("fine",)


def render_text(report: Json) -> str:
    """Return the report for a terminal or a log: a table, a reason for each row, and the conclusion last.

    Plain text without colours; escape codes in names show as text.
    """
    lines = [f"gate: {words.heading(report)}", *(f"! {notice}" for notice in words.notices(report)), ""]
    rows = words.by_gravity(report)
    if rows:
        table = [["verdict", "measurement", *words.COLUMNS]]
        table += [[words.marked(row["verdict"]), row["name"], *words.cells(row)] for row in rows]
        lines += [*_aligned([[plain(cell) for cell in line] for line in table]), ""]
        for names, (first, *more) in words.reasons(rows):
            lines += [f"{', '.join(names)}: {first}", *(f"    {line}" for line in more)]
        lines += ["", words.method(report)]
    lines.append(words.conclusion(report))
    return "".join(f"{plain(line)}\n" for line in lines)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first two columns to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def render_markdown(report: Json) -> str:
    """Return the report as the comment of a pull request: what is not fine first, the rest folded."""
    lines = [f"### Gate: {escape(words.conclusion(report))}", "", escape(words.heading(report)), ""]
    for notice in words.notices(report):
        lines += [f"> **Note:** {escape(notice)}", ""]
    rows = words.by_gravity(report)
    loud = [row for row in rows if row["verdict"] not in _CALM]
    calm = [row for row in rows if row["verdict"] in _CALM]
    if loud:
        lines += [*_table(loud), ""]
        for names, reason in words.reasons(loud):
            bold = ", ".join(f"**{escape(name)}**" for name in names)
            lines.append(f"- {bold}: {'<br>'.join(map(escape, reason))}")
        lines.append("")
    if calm:
        lines += [f"<details><summary>{len(calm)} fine</summary>", "", *_table(calm), "", "</details>", ""]
    if rows:
        lines.append(escape(words.method(report)))
    return "\n".join(lines).rstrip() + "\n"


def _table(rows: Sequence[Json]) -> list[str]:
    head = ["verdict", "measurement", *words.COLUMNS]
    lines = [head, [":--", ":--", *["--:"] * len(words.COLUMNS)]]
    lines += [[words.marked(row["verdict"]), escape(row["name"]), *words.cells(row)] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def render_junit(report: Json) -> str:
    """Return the report as JUnit XML: a test case a row.

    A regression is a failure; what failed, was not measured or is not comparable an error; what is too noisy is
    skipped. Where nothing was compared at all, that is an error too: no reader takes it for a pass.
    """
    cases = [_case(report, row) for row in words.by_gravity(report)]
    verdicts = [row["verdict"] for row in report["rows"]]
    if not cases:
        error = tag("error", message="nothing was compared", type="not measured")
        cases = [tag("testcase", error, classname=f"gate.{report['source']}", name_="gate")]
        verdicts = ["not measured"]
    outputs = [words.heading(report), *words.notices(report), words.conclusion(report)]
    suite = tag(
        "testsuite",
        join(["", *cases, tag("system-out", "\n".join(map(plain, outputs))), ""]),  # type: ignore[list-item]
        name_="harness gate (advisory)" if report["advisory"] else "harness gate",
        tests=len(cases),
        failures=verdicts.count("regression"),
        errors=sum(_JUNIT.get(verdict) == "error" for verdict in verdicts),
        skipped=verdicts.count("too noisy"),
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tag("testsuites", suite)}\n'


_JUNIT = {
    "regression": "failure",
    "failed": "error",
    "not measured": "error",
    "not comparable": "error",
    "too noisy": "skipped",
}


def _case(report: Json, row: Json) -> Any:
    kind = _JUNIT.get(row["verdict"])
    children: list[object] = []
    if kind == "skipped":
        children.append(tag(kind, message=f"too noisy: {row['reason']}"))
    elif kind is not None:
        first, _, more = row["reason"].partition("\n")
        told = ", ".join(_facts(row)) + (f"\n{more}" if more else "")
        children.append(tag(kind, told, message=first, type=row["verdict"]))
    else:
        children.append(tag("system-out", f"{row['verdict']}: {row['reason']}; {', '.join(_facts(row))}"))
    return tag("testcase", *children, classname=f"gate.{report['source']}", name_=row["name"])


def _facts(row: Json) -> list[str]:
    return [f"{name} {cell}" for name, cell in zip(words.COLUMNS, words.cells(row), strict=True)]

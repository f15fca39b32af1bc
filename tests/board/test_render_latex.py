"""The LaTeX table: braces balance, nothing escapes its cell, the best rows are bold, the notes are there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.board import build, render
from harness.board.render_latex import escape

SPECIALS = r"""\ { } $ & # ^ _ ~ % < > | " ' ` -- --- '' [ ] * é 中 ± − 😀 \end{table} \input{x} %"""


def board_of(inputs: Any, effects: dict[str, float], **more: Any) -> dict[str, Any]:
    given = inputs(effects, **more)
    return build(given.plan, given.records, given.timings, shared=given.shared)


def braces_balance(text: str) -> bool:
    """Read as TeX does: a backslash takes the next character, an unescaped % the rest of the line."""
    depth = 0
    for line in text.splitlines():
        bare = re.sub(r"\\.", "", line)
        for character in bare.partition("%")[0]:
            depth += {"{": 1, "}": -1}.get(character, 0)
            if depth < 0:
                return False
    return depth == 0


def body_rows(text: str) -> list[str]:
    inside = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    return [line for line in inside.splitlines() if line.endswith(r"\\")]


def cells_of(row: str) -> list[str]:
    return re.split(r"(?<!\\)&", row.removesuffix(r"\\"))


def test_an_escaped_text_has_only_commands_of_ours_and_balanced_braces() -> None:
    text = escape(SPECIALS)
    assert braces_balance(text)
    assert text.isascii() or re.sub("[é]", "", text).isascii()
    known = (
        "textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|char34|char96|texttt|pm"
    )
    commands = set(re.findall(r"\\([A-Za-z]+\d*)", text))
    assert commands <= set(known.split("|")), commands
    bare = re.sub(r"\\.", "", text)
    assert not re.search(r"[&#%_^~]", bare)
    assert "--" not in text and "''" not in text
    # By hand, from the LaTeX companion's list of special characters.
    assert escape("a_b & 50%") == r"a\_b \& 50\%"
    assert escape("\\x{y}") == r"\textbackslash{}x\{y\}"
    assert escape("中") == r"\texttt{U+4E2D}"
    assert escape("\x1b\u202e") == r"\textbackslash{}x1b\textbackslash{}u202e"


def test_rows_have_eight_cells_and_the_environments_are_closed(inputs: Any) -> None:
    text = render.latex(board_of(inputs, {"plain": 0.0, "a&b_%": 1.5, "bad": -1.5}))
    rows = body_rows(text)
    assert [len(cells_of(row)) for row in rows] == [8, 8, 8]
    assert braces_balance(text)
    opened = re.findall(r"\\begin{(\w+)}", text)
    assert sorted(opened) == sorted(re.findall(r"\\end{(\w+)}", text)) == ["minipage", "table", "tabular"]
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", "booktabs"))


def test_the_best_rows_are_bold_and_so_is_none_that_is_resolved_from_the_best(inputs: Any) -> None:
    text = render.latex(board_of(inputs, {"plain": 0.0, "good": 2.0, "good-too": 2.02, "bad": -2.0}))
    bold = set(re.findall(r"& \\textbf{([\w-]+)}", text))
    assert bold == {"good", "good-too"}
    assert r"$\uparrow$" in text and r"$\downarrow$" in text


def test_none_is_bold_where_no_pair_could_be_told_apart_and_the_note_says_so(inputs: Any) -> None:
    text = render.latex(board_of(inputs, {"plain": 0.0, "good": 2.0}, replicates=2))
    assert r"\textbf" not in text
    assert "no row is bold" in text


def test_a_row_without_a_verdict_has_a_footnote_with_the_reason(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "one": 1.0, "two": 1.0})
    given.plan |= {"verdicts": False, "verdicts_reason": "exploratory 50% & more"}
    text = render.latex(build(given.plan, given.records, given.timings))
    assert text.count(r"\textsuperscript{a}") == 3  # two rows and the note
    assert r"exploratory 50\% \& more" in text


def test_intervals_stand_beside_the_means(inputs: Any) -> None:
    board = board_of(inputs, {"plain": 0.0, "good": 1.5})
    row = next(row for row in board["rows"] if row["arm"] == "good")
    text = render.latex(board)
    assert f"{row['top1']['mean']:.2f} $\\pm$ {row['top1']['half_width']:.2f}" in text
    low, high = row["difference"]["low"], row["difference"]["high"]
    assert f"{{[}}{low:+.2f}, {high:+.2f}{{]}}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_compiles(inputs: Any, tmp_path: Path) -> None:
    board = board_of(inputs, {"plain": 0.0, SPECIALS: 1.5})
    page = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
    (tmp_path / "page.tex").write_text(f"{page}{render.latex(board)}\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]

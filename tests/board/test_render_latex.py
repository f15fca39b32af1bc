"""The LaTeX table: braces balance, nothing escapes its cell, the best rows are bold, the notes are there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.board import render
from harness.board.latex_text import escape
from harness.board.leaderboard import build

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
    assert text.isascii()
    known = (
        "textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|char34|char96|texttt|pm"
    )
    commands = set(re.findall(r"\\([A-Za-z]+\d*)", text))
    assert commands <= set(known.split("|")), commands
    bare = re.sub(r"\\.", "", text)
    assert not re.search(r"[&#%_^~]", bare)
    # By hand, from the LaTeX companion's list of special characters.
    assert escape("a_b & 50%") == r"a\_b \& 50\%"
    assert escape("\\x{y}") == r"\textbackslash{}x\{y\}"
    assert escape("中") == r"\texttt{U+4E2D}"
    assert escape("\x1b\u202e") == r"\textbackslash{}x1b\textbackslash{}u202e"


def test_no_pair_becomes_a_dash_or_a_quotation_mark() -> None:
    for pair in ("--", "---", "''", "'" * 3, ",,", "-----"):
        text = escape(pair)
        assert not re.search("--|''|,,", text)
        assert text.replace("{}", "") == pair
    assert escape("the baseline's") == "the baseline's"


def test_accents_are_commands_so_that_every_font_encoding_has_them() -> None:
    assert escape("Köhler, Erdős, Łoś, Groß, façade") == (
        r"K\"{o}hler, Erd\H{o}s, \L{}o\'{s}, Gro\ss{}, fa\c{c}ade"
    )
    assert escape("o\u0308") == escape("ö") == r"\"{o}"
    # Two accents, and a letter that the oldest encoding lacks.
    assert [escape(one) for one in "ếþ"] == [r"\texttt{U+1EBF}", r"\texttt{U+00FE}"]


def test_no_line_breaks_between_a_number_and_its_per_cent() -> None:
    assert escape("95 % of all") == r"95\,\% of all"


def columns_of(text: str) -> int:
    """Return how many columns the preamble of the first tabular declares: its letters outside of @{…}."""
    (found,) = re.findall(r"\\begin{tabular}{(.*)}$", text.partition(r"\toprule")[0], re.MULTILINE)
    return len(re.findall("[lrc]", re.sub(r"@{[^{}]*({[^{}]*})?}", "", found)))


def spanned(row: str) -> int:
    """Return how many columns a row takes."""
    return sum(int((re.findall(r"\\multicolumn{(\d+)}", cell) or [1])[0]) for cell in cells_of(row))


def test_rows_have_as_many_cells_as_there_are_columns_and_the_environments_are_closed(inputs: Any) -> None:
    text = render.latex(board_of(inputs, {"plain": 0.0, "a&b_%": 1.5, "bad": -1.5}))
    head = text.partition(r"\toprule")[2].partition(r"\midrule")[0].strip()
    # Rank, arm, top-1, difference, its interval, its symbol, speed, memory, FLOPs.
    assert columns_of(text) == 9
    assert [spanned(row) for row in [head, *body_rows(text)]] == [9] * 4
    assert braces_balance(text)
    opened = re.findall(r"\\begin{([\w*]+)}", text)
    assert opened == ["table*", "adjustbox", "tabular", "minipage"]
    assert sorted(re.findall(r"\\end{([\w*]+)}", text)) == sorted(opened)
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert text.splitlines()[0].startswith(r"% needs \usepackage{booktabs,adjustbox}")
    assert r"\label{tab:digits-tricks}" in text


def test_a_paper_has_no_column_without_a_value(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "good": 1.5})
    untimed = render.latex(build(given.plan, given.records, (), shared=given.shared))
    assert "images/s" not in untimed and "& failed" not in untimed and "no replicate failed" in untimed
    failing(given.of("good")[0], "diverged")
    failed = render.latex(build(given.plan, given.records, given.timings, shared=given.shared))
    assert "images/s" in failed and "& failed" in failed and "no replicate failed" not in failed
    assert "& 1/10" in failed


def test_the_legend_explains_the_symbols_that_are_there_and_no_other(inputs: Any) -> None:
    text = render.latex(board_of(inputs, {"plain": 0.0, "good": 2.0}))
    assert r"$\uparrow$ better" in text and "worse" not in text and "smaller" not in text


def test_a_name_too_long_for_a_table_is_cut_and_stands_in_a_footnote(inputs: Any) -> None:
    name = "long-" * 30
    text = render.latex(board_of(inputs, {"plain": 0.0, name: 2.0}))
    (row,) = (row for row in body_rows(text) if "long-" in row)
    assert len(row) < 200 and r"\ldots{}" in row and r"\textsuperscript{a}" in row
    assert rf"\textsuperscript{{a}}in full: {name}." in text


def test_what_is_noisy_is_marked_at_the_speed_and_not_at_the_name(inputs: Any) -> None:
    board = board_of(inputs, {"plain": 0.0, "good": 2.0})
    board["rows"][0]["stamps"] = ["noisy: 2 of 3 timing rounds", "unstable: so it is"]
    row = body_rows(render.latex(board))[0]
    assert r"\textbf{good}\textsuperscript{a} &" in row
    assert re.search(r"\)\\rlap{\\,\\textsuperscript{b}}", row)


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


NO_LATEX = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def compiled(tables: list[str], folder: Path, options: str = "") -> str:
    """Return what pdflatex says of a paper of these tables, once it has set it without an error."""
    if subprocess.run(["kpsewhich", "adjustbox.sty"], capture_output=True, check=False).returncode != 0:
        pytest.skip("LaTeX's package adjustbox is not installed (texlive-latex-extra)")
    page = f"\\documentclass{options}{{article}}\n\\usepackage{{booktabs,adjustbox}}\n\\begin{{document}}\n"
    body = "\\clearpage\n".join(tables)
    (folder / "page.tex").write_text(f"{page}{body}\\end{{document}}\n", encoding="utf-8")
    said = run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"], folder)
    assert (folder / "page.pdf").is_file(), said[-2000:]
    return said


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@NO_LATEX
@pytest.mark.slow
@pytest.mark.parametrize("options", ["", "[twocolumn]"])
def test_the_reference_boards_compile_and_no_box_is_too_wide(options: str, tmp_path: Path) -> None:
    boards = [orjson.loads(path.read_bytes()) for path in sorted(REFERENCE.glob("*/leaderboard.json"))]
    assert boards
    said = compiled([render.latex(board) for board in boards], tmp_path, options)
    assert "Overfull" not in said and "Float too large" not in said
    assert "undefined" not in said and "multiply defined" not in said


@NO_LATEX
@pytest.mark.slow
def test_any_name_compiles_and_shows_as_it_is(inputs: Any, tmp_path: Path) -> None:
    names = [SPECIALS, "Köhler, Erdős & Łoś", "a--b ''c'' ,,d", "中文 \u202eabc þ", "word " * 400, "x" * 300]
    compiled([render.latex(board_of(inputs, {"plain": 0.0, name: 1.5})) for name in names], tmp_path)
    if shutil.which("pdftotext") is None:
        pytest.skip("it compiles; what it shows takes pdftotext (poppler-utils), which is not installed")
    run(["pdftotext", "-raw", "page.pdf"], tmp_path)
    shown = " ".join((tmp_path / "page.txt").read_text(encoding="utf-8").split())
    for text in ("U+4E2DU+6587", "a--b", r"\end{table} \input{x}", r"\u202eabc"):
        assert text in shown, text

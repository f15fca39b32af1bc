r"""The board as a LaTeX table for a paper: `\usepackage{booktabs,adjustbox}` and `\input{leaderboard}`.

It is a `table*`: as wide as the page where a paper has two columns, an ordinary table where it has one. A table that is
wider than that is scaled down to fit. Bold are the rows that no other row of their cell is significantly better than
(rank intervals: all pairs, Holm). Verdicts are symbols with a legend; what has to be said of a row is a footnote.
Everything that is not ours to word goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.board import aggregate_words, claim_words, method_words, tuning, wording
from harness.board.cells import with_cells_in_words
from harness.board.interim import stamps_beside
from harness.board.latex_table import Notes, line, table
from harness.board.latex_text import escape
from harness.board.wording import shorten

Row = Mapping[str, Any]

_PACKAGES = r"% needs \usepackage{booktabs,adjustbox}; table* is as wide as both columns where there are two"
_SYMBOLS = {
    "better": r"$\uparrow$",
    "faster": r"$\uparrow$",
    "smaller": r"$\uparrow$",
    "worse": r"$\downarrow$",
    "slower": r"$\downarrow$",
    "larger": r"$\downarrow$",
    "equal": "$=$",
    "not resolved": r"$\circ$",
}
_OF_SPEED = ("noisy", "input-bound", "ratio by round")
"""Stamps that speak of an arm's speed alone begin so."""
_NAME_LENGTH, _CELL_LENGTH = 40, 120
_WITH_ROOM = r"r@{\hspace{2em}}"
"""A column of numbers with room for symbols on its right."""
_CLAIMS_LEGEND = (
    "Claimed and measured: points of top-1, or multiples of the other arm's; brackets hold for all at once."
)


def latex(board: Mapping[str, Any]) -> str:
    """Return the board as a table, and what it has over all data sets and of claims as tables of their own."""
    board, notes = with_cells_in_words(board), _Notes()
    columns = _columns(board["rows"], notes)
    width = sum(column.span for column in columns)
    body = [line([column.head() for column in columns]), r"\midrule"]
    cell = None
    for index, row in enumerate(board["rows"]):
        values = shorten(wording.cell(row), _CELL_LENGTH)
        if index and row.get("cell") != cell:
            body.append(r"\midrule")
        if values and (not index or row.get("cell") != cell):
            body.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{\textit{{{escape(values)}}}}} \\")
        cell = row.get("cell")
        body.append(line([column.cell(row) for column in columns]))
    align = "".join(column.align for column in columns)
    below = [_legend(board, notes), *_general(board), notes.run_in()]
    lines = [_PACKAGES, *table(board, f"{wording.summary(board)}.", "", align, body, below)]
    lines += ["", *_aggregate(board)] if board.get("aggregate") else []
    lines += ["", *_claims(board)] if board.get("claims") else []
    return "\n".join(lines) + "\n"


def is_best(row: Row) -> bool:
    """Return whether no other row of its cell is significantly better; False where that could not be tested."""
    interval = row.get("rank_interval")
    return interval is not None and interval[0] == 1


class _Notes(Notes):
    """Footnotes, and the symbols that the legend has to explain."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()
        self.equal_in: set[str] = set()

    def symbol(self, verdict: str | None, of: str) -> str:
        """Return the symbol of a verdict; empty where it has none.

        Args:
            verdict: What was found.
            of: On what: `accuracy`, `speed` or `memory`, each with a margin of its own.
        """
        if verdict not in _SYMBOLS:
            return ""
        self.used.add(str(verdict))
        if verdict == "equal":
            self.equal_in.add(of)
        return _SYMBOLS[str(verdict)]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column, or some that stand under one heading.

    Attributes:
        heading: In LaTeX.
        align: The preamble's letters; more than one letter where numbers, intervals and symbols align each for itself.
        cell: A row's cell, with `span - 1` ampersands.
        span: How many columns it is to LaTeX.
    """

    heading: str
    align: str
    cell: Callable[[Row], str]
    span: int = 1

    def head(self) -> str:
        """Return the heading, centred over several."""
        return self.heading if self.span == 1 else rf"\multicolumn{{{self.span}}}{{c}}{{{self.heading}}}"


def _columns(rows: Sequence[Row], notes: _Notes) -> list[_Column]:
    """Return the columns in which there is something; a paper has no room for the others."""

    def speed(row: Row) -> str:
        marks = notes.mark([stamp for stamp in row["stamps"] if stamp.startswith(_OF_SPEED)])
        return _beside(escape(wording.speed(row)), notes.symbol(_side(row, "speed"), "speed") + marks)

    def memory(row: Row) -> str:
        value = row["peak_memory_bytes"]
        text = wording.ABSENT if value is None else wording.decimal(value / unit, digits)
        return _beside(escape(text), notes.symbol(_side(row, "memory"), "memory"))

    peak = max((row["peak_memory_bytes"] or 0 for row in rows), default=0)
    unit, name, digits = (2**30, "GiB", 2) if peak >= 10_000 * 2**20 else (2**20, "MiB", 0)
    named = [_Column(r"\#", "@{}r", lambda row: escape(wording.rank(row)))] if _any(rows, "rank") else []
    named += [
        _Column("arm", "l" if named else "@{}l", lambda row: _name(row, notes)),
        _Column(r"top-1, \%", "r", lambda row: _strong(row, escape(wording.with_half_width(row["top1"])))),
        _Column(r"$\Delta$ top-1, points", "r@{ }r@{ }c", lambda row: _difference(row, notes), 3),
    ]
    if _any(rows, "images_per_second"):
        named.append(_Column("images/s", _WITH_ROOM, speed))
    if _any(rows, "peak_memory_bytes"):
        align = _WITH_ROOM if any(_side(row, "memory") for row in rows) else "r"
        named.append(_Column(f"memory, {name}", align, memory))
    if _any(rows, "training_flops_ratio"):
        named.append(_Column("FLOPs", "r", lambda row: escape(wording.with_parents(row, "training_flops"))))
    if any(row["replicates"]["failed"] for row in rows):
        named.append(_Column("failed", "r", lambda row: escape(wording.failed(row))))
    return named


def _any(rows: Sequence[Row], key: str) -> bool:
    return any(row[key] is not None for row in rows)


def _beside(text: str, symbols: str) -> str:
    """Return a cell whose symbols stand in the room to its right, so that the numbers stay one below the other."""
    return rf"{text}\rlap{{\,{symbols}}}" if symbols else text


def _strong(row: Row, text: str) -> str:
    return rf"\textbf{{{text}}}" if is_best(row) else text


def _name(row: Row, notes: _Notes) -> str:
    """Return the arm's name with its footnotes; one that is too long for a table is cut and stands in a note."""
    name = wording.plain(row["arm"])
    shown = shorten(name, _NAME_LENGTH)
    remarks = [*([f"in full: {name}"] if shown != name else []), *_remarks(row)]
    return _strong(row, escape(shown)) + notes.mark(remarks)


def _difference(row: Row, notes: _Notes) -> str:
    if row["baseline"]:
        return r"\multicolumn{3}{c}{baseline}"
    if row["difference"] is None:
        return rf"\multicolumn{{3}}{{c}}{{{escape(wording.ABSENT)}}}"
    mean, _, interval = wording.interval(row["difference"]).partition(" ")
    return f"{escape(mean)} & {escape(interval)} & {notes.symbol(row['verdict'], 'accuracy')}"


def _side(row: Row, side: str) -> str | None:
    verdict: str | None = (row.get(f"{side}_verdict") or {}).get("verdict")
    return verdict


def _remarks(row: Row) -> list[str]:
    """Return what a reader of the row has to know: no verdict and why, stamps, declared differences."""
    reason = [] if row["baseline"] or row["verdict"] else [row["reason"]]
    stamps = [stamp for stamp in stamps_beside(row) if not stamp.startswith(_OF_SPEED)]
    varies = [f"varies {', '.join(map(str, row['varies']))}"] if row["varies"] else []
    return [
        text for text in (*reason, *stamps, *varies, wording.parents(row), tuning.tuned_words(row)) if text
    ]


def _legend(board: Mapping[str, Any], notes: _Notes) -> str:
    """Return what the table's symbols and its bold mean; only of those that it has."""
    words: dict[str, list[str]] = {}
    for verdict, symbol in _SYMBOLS.items():
        if verdict in notes.used:
            words.setdefault(symbol, []).append(_equal(board, notes) if verdict == "equal" else verdict)
    parts = [f"{symbol} {' or '.join(told)}" for symbol, told in words.items()]
    parts = [", ".join(parts)] if parts else []
    if any(map(is_best, board["rows"])):
        parts.append("bold: no row is significantly better (all pairs, Holm)")
    else:
        reason = (board.get("ranks") or {}).get("reason")
        parts.append("no row is bold" + (f": {escape(reason)}" if reason else ""))
    if not any(row["replicates"]["failed"] for row in board["rows"]):
        parts.append("no replicate failed")
    return f"{'; '.join(parts)}."


def _equal(board: Mapping[str, Any], notes: _Notes) -> str:
    """Return `equal (accuracy within 2 points, speed within 1 %)`: of each quantity what it was tested against."""
    settings = board["settings"]
    margins = {"accuracy": f"{method_words.equal_margin(settings):.2g} points"}
    for quantity in ("speed", "memory"):
        margins[quantity] = escape(f"{100 * settings[f'{quantity}_margin']:g} %")
    told = [
        f"{quantity} within {margin}" for quantity, margin in margins.items() if quantity in notes.equal_in
    ]
    return f"equal ({', '.join(told)})"


def _general(board: Mapping[str, Any]) -> list[str]:
    told = [method_words.method(board), wording.calibration(board), tuning.tuning_line(board)]
    told += [f"{notice}." for notice in wording.notices(board)]
    return [escape(text) for text in told if text]


def _aggregate(board: Mapping[str, Any]) -> list[str]:
    rows = [aggregate_words.HEADINGS, *aggregate_words.aggregate_rows(board)]
    head, *body = [line(list(map(escape, row))) for row in rows]
    caption = f"{aggregate_words.aggregate_title(board).lower()}."
    notes = [escape(" ".join(aggregate_words.aggregate_notes(board)))]
    return table(board, caption, "-aggregate", "@{}lrr", [head, r"\midrule", *body], notes)


def _claims(board: Mapping[str, Any]) -> list[str]:
    notes = Notes()
    body = [line(list(map(escape, claim_words.HEADINGS))), r"\midrule"]
    for claim in board["claims"]:
        name, arms, *rest = map(escape, claim_words.claim_cells(claim))
        marks = notes.mark([claim_words.claim_remark(claim)])
        body.append(line([rf"\raggedright {name}{marks}", rf"\raggedright {arms}", *rest]))
    caption, align = "what is claimed, and what was measured.", r"@{}p{0.24\linewidth}p{0.33\linewidth}lrrl"
    legend = f"{_CLAIMS_LEGEND} {escape(claim_words.family_note(board))}"
    return table(board, caption, "-claims", align, body, [legend, notes.run_in()])

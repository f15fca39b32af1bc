"""The board as a LaTeX table for a paper: `\\usepackage{booktabs}` is all that it needs.

Bold are the rows that no other row of their cell is significantly better than (rank intervals: all pairs, Holm).
Verdicts are symbols with a legend; what has to be said of a row is a footnote. Everything that is not ours to word goes
through `escape`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board import claim_words, tuning, wording
from harness.board.wording import plain

_SYMBOLS = {"better": r"$\uparrow$", "worse": r"$\downarrow$", "equal": "$=$", "not resolved": r"$\circ$"}
_SIDE_SYMBOLS = {
    "faster": r"$\uparrow$",
    "slower": r"$\downarrow$",
    "smaller": r"$\uparrow$",
    "larger": r"$\downarrow$",
    "equal": "$=$",
    "not resolved": r"$\circ$",
}
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "'": "'{}",  # two of them would become a quotation mark
    "`": r"\char96{}",
    "[": "{[}",  # after a line's end it would open an option
    "]": "{]}",
    "*": "{*}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "α": r"$\alpha$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "…": r"\ldots{}",
    "–": r"\textendash{}",
    "·": r"$\cdot$",
    "µ": r"$\mu$",
    "▲": r"$\uparrow$",
    "▼": r"$\downarrow$",
    "○": r"$\circ$",
}


def escape(value: object) -> str:
    r"""Return text that LaTeX sets as it is; a character that plain LaTeX has no letter for shows as `U+4E2D`."""
    text = "".join(map(_escaped, plain(value)))
    return text.replace("--", "-{}-").replace("--", "-{}-")  # two of them would become a dash


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if " " <= character <= "~" or (character.isalpha() and "\u00c0" <= character <= "\u00ff"):
        return character
    return rf"\texttt{{U+{ord(character):04X}}}"


def latex(board: Mapping[str, Any]) -> str:
    """Return the board as a `table`, and its claims as a second one where it has any."""
    notes = _Notes()
    lines = [
        r"% needs \usepackage{booktabs}",
        *_opening(f"{escape(board['suite'])}: {escape(wording.summary(board))}.", "board"),
        r"\begin{tabular}{rlrlrrrr}",
        r"\toprule",
        r" & arm & top-1, \% & $\Delta$ top-1 & images/s & memory & FLOPs & failed \\",
        r"\midrule",
    ]
    cell = None
    for index, row in enumerate(board["rows"]):
        values = wording.cell(row)
        if index and row.get("cell") != cell:
            lines.append(r"\midrule")
        if values and (not index or row.get("cell") != cell):
            lines.append(rf"\multicolumn{{8}}{{l}}{{\textit{{{escape(values)}}}}} \\")
        cell = row.get("cell")
        lines.append(" & ".join(_cells(row, notes)) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", *_below([_legend(board), *_general(board), *notes.texts()])]
    lines.append(r"\end{table}")
    if board.get("claims"):
        lines += ["", *_claims(board["claims"])]
    return "\n".join(lines) + "\n"


def is_best(row: Mapping[str, Any]) -> bool:
    """Return whether no other row of its cell is significantly better; False where that could not be tested."""
    interval = row.get("rank_interval")
    return interval is not None and interval[0] == 1


class _Notes:
    """Footnotes of a table: each text once, lettered in the order in which it is first needed."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def mark(self, texts: Sequence[str]) -> str:
        """Return the letters of some notes, raised."""
        letters = [self._letters.setdefault(text, _letter(len(self._letters))) for text in texts]
        return rf"\textsuperscript{{{','.join(letters)}}}" if letters else ""

    def texts(self) -> list[str]:
        """Return each note after its letter."""
        return [rf"\textsuperscript{{{letter}}} {escape(text)}." for text, letter in self._letters.items()]


def _letter(number: int) -> str:
    """Return a, b, …, z, aa, ab, …"""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _cells(row: Mapping[str, Any], notes: _Notes) -> list[str]:
    strong = (lambda text: rf"\textbf{{{text}}}") if is_best(row) else (lambda text: text)
    memory = wording.memory(row["peak_memory_bytes"])
    return [
        escape(wording.rank(row)),
        strong(escape(row["arm"])) + notes.mark(_remarks(row)),
        strong(escape(wording.with_half_width(row["top1"]))),
        _difference(row),
        escape(wording.speed(row)) + _side(row.get("speed_verdict")),
        escape(memory) + _side(row.get("memory_verdict")),
        escape(wording.with_parents(row, "training_flops")),
        escape(wording.failed(row)),
    ]


def _difference(row: Mapping[str, Any]) -> str:
    if row["baseline"]:
        return "baseline"
    symbol = _SYMBOLS.get(row["verdict"] or "", "")
    return " ".join(part for part in (escape(wording.interval(row["difference"])), symbol) if part)


def _side(told: Mapping[str, Any] | None) -> str:
    verdict = (told or {}).get("verdict")
    return f" {_SIDE_SYMBOLS[verdict]}" if verdict in _SIDE_SYMBOLS else ""


def _remarks(row: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the row has to know: no verdict and why, stamps, declared differences."""
    reason = [] if row["baseline"] or row["verdict"] else [row["reason"]]
    varies = [f"varies {', '.join(map(str, row['varies']))}"] if row["varies"] else []
    return [
        text
        for text in (*reason, *row["stamps"], *varies, wording.parents(row), tuning.tuned_words(row))
        if text
    ]


def _legend(board: Mapping[str, Any]) -> str:
    parts = [
        r"$\uparrow$ better, $\downarrow$ worse, $=$ equal within the margin, $\circ$ not resolved; of speed and "
        r"memory, $\uparrow$ faster or smaller, $\downarrow$ slower or larger"
    ]
    if any(map(is_best, board["rows"])):
        parts.append("bold: no row is significantly better (all pairs, Holm)")
    else:
        reason = (board.get("ranks") or {}).get("reason")
        parts.append("no row is bold" + (f": {escape(reason)}" if reason else ""))
    return f"{'; '.join(parts)}."


def _general(board: Mapping[str, Any]) -> list[str]:
    told = [wording.method(board), wording.calibration(board), tuning.tuning_line(board)]
    told += [f"{notice}." for notice in wording.notices(board)]
    return [escape(text) for text in told if text]


def _opening(caption: str, label: str) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:harness-{label}}}",
    ]


def _below(notes: Sequence[str]) -> list[str]:
    lines = [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize\raggedright"]
    return [*lines, *(rf"{note}\par" for note in notes), r"\end{minipage}"]


def _claims(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = _Notes()
    lines = [
        *_opening("Claims.", "claims"),
        r"\begin{tabular}{lllrrl}",
        r"\toprule",
        " & ".join(map(escape, claim_words.HEADINGS)) + r" \\",
        r"\midrule",
    ]
    for claim in claims:
        name, *rest = map(escape, claim_words.claim_cells(claim))
        lines.append(" & ".join([name + notes.mark([claim_words.claim_remark(claim)]), *rest]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}", *_below(notes.texts()), r"\end{table}"]

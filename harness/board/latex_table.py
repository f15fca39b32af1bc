"""The parts that every LaTeX table of a board has: its frame, its caption, and its footnotes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.latex_text import escape
from harness.board.wording import plain, shorten

_LABEL_LENGTH, _CAPTION_LENGTH = 40, 500
"""What is longer is cut: TeX can make no box wider than six metres."""
_NOT_IN_A_LABEL = re.compile(r"[^A-Za-z0-9-]+")


class Notes:
    """Footnotes of a table: each text once, lettered in the order in which it is first needed."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def mark(self, texts: Sequence[str]) -> str:
        """Return the letters of some notes, raised."""
        letters = [self._letters.setdefault(text, _letter(len(self._letters))) for text in texts]
        letters.sort(key=lambda letter: (len(letter), letter))
        return rf"\textsuperscript{{{','.join(letters)}}}" if letters else ""

    def run_in(self) -> str:
        """Return all notes as one paragraph, each after its letter."""
        return r"\quad ".join(
            rf"\textsuperscript{{{letter}}}{escape(text)}." for text, letter in self._letters.items()
        )


def _letter(number: int) -> str:
    """Return a, b, …, z, aa, ab, …"""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def line(cells: Sequence[str]) -> str:
    """Return cells, which are LaTeX, as a row."""
    return " & ".join(cells) + r" \\"


def table(
    board: Mapping[str, Any], caption: str, which: str, align: str, body: Sequence[str], notes: Sequence[str]
) -> list[str]:
    """Return a table of a board as lines.

    Args:
        board: The board.
        caption: What follows the suite's name in the caption; plain text.
        which: The end of its label, which begins with the suite's name.
        align: The columns, as `tabular` takes them.
        body: Its lines in LaTeX, between the outer rules.
        notes: Paragraphs in LaTeX that stand below it.
    """
    told = shorten(f"{plain(board['suite'])}: {caption}", _CAPTION_LENGTH)
    label = _NOT_IN_A_LABEL.sub("-", str(board["suite"])).strip("-")[:_LABEL_LENGTH] or "board"
    return [
        r"\begin{table*}",
        r"\centering",
        r"\small",
        rf"\caption{{{escape(told)}}}",
        rf"\label{{tab:{label}{which}}}",
        r"\setlength{\tabcolsep}{4pt}",
        r"\smallskip",  # classes leave no room below a caption: they expect it under the table
        # No wider than the text, and no higher than leaves room for the notes.
        r"\begin{adjustbox}{max width=\linewidth, max totalheight=0.75\textheight}",
        rf"\begin{{tabular}}{{{align}@{{}}}}",
        r"\toprule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{adjustbox}",
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
        *(rf"{note}\par" for note in notes if note),
        r"\end{minipage}",
        r"\end{table*}",
    ]

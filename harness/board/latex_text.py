"""Text as LaTeX sets it: specials escaped, accents as commands, so that any engine and font encoding takes it."""

from __future__ import annotations

import re
import unicodedata

from harness.board.wording import plain

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
    "≈": r"$\approx$",
    "…": r"\ldots{}",
    "–": r"\textendash{}",
    "·": r"$\cdot$",
    "µ": r"$\mu$",
    "†": r"\dag{}",
    "▲": r"$\uparrow$",
    "▼": r"$\downarrow$",
    "○": r"$\circ$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
_ACCENTS = {
    "\u0300": r"\`",
    "\u0301": r"\'",
    "\u0302": r"\^",
    "\u0303": r"\~",
    "\u0304": r"\=",
    "\u0306": r"\u",
    "\u0307": r"\.",
    "\u0308": r"\"",
    "\u030a": r"\r",
    "\u030b": r"\H",
    "\u030c": r"\v",
    "\u0327": r"\c",
}
"""By combining character, the accents that LaTeX's oldest font encoding has."""
_LIGATURE = re.compile(r"--|''|,,")
"""Pairs that would become a dash or a quotation mark."""


def escape(value: object) -> str:
    r"""Return ASCII that LaTeX sets as the text it is; a character that it has no letter for shows as `U+4E2D`."""
    text = "".join(map(_escaped, unicodedata.normalize("NFC", plain(value))))
    while _LIGATURE.search(text):
        text = _LIGATURE.sub(lambda pair: f"{pair[0][0]}{{}}{pair[0][1]}", text)
    return text.replace(r" \%", r"\,\%")  # no line may break there


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if " " <= character <= "~":
        return character
    bare = unicodedata.normalize("NFD", character)
    letter, accent = bare[:1], bare[1:]
    if accent in _ACCENTS and letter.isascii() and letter.isalpha():
        return f"{_ACCENTS[accent]}{{{letter}}}"
    return rf"\texttt{{U+{ord(character):04X}}}"

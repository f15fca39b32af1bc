"""The one place where text becomes HTML: `tag` escapes everything that is not markup already."""

from __future__ import annotations

import re
from functools import cache

from markupsafe import Markup, escape

from harness.board.wording import plain

EMPTY = Markup("")
_SPECIAL = re.compile("[&<>'\"]")


def text(value: object) -> Markup:
    """Return a value as HTML text; line breaks stay, other control characters show as escapes."""
    return value if isinstance(value, Markup) else Markup(_escaped(value))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element. `class_` stands for `class`, other underscores for hyphens; None leaves an attribute out.

    A float is written with at most two decimals: a hundredth of a pixel is enough.
    """
    written = "".join(
        [
            f' {_attribute(key)}="{_escaped(_short(value))}"'
            for key, value in attributes.items()
            if value is not None
        ]
    )
    return Markup(f"<{name}{written}>{''.join(map(_escaped, children))}</{name}>")


def _escaped(value: object) -> str:
    """Return a value as HTML, in a plain string: a page has a hundred thousand pieces, and makes `Markup` of few."""
    if isinstance(value, Markup):
        return value
    written = str(value)
    if written.isprintable() and not _SPECIAL.search(written):
        return written
    return "\n".join([escape(plain(line)) for line in written.split("\n")])


@cache
def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def join(parts: list[Markup]) -> Markup:
    """Return the parts one after another, a line each."""
    return Markup("\n").join(parts)


def _short(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value

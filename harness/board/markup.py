"""The one place where text becomes HTML: `tag` escapes everything that is not markup already."""

from __future__ import annotations

from markupsafe import Markup, escape

from harness.board.wording import plain

EMPTY = Markup("")


def text(value: object) -> Markup:
    """Return a value as HTML text; line breaks stay, other control characters show as escapes."""
    if isinstance(value, Markup):
        return value
    return Markup("\n").join(escape(plain(line)) for line in str(value).split("\n"))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element. `class_` stands for `class`, other underscores for hyphens; None leaves an attribute out.

    A float is written with at most two decimals: a hundredth of a pixel is enough.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(text(child) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>")


def join(parts: list[Markup]) -> Markup:
    """Return the parts one after another, a line each."""
    return Markup("\n").join(parts)


def _short(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value

"""Text on the two streams, whatever has become of them."""

from __future__ import annotations

import os
import sys
from typing import Any

import orjson


def say(text: str) -> None:
    """Print a line. A reader that has gone away (`| head`) takes no more, and that is no error."""
    try:
        print(printable(text))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say_json(value: Any) -> None:
    """Print JSON, indented."""
    from harness.board.render_json import visible

    say(visible(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()))


def complain(text: str) -> None:
    """Print to the error stream, where it still is."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        return


def show(renderable: Any) -> None:
    """Print something of rich's: 120 columns where no terminal says otherwise."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "120"))
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(renderable)
    text = capture.get()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def printable(text: str) -> str:
    """Return the text with control characters (a plugin's terminal escapes) made visible."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)

"""Text on the two streams, whatever has become of them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import orjson

LEAST_COLUMNS, USUAL_COLUMNS = 20, 120
LOST_OUTPUT = 2
"""Exit code of a command whose output could not be written: what it was to do is done, and 1 would be a verdict."""
_lost: list[str] = []


def say(text: str) -> None:
    """Print a line. A reader that has gone away (`| head`) takes no more, and that is no error."""
    _write(f"{printable(text)}\n")


def code_of_output() -> int:
    """Return 0, or `LOST_OUTPUT` where some output could not be written."""
    return LOST_OUTPUT if _lost else 0


def lose_output(error: OSError) -> None:
    """Say why no more output is written, once, and write none: what a command still has to do goes on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not isinstance(error, BrokenPipeError):
        _lost.append(str(error))
        complain(f"the output cannot be written: {error.strerror}")


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

    console = Console(width=_columns(), highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(renderable)
    _write(capture.get())


def _columns() -> int:
    """Return how wide output is: as COLUMNS or the terminal says, where that is a width at all."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) >= LEAST_COLUMNS:
        return int(told)
    with suppress(OSError):
        if sys.stdout.isatty() and (columns := os.get_terminal_size(sys.stdout.fileno()).columns) > 0:
            return max(LEAST_COLUMNS, columns)
    return USUAL_COLUMNS


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        lose_output(error)


def printable(text: str) -> str:
    """Return the text with control characters (a plugin's terminal escapes) made visible."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)

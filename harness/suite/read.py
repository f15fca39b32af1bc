"""From a file to TOML, or to one line that says where it is wrong."""

import re
import tomllib
from pathlib import Path
from typing import Any

from harness.errors import Problem, SuiteError

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a suite file's text and what it says.

    Raises:
        SuiteError: Where it cannot be read, is no UTF-8 or no TOML; one problem, with line and column.
    """

    def refuse(message: str, line: int = 0, column: int = 0) -> SuiteError:
        return SuiteError(str(path), [Problem("", message, line, column)])

    try:
        data = path.read_bytes()
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise refuse(f"cannot be read: {error}") from error
    if data.startswith(b"\xef\xbb\xbf"):
        raise refuse("begins with a byte order mark; save it as UTF-8 without one", 1, 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise refuse("is not UTF-8 text", *_end(before)) from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        if place is None:
            raise refuse(message) from error
        line, column = map(int, place.groups()) if place[1] else _end(text)
        raise refuse(f"{message[: place.start()]} (this is not TOML)", line, column) from error
    except (RecursionError, ValueError) as error:
        # Brackets nested a thousand deep, or an integer of more digits than Python converts.
        raise refuse(f"is not TOML that can be read: {error}") from error


def _end(text: str) -> tuple[int, int]:
    """Return line and column just after the end of `text`."""
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1

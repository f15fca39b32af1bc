"""Where in a TOML text a key stands. The text has been parsed by `tomllib`; this only remembers positions."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

from harness.registry.messages import join, split

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRINGS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (r'"""(?:\\.|[^\\])*?"{3,5}', r"'''.*?'{3,5}", r'"(?:\\.|[^"\\\n])*"', r"'[^'\n]*'")
)


def locate(text: str) -> dict[str, tuple[int, int]]:
    """Return line and column, both from 1, of every key and list element, by key path.

    Where the text is stranger than expected, the positions found until then.
    """
    scanner = _Scanner(text)
    with contextlib.suppress(IndexError, ValueError, RecursionError):
        scanner.document()
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    places = {}
    line = 0
    for path, offset in sorted(scanner.places.items(), key=lambda item: item[1]):
        while line + 1 < len(starts) and starts[line + 1] <= offset:
            line += 1
        places[path] = (line + 1, offset - starts[line] + 1)
    return places


def nearest_place(places: dict[str, tuple[int, int]], path: str) -> tuple[int, int]:
    """Return the position of a key path, or of the innermost table that it would stand in; (0, 0) for none."""
    while path:
        if path in places:
            return places[path]
        path = split(path)[0]
    return (0, 0)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[str, int] = {}
        self._tables: dict[str, int] = {}  # arrays of tables, by path: how many so far

    def document(self) -> None:
        prefix = ""
        self._skip(_BLANK)
        while self.at < len(self.text):
            start = self.at
            if self.text.startswith("[[", self.at):
                self.at += 2
                path = self._header()
                self._tables[path] = self._tables.get(path, -1) + 1
                prefix = join(path, self._tables[path])
                self.places.setdefault(path, start)
                self.places.setdefault(prefix, start)
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                prefix = self._header()
                self.places.setdefault(prefix, start)
                self.at += 1
            else:
                self._pair(prefix)
            self._skip(_BLANK)

    def _header(self) -> str:
        path = ""
        for key in self._keys():
            if path in self._tables:  # [x.y] after [[x]] belongs to the last x
                path = join(path, self._tables[path])
            path = join(path, key)
        return path

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            keys.append(self._key())
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _key(self) -> str:
        if self.text[self.at] in "\"'":
            start = self.at
            self._string()
            raw = self.text[start + 1 : self.at - 1]
            return raw.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in raw else raw
        match = _BARE.match(self.text, self.at)
        if not match:
            raise ValueError("no key")
        self.at = match.end()
        return match.group()

    def _pair(self, prefix: str) -> None:
        start = self.at
        path = prefix
        for key in self._keys():
            path = join(path, key)
            self.places.setdefault(path, start)
        if self.text[self.at] != "=":
            raise ValueError("no value")
        self.at += 1
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: str) -> None:
        opening = self.text[self.at]
        if opening in "\"'":
            self._string()
        elif opening == "[":
            self._inside("]", lambda index: self._element(join(path, index)))
        elif opening == "{":
            self._inside("}", lambda _: self._pair(path))
        else:
            self._skip(_SCALAR)

    def _element(self, path: str) -> None:
        self.places.setdefault(path, self.at)
        self._value(path)

    def _inside(self, closing: str, read: Callable[[int], None]) -> None:
        self.at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self.text[self.at] == closing:
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
                continue
            read(index)
            index += 1

    def _string(self) -> None:
        for pattern in _STRINGS:
            match = pattern.match(self.text, self.at)
            if match:
                self.at = match.end()
                return
        raise ValueError("no string")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()

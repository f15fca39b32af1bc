"""What is wrong, in plain English: the words that registry and suite share."""

import datetime
import json
import math
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import nearest

_BARE_KEY = re.compile(r"[A-Za-z0-9_.:-]+")
_LAST_PART = re.compile(r'(?:\[\d+\]|(?:^|\.)(?:"(?:[^"\\]|\\.)*"|[^.\[\]"]*))$')
_INTEGER_LIMITS = (-(2**63), 2**63 - 1)


def printable(text: str) -> str:
    """Return `text` with whatever could steer a terminal escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def quote(text: str, limit: int = 80) -> str:
    """Return `text` in double quotes, escaped and cut to `limit` characters."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return '"' + printable(shown).replace('"', '\\"') + '"'


def join(path: str, key: str | int) -> str:
    """Return the key path of `key` within `path`: `join("arms.a", "lr")`, `join("tricks", 0)`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    shown = key if _BARE_KEY.fullmatch(key) else quote(key)
    return f"{path}.{shown}" if path else shown


def split(path: str) -> tuple[str, str]:
    """Return a key path's parent and its last part as it is written there: `("tricks[0]", ".rho")`."""
    parent = _LAST_PART.sub("", path, count=1)
    return parent, path[len(parent) :]


def listed(words: Iterable[str]) -> str:
    """Return `a, b, c`, or `none`."""
    return ", ".join(printable(word) for word in words) or "none"


def named(kind: str) -> str:
    """Return `the name of a trick`, with the article that the kind takes."""
    return f"the name of {'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def unknown_key(key: str, allowed: Sequence[str]) -> str:
    """Return the message for a key that is none of `allowed`."""
    close = nearest(key, allowed)
    return f"unknown key {quote(key)}{close}{'' if close else ';'} allowed: {listed(allowed)}"


def found(value: object) -> str:
    """Return what a TOML value is, in words."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quote(value)}"
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case None:
            return "nothing"
        case datetime.date() | datetime.time():
            return "a date or time"
        case _:
            return printable(str(value))


def unfit(value: object, path: str) -> list[tuple[str, str]]:
    """Return (path, message) for whatever in a TOML value JSON cannot hold: inf, nan, dates, huge integers."""
    match value:
        case Mapping():
            return [bad for key, inner in value.items() for bad in unfit(inner, join(path, key))]
        case list():
            return [bad for index, inner in enumerate(value) for bad in unfit(inner, join(path, index))]
        case float() if not math.isfinite(value):
            return [(path, f"must be a finite number, not {value}")]
        case int() if not _INTEGER_LIMITS[0] <= value <= _INTEGER_LIMITS[1]:
            return [(path, "must be a whole number that fits into 64 bits")]
        case datetime.date() | datetime.time():
            return [(path, "is a date or time, which nothing here takes")]
        case _:
            return []


def explain(error: Mapping[str, Any]) -> str:
    """Return one of pydantic's error details as: what is allowed, and what was found."""
    context: Mapping[str, Any] = error.get("ctx", {})
    kind: str = error["type"]
    if kind in ("missing", "missing_argument"):
        return "is missing"
    if kind == "literal_error":
        return _one_of(context["expected"], error["input"])
    if kind in ("value_error", "assertion_error"):
        return printable(str(context["error"]))
    if kind in ("too_short", "too_long"):
        return f"must hold {_LENGTHS[kind](context)}, not {context['actual_length']}"
    what = _EXPECTED.get(kind)
    if what is None:
        message: str = error["msg"]
        return f"{message[:1].lower()}{message[1:]}; found {found(error['input'])}"
    return f"must be {what(context)}, not {found(error['input'])}"


def _one_of(expected: str, value: object) -> str:
    words = re.findall(r"'([^']*)'", expected)
    if not words:
        return f"must be {expected}, not {found(value)}"
    close = nearest(value, words) if isinstance(value, str) else ""
    return f"must be one of {', '.join(map(quote, words))}, not {found(value)}{close}"


_Context = Mapping[str, Any]

_LENGTHS: dict[str, Callable[[_Context], str]] = {
    "too_short": lambda c: f"at least {c['min_length']} entries",
    "too_long": lambda c: f"at most {c['max_length']} entries",
}

_EXPECTED: dict[str, Callable[[_Context], str]] = {
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "int_parsing": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "float_parsing": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "bool_type": lambda _: "true or false",
    "bool_parsing": lambda _: "true or false",
    "string_type": lambda _: "text",
    "none_required": lambda _: "left out",
    "tuple_type": lambda _: "a list",
    "list_type": lambda _: "a list",
    "set_type": lambda _: "a list",
    "frozen_set_type": lambda _: "a list",
    "dict_type": lambda _: "a table",
    "greater_than": lambda c: f"more than {c['gt']:g}",
    "greater_than_equal": lambda c: f"at least {c['ge']:g}",
    "less_than": lambda c: f"less than {c['lt']:g}",
    "less_than_equal": lambda c: f"at most {c['le']:g}",
    "multiple_of": lambda c: f"a multiple of {c['multiple_of']:g}",
    "string_too_short": lambda c: f"at least {c['min_length']} characters long",
    "string_too_long": lambda c: f"at most {c['max_length']} characters long",
    "string_pattern_mismatch": lambda c: f"text that matches {c['pattern']}",
}


def reason(error: BaseException) -> str:
    """Return an exception in one line: its type, its text, and the innermost line that raised it."""
    text = " ".join(json.dumps(str(error), ensure_ascii=False)[1:-1].replace("\\n", " ").split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        where = ""
    return printable(f"{type(error).__name__}: {text}" if text else type(error).__name__) + where


def traceback_end(error: BaseException, frames: int = 3) -> str:
    """Return the last `frames` frames of an exception's traceback, and its message."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-frames)).strip()

"""Whether a record's keys hold what their readers take for granted: text, whole numbers, lists, tables.

A seal tells that a record is as it was written, not that it was written well: another program may seal anything. What
is read key by key (`board.select.number_at` takes a wrong type for an absent value) is left to its reader; what is
looped over, sorted by or made a key of is asked for here, once, so that no reader falls over it; and so is that an
accuracy is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import NoneType
from typing import Any

Types = frozenset[type]

_WORDS = {
    NoneType: "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a point",
    str: "text",
    list: "a list",
    dict: "a table",
}
_TEXT: Types = frozenset({str, NoneType})
_WHOLE: Types = frozenset({int, NoneType})
_LIST: Types = frozenset({list, NoneType})
_TABLE: Types = frozenset({dict, NoneType})
_NUMBERS = (float, int)

_RECORD: dict[str, Types] = {
    **dict.fromkeys(("trial", "arm", "finished_at"), _TEXT),
    **dict.fromkeys(("attempt", "round", "world_size"), _WHOLE),
    **dict.fromkeys(("changes", "augmentations"), _LIST),
    **dict.fromkeys(("digests", "results", "curves", "loader", "place", "observables", "weights"), _TABLE),
}
_TABLES: dict[str, dict[str, Types]] = {
    "curves": dict.fromkeys(
        ("epoch", "train_loss", "validation_loss", "validation_top1", "learning_rate"), _LIST
    ),
    "results": dict.fromkeys(("test", "validation"), _TABLE),
    "loader": {"mode": _TEXT},
    "place": {"device": _TEXT},
}
_CURVES, _EMPTY = tuple(_TABLES["curves"]), dict[str, Any]()


def misshapen(record: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the types of a record's keys, or with its accuracy, or None. An absent key is null.

    Args:
        record: As JSON gives it: no types but JSON's own. Its `refs` is a table.
    """
    get = record.get
    # Nearly all records have the same types, so a tuple of them is looked up: a board reads a hundred thousand.
    try:
        results, loader, place = get("results") or _EMPTY, get("loader") or _EMPTY, get("place") or _EMPTY
        test = results.get("test")
        nested = (test, results.get("validation"), loader.get("mode"), place.get("device"))
        curves = map((get("curves") or _EMPTY).get, _CURVES)
        metrics = (test or _EMPTY).get("metrics")
        top1: Any = (test or _EMPTY).get("top1")
        if type(top1) in _NUMBERS and not 0.0 <= top1 <= 100.0:
            return f"results.test.top1 is {top1}, expected points from 0 to 100"
        texts = {*map(type, record["refs"].values()), *map(type, (get("digests") or _EMPTY).values())}
        if texts <= _TEXT and _is_known(tuple(map(type, (*map(get, _RECORD), *nested, *curves, metrics)))):
            return None
    except AttributeError:  # no table where there should be one
        pass
    return _why(record)


@lru_cache(maxsize=4096)
def _is_known(found: tuple[type, ...]) -> bool:
    """Return whether these types, in the order in which `misshapen` asks for them, are those that readers take."""
    wanted = [
        *_RECORD.values(),
        *_TABLES["results"].values(),
        _TEXT,
        _TEXT,
        *_TABLES["curves"].values(),
        _TABLE,
    ]
    types = dict(zip(_RECORD, found, strict=False))
    is_attempt = types["trial"] is str and types["attempt"] is int
    is_round = types["arm"] is str and types["round"] is int
    return (is_attempt or is_round) and all(
        one in allowed for one, allowed in zip(found, wanted, strict=True)
    )


def _why(record: Mapping[str, Any]) -> str:
    """Say which key is the first of another type than its readers take for granted."""
    tables = {"": (record, _RECORD)} | {name: (record.get(name) or {}, _TABLES[name]) for name in _TABLES}
    for name in ("refs", "digests"):
        if isinstance(table := record.get(name), dict):
            tables[name] = (table, dict.fromkeys(table, _TEXT))
    test = record.get("results") or {}
    tables["results.test"] = (test.get("test") or {} if isinstance(test, dict) else {}, {"metrics": _TABLE})
    for name, (table, wanted) in tables.items():
        for key, types in wanted.items():
            if type(table.get(key)) not in types:
                return _told(f"{name}.{key}".lstrip("."), type(table.get(key)), types)
    return "misshapen: it is neither an attempt of a trial nor a round of an arm"


def _told(key: str, found: type, wanted: Types) -> str:
    expected = " or ".join(word for one, word in reversed(_WORDS.items()) if one in wanted)
    return f"misshapen: {key} is {_WORDS[found]}, expected {expected}"

"""The cells of a grid in words: `dataset = subset of cifar10`, in place of the table of the suite file.

A value of a grid's key may be a whole component, with parameters and components in it. A reader of a board wants what
tells the cells apart: names where these do, else the parameters that the cells do not share. A board whose cells hold
single values, or that has no grid, is left as it is; the JSON always has the whole values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import orjson

from harness.board.data import PLACES

Json = dict[str, Any]
Path = tuple[str, ...]

_NAME, _OF = "name", "of"


def with_cells_in_words(board: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a board in which the components that its cells hold are words, in its rows, tasks and claims."""
    tasks = (board.get("aggregate") or {}).get("tasks") or []
    claims = board.get("claims") or []
    cells = [one.get("cell") or {} for one in (*board["rows"], *tasks, *claims)]
    if not any(isinstance(value, dict | list) for cell in cells for value in cell.values()):
        return board
    words = iter(cells_in_words(cells))
    rows = [_with_cell(row, next(words)) for row in board["rows"]]
    told = {**board, "rows": rows}
    if tasks:
        told["aggregate"] = {**board["aggregate"], "tasks": [_with_cell(task, next(words)) for task in tasks]}
    if claims:
        told["claims"] = [_with_cell(claim, next(words)) for claim in claims]
    return told


def cells_in_words(cells: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return some cells with words in place of components and lists; other values stay. Equal cells have equal words.

    Args:
        cells: Of one board or plan, so that what they share is known: values by key path.
    """
    by_key: dict[str, dict[bytes, Any]] = {}
    for cell in cells:
        for key, value in cell.items():
            by_key.setdefault(key, {})[_identity(value)] = value
    words = {key: _words_of(values) for key, values in by_key.items()}
    return [{key: words[key][_identity(value)] for key, value in cell.items()} for cell in cells]


def _with_cell(one: Json, cell: Json) -> Json:
    return {**one, "cell": cell} if one.get("cell") else one


def _identity(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _words_of(values: Mapping[bytes, Any]) -> dict[bytes, Any]:
    """Return the words of a key's values, the shortest that tell all of them apart."""
    shared = _shared(list(values.values()))
    named = {own: _named(value) for own, value in values.items()}
    short = {own: _words(value, shared) for own, value in values.items()}
    for words in (named, short) if len(values) > 1 else (short,):
        if len({_identity(value) for value in words.values()}) == len(values):
            return words
    return {own: _words(value, frozenset()) for own, value in values.items()}


def _named(value: Any) -> Any:
    """Return a component by names alone, `subset of neu_cls (parquet)`; what is none stays what it is."""
    if not isinstance(value, dict) or not value.get(_NAME):
        return _words(value, frozenset())
    name = str(value[_NAME])
    if _OF in value:
        return f"{name} of {_named(value[_OF])}"
    place = PurePath(next((str(value[key]) for key in PLACES if value.get(key)), "")).name
    return f"{place} ({name})" if place else name


def _shared(values: Sequence[Any]) -> frozenset[Path]:
    """Return the parameters that all values have, and have alike; none where there is but one value."""
    if len(values) < 2 or not all(isinstance(value, dict) for value in values):
        return frozenset()
    leaves = [dict(_leaves(value)) for value in values]
    common = set.intersection(*(set(one) for one in leaves))
    return frozenset(
        path for path in common if path[-1] != _NAME and len({_identity(one[path]) for one in leaves}) == 1
    )


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, (*path, str(key)))
    else:
        yield path, value


def _words(value: Any, shared: frozenset[Path], path: Path = ()) -> Any:
    """Return a value in words: `subset (samples 1000) of cifar10`; a single value stays what it is."""
    if isinstance(value, list):
        return f"[{', '.join(str(_words(one, frozenset())) for one in value)}]"
    if not isinstance(value, dict):
        return value
    name = str(value.get(_NAME, ""))
    told = [
        f"{key} {_inner(one, shared, (*path, str(key)))}"
        for key, one in sorted(value.items())
        if key not in (_NAME, _OF) and (*path, key) not in shared
    ]
    told = [f"({', '.join(told)})" if name else ", ".join(told)] if told else []
    of = [f"of {_inner(value[_OF], shared, (*path, _OF))}"] if _OF in value else []
    return " ".join([*([name] if name else []), *told, *of])


def _inner(value: Any, shared: frozenset[Path], path: Path) -> str:
    return str(value).lower() if isinstance(value, bool) else str(_words(value, shared, path))

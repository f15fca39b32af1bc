"""The board as the metadata of model cards on the Hugging Face hub: `model-index`, the YAML front matter of a README.

A card describes one model, and the hub's own reader would count the results of several as one model's. So each arm is a
block of its own, the best first: the card takes the block of its arm. Text is written as JSON strings, which YAML reads
as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from harness.board.cells import with_cells_in_words
from harness.board.wording import cell, plain
from harness.errors import HarnessError, nearest

_MOST_NAMES = 20
"""Arms that a refusal names."""

_TASK = ["  - task:", "      type: image-classification", "      name: Image Classification"]


def model_index(board: Mapping[str, Any], arm: str | None = None) -> str:
    """Return front matter for every arm that has a result, or for one; accuracies are shares, as on the hub.

    Args:
        board: The board.
        arm: The one that is wanted.

    Raises:
        HarnessError: Where there is no such arm, with the nearest right spelling, or it has no result.
    """
    board, lines = with_cells_in_words(board), []
    for row in board["rows"] if arm is None else [_row(board, arm)]:
        if row["top1"] is not None:
            lines += ["---", "model-index:", f"- name: {_text(row['arm'])}", "  results:", *_TASK]
            lines += [*_dataset(row, board), "    metrics:"]
            for metric in _metrics(row):
                lines += metric
    return "\n".join([*(lines or ["---", "model-index: []"]), "---", ""])


def _row(board: Mapping[str, Any], arm: str) -> Mapping[str, Any]:
    """Return the row of an arm; refuse one that is not there, or of which there is nothing to tell."""
    rows: dict[str, Mapping[str, Any]] = {row["arm"]: row for row in board["rows"]}
    if arm not in rows:
        names = [plain(name) for name in rows]
        shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
        raise HarnessError(f"the board has no arm {_text(arm)}{nearest(plain(arm), names)} (arms: {shown})")
    if rows[arm]["top1"] is None:
        raise HarnessError(
            f"arm {_text(arm)} has no result yet, so there is nothing for its card; run it first"
        )
    return rows[arm]


def _dataset(row: Mapping[str, Any], board: Mapping[str, Any]) -> list[str]:
    """Return the test data: the hub's own name of it where the arm reads it from there."""
    own = (row.get("recipe") or {}).get("dataset") or {}
    told = next((entry["dataset"] for entry in board["data"] if entry["dataset"]), None)
    words, source = [str(own["name"])] if own.get("name") else [], own
    while isinstance(inner := (source.get("params") or {}).get("of"), Mapping) and inner.get("name"):
        words.append(str(inner["name"]))
        source = inner
    params = source.get("params") or {}
    if source.get("name") == "hub" and params.get("path"):
        words[-1] = str(params["path"])
    name = " of ".join(words) or told or "unknown"
    known = {key: params[key] for key in ("config", "revision") if words and params.get(key)}
    return [
        "    dataset:",
        f"      name: {_text(name)}",
        f"      type: {_text(words[-1] if words else name)}",
        *(f"      {key}: {_text(value)}" for key, value in known.items()),
        "      split: test",
        "      args:",  # a source would need an address
        f"        suite: {_text(board['suite'])}",
        f"        plan: {_text(board['plan'])}",
        *([f"        cell: {_text(cell(row))}"] if row.get("cell") else []),
        *([f"        stamps: [{', '.join(map(_text, board['stamps']))}]"] if board["stamps"] else []),
    ]


def _metrics(row: Mapping[str, Any]) -> Iterator[list[str]]:
    count = row["replicates"]["good"] + row["replicates"]["failed"]
    over = f"mean of {count} replicates" if count > 1 else "one replicate"
    yield _metric(
        "accuracy", _share(row["top1"]["mean"]), f"Top-1 accuracy, {over}{_interval(row['top1'], 0.01)}"
    )
    if row["nll"] is not None:
        name = f"Negative log-likelihood in nats, {over}{_interval(row['nll'], 1.0)}"
        yield _metric("nll", row["nll"]["mean"], name)
    for key, value in (row.get("metrics") or {}).items():
        if value is not None:
            yield _metric(key, value["mean"], f"{plain(key)}, {over}{_interval(value, 1.0)}")


def _metric(kind: str, value: float, name: str) -> list[str]:
    return [
        f"    - type: {_text(kind)}",
        f"      value: {_number(value)}",
        f"      name: {_text(name)}",
        "      verified: false",
    ]


def _interval(value: Mapping[str, Any], unit: float) -> str:
    if value["low"] is None or value["high"] is None:
        return ""
    return f", interval {value['low'] * unit:.4f} to {value['high'] * unit:.4f}"


def _share(points: float) -> float:
    return round(points / 100, 8)


def _number(value: float) -> str:
    """Return a number that YAML reads as one: `1e-07` would be a string to it."""
    text = repr(float(value))
    mantissa, exponent, power = text.partition("e")
    if not exponent:
        return text
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{power if power[0] in '+-' else '+' + power}"


def _text(value: object) -> str:
    return orjson.dumps(plain(value)).decode()

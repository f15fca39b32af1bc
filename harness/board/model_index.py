"""The board as the metadata of model cards on the Hugging Face hub: `model-index`, the YAML front matter of a README.

An arm is a model; a card takes the entry of its own. Text is written as JSON strings, which YAML reads as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from harness.board.wording import plain

_TASK = ["  - task:", "      type: image-classification", "      name: Image Classification"]


def model_index(board: Mapping[str, Any]) -> str:
    """Return the front matter with an entry for every arm that has a result; accuracies are shares, as on the hub."""
    lines = ["---", "model-index:"]
    shown = [row for row in board["rows"] if row["top1"] is not None]
    if not shown:
        lines[-1] += " []"
    for row in shown:
        lines += [f"- name: {_text(row['arm'])}", "  results:", *_TASK, *_dataset(row, board), "    metrics:"]
        for metric in _metrics(row):
            lines += metric
    return "\n".join([*lines, "---", ""])


def _dataset(row: Mapping[str, Any], board: Mapping[str, Any]) -> list[str]:
    """Return the test data: the hub's own name of it where the arm reads it from there."""
    own = (row.get("recipe") or {}).get("dataset") or {}
    params = own.get("params") or {}
    told = next((entry["dataset"] for entry in board["data"] if entry["dataset"]), None)
    name = own.get("name") or told or "unknown"
    path = params.get("path") if name == "hub" else None
    return [
        "    dataset:",
        f"      name: {_text(path or name)}",
        f"      type: {_text(path or name)}",
        "      split: test",
        "      args:",  # a source would need an address
        f"        suite: {_text(board['suite'])}",
        f"        plan: {_text(board['plan'])}",
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

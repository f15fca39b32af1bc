"""What trackers share: a recipe and a record as flat names and numbers, and where their libraries come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INSTALL = "pip install 'harness-bench[track]'; in a checkout: pip install -c constraints.txt -e '.[track]'"


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Return a recipe as text by key path: `{"tricks.0.params.rho": "0.05"}`."""
    if isinstance(value, Mapping):
        parts = [(str(key), one) for key, one in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(str(index), one) for index, one in enumerate(value)]
    else:
        return {prefix: str(value)}
    return {
        name: text
        for key, one in parts
        for name, text in flat(one, f"{prefix}.{key}" if prefix else key).items()
    }


def results(record: Mapping[str, Any]) -> dict[str, float]:
    """Return what a record says in the end: each split's results in points and nats, seconds, memory, FLOPs."""
    found: dict[str, float] = {}
    for split, told in (record.get("results") or {}).items():
        for name in ("top1", "nll"):
            _enter(found, f"{split}/{name}", (told or {}).get(name))
        for name, value in ((told or {}).get("metrics") or {}).items():
            _enter(found, f"{split}/{name}", value)
    _enter(found, "train_seconds", (record.get("seconds") or {}).get("train"))
    _enter(found, "training_flops", (record.get("budget") or {}).get("training_flops"))
    _enter(found, "parameters", record.get("parameters"))
    for name in ("peak_resident_bytes", "peak_allocated_bytes"):
        _enter(found, name, (record.get("memory") or {}).get(name))
    return found


def _enter(found: dict[str, float], name: str, value: Any) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        found[name] = float(value)

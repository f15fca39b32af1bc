"""What each gate measured, kept per kind of machine: a JSON line a report, and the drifts that no single gate sees."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from harness.board import wording
from harness.board.gate_hosts import host_key
from harness.board.gate_rows import is_number
from harness.board.gate_steps import detect_steps
from harness.board.wording import plain
from harness.errors import StoreError
from harness.record.files import make_folder, write_over
from harness.record.lock import hold

Json = Mapping[str, Any]

SCHEMA = 1
RECENT = 200
"""Points of a series in which steps are looked for, and that are drawn."""

_KEPT = ("kind", "unit", "verdict", "ratio", "noise")
_LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class History:
    """A history file, read.

    Attributes:
        entries: In the order in which they were written.
        damaged: Numbers of the lines, from 1, that are no entry, or one that has been before.
    """

    entries: list[dict[str, Any]]
    damaged: list[int]


def history_path(folder: Path, host: Json | None) -> Path:
    """Return the file of this kind of machine. Another CPU is another file: its times would look like a step."""
    return folder / f"{host_key(host)}.jsonl"


def append(path: Path, report: Json, host: Json | None, at: str) -> bool:
    """Add what a report measured of its candidate as one line; durable, and whole or not at all.

    Args:
        path: The file, as `history_path` names it; its folder is made.
        report: What `gate.judge` returned.
        host: The machine's fingerprint.
        at: When, UTC, ISO 8601.

    Returns:
        Whether there was anything to add: a report without a measured candidate is not.

    Raises:
        StoreError: Where the disk refuses, or another process holds the file for ten seconds.
    """
    values = {
        row["name"]: {"value": row["candidate_median"], **{key: row[key] for key in _KEPT}}
        for row in report["rows"]
        if row["candidate_median"] is not None and row["verdict"] not in ("failed", "not measured")
    }
    if not values:
        return False
    entry = {
        "schema": SCHEMA,
        "at": at,
        "host": host_key(host),
        "label": report["candidate"].get("label"),
        "commit": report["candidate"].get("commit"),
        "base": report["base"].get("commit"),
        "source": report["source"],
        "suite": report["suite"],
        "advisory": report["advisory"],
        "values": values,
    }
    make_folder(path.parent)
    with hold(path.with_name(f".{path.name}.lock"), "harness gate", patience_seconds=_LOCK_SECONDS):
        before = _read_bytes(path)
        # A line that was cut off stays, damaged, on a line of its own.
        gap = b"" if before.endswith(b"\n") or not before else b"\n"
        write_over(path, before + gap + orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) + b"\n")
    return True


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StoreError(f"{path}: the history cannot be read: {error.strerror}") from error


def read(path: Path) -> History:
    """Return a history; a file that is not there is an empty one, a damaged line is counted and left out.

    So is one that is there twice, as where two copies of a file were joined.

    Raises:
        StoreError: Where the file cannot be read.
    """
    entries, damaged = [], []
    seen: set[bytes] = set()
    for number, line in enumerate(_read_bytes(path).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            entry = None
        whole = isinstance(entry, dict) and entry.get("schema") == SCHEMA
        if whole and isinstance(entry.get("values"), dict) and line not in seen:
            entries.append(entry)
            seen.add(line)
        else:
            damaged.append(number)
    return History(entries, damaged)


def summarize(history: History) -> dict[str, Any]:
    """Return every series with its steps, as JSON; equal histories give equal summaries.

    A series is what one suite measured under one name in one way: the step of another suite's arm of that name, or
    of a timing pass in place of a gate's rounds, is another figure and would look like a change.

    Returns:
        `entries, damaged, series`; a series holds `name, kind, unit, points [{at, label, commit, value, verdict}]`
        (the last 200) and `steps [{index, before, after, ratio, p, at, commit}]`, `index` into its points.
    """
    series: dict[str, dict[str, Any]] = {}
    for entry in history.entries:
        for name, measured in entry["values"].items():
            if not isinstance(measured, dict) or not is_number(measured.get("value")):
                continue
            title = _title(entry, name)
            if title not in series:
                kept = {key: measured.get(key) for key in ("kind", "unit")}
                series[title] = {"name": title, **kept, "points": deque(maxlen=RECENT)}
            point = {
                **{key: entry.get(key) for key in ("at", "label", "commit")},
                "value": float(measured["value"]),
                "verdict": measured.get("verdict"),
            }
            series[title]["points"].append(point)
    return {
        "entries": len(history.entries),
        "damaged": history.damaged,
        "series": [_with_steps(series[name]) for name in sorted(series)],
    }


def _title(entry: Json, name: str) -> str:
    suite, source = entry.get("suite"), entry.get("source")
    title = name if suite is None else f"{suite}: {name}"
    return title if source in (None, "commits") else f"{title} ({source})"


def _with_steps(series: dict[str, Any]) -> dict[str, Any]:
    points = list(series["points"])
    values = [point["value"] for point in points]
    steps = detect_steps(values) if all(value > 0 for value in values) else []
    found = [
        {**asdict(step), "at": points[step.index]["at"], "commit": points[step.index]["commit"]}
        for step in steps
    ]
    return {**series, "points": points, "steps": found}


def describe_step(series: Json, step: Json) -> str:
    """Return a step in words, not escaped: `3.1 % more from abc1234 (2026-01-02) on, p = 0.0002`."""
    percent = 100 * abs(step["ratio"] - 1)
    where = str(step["commit"] or series["points"][step["index"]]["label"])[:10]
    direction = "more" if step["ratio"] > 1 else "less"
    return f"{percent:.1f} % {direction} from {where} ({str(step['at'])[:10]}) on, p = {step['p']:.2g}"


def render_history_text(summary: Json) -> str:
    """Return a history in plain text: its steps, and a line for each series."""
    lines = [f"gate history: {summary['entries']} reports on this kind of machine"]
    if summary["damaged"]:
        lines.append(
            f"! lines damaged, of another format or there twice, left out: {', '.join(map(str, summary['damaged']))}"
        )
    for series in summary["series"]:
        lines.append(f"{series['name']}: {_course(series)}")
        lines += [f"  step: {describe_step(series, step)}" for step in series["steps"]]
    if not summary["series"]:
        lines.append("nothing measured yet")
    return "".join(f"{plain(line)}\n" for line in lines)


def _course(series: Json) -> str:
    values: Sequence[float] = [point["value"] for point in series["points"]]
    scale, unit = scale_of(series["unit"], values)
    ends = " → ".join(wording.decimal(value * scale) for value in (values[0], values[-1]))
    steps = (
        "no step" if not series["steps"] else f"{len(series['steps'])} step{'s'[: len(series['steps']) > 1]}"
    )
    return f"{len(values)} points, {ends} {unit}, {steps}"


def scale_of(unit: Any, values: Sequence[float]) -> tuple[float, str]:
    """Return by what to multiply values of `unit` so that they read well, and the name of what comes out."""
    largest = max(values)
    if unit == "s":
        return next((pair for pair in ((1e6, "µs"), (1e3, "ms")) if largest * pair[0] < 1000), (1.0, "s"))
    if unit == "bytes":
        return 2.0**-20, "MiB"
    return 1.0, str(unit)

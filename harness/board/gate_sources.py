"""Two stored files as the gate's samples: result folders, or what pytest-benchmark wrote. Advisory, both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.board.environment import shared_of
from harness.board.gate import GateError, NothingMeasured
from harness.board.gate_hosts import one_host
from harness.board.gate_rules import SCHEMA
from harness.board.select import FAILED_BY_ARM, ArmTrials, Record, counted_rests, placed_in, select, value_at
from harness.board.set_aside import set_aside_words
from harness.board.speed import MEMORY, rounds_of
from harness.board.wording import plain
from harness.errors import StoreError
from harness.record.attempt import Attempt
from harness.record.reading import Reading
from harness.record.store import Store

Json = Mapping[str, Any]

_SPEED_KEYS = ("batch_size", "numerics")
_ACCURACY_KEYS = ("batch_size", "budget", "evaluation", "numerics.precision")


def read_stored(base: Path, candidate: Path) -> dict[str, Any]:
    """Return the samples of two result folders, or of two files of pytest-benchmark.

    Raises:
        GateError: Where the two are not of one kind, or cannot be read.
        NothingMeasured: Where either holds nothing.
    """
    for path in (base, candidate):
        if not path.exists():
            raise GateError(f"{path}: there is no such file or folder")
    if base.is_dir() != candidate.is_dir():
        raise GateError(f"{base} and {candidate}: one is a folder, the other a file; compare two of a kind")
    return read_results(base, candidate) if base.is_dir() else read_pytest_benchmark(base, candidate)


@dataclass(frozen=True, slots=True)
class _Folder:
    """One results folder, read: its plan, its trials and its timings by arm."""

    path: Path
    plan: dict[str, Any]
    reading: Reading[Attempt]
    trials: dict[str, ArmTrials]
    notes: list[str]

    def timings(self, arm: str) -> list[Record]:
        return [timing for timing in self.reading.timings if timing.get("arm") == arm]


def read_results(base: Path, candidate: Path) -> dict[str, Any]:
    """Return the samples of two folders `results/<suite>`, arms matched by name.

    Of each arm: step seconds and peak memory, a sample a round of the timing pass, and test accuracy, paired by
    replicate. What failed on the candidate's side is a failure; what failed on the base's alone is left out.

    Raises:
        GateError, NothingMeasured: As `read_stored`.
    """
    sides = (_read_folder(base), _read_folder(candidate))
    names = dict.fromkeys(name for side in sides for name in side.trials)
    measurements = [one for name in names for one in _arm_measurements(name, *sides)]
    heads = [_folder_head(side) for side in sides]
    return {
        "schema": SCHEMA,
        "source": "results",
        "suite": sides[1].plan.get("suite"),
        "advisory": True,
        "base": heads[0],
        "candidate": heads[1],
        "notes": [
            f"{name}: {note}"
            for name, side in zip(("base", "candidate"), sides, strict=True)
            for note in side.notes
        ],
        "measurements": measurements,
    }


def _read_folder(path: Path) -> _Folder:
    store = Store(path)
    try:
        store.latest()
    except StoreError as error:
        told = f"{path}: nothing measured here; expected a folder results/SUITE ({error})"
        raise NothingMeasured(told) from error
    plan = store.read_plan()
    reading = store.read_flat(plan)
    trials, notes = select(plan, placed_in(plan, reading.records))
    if reading.set_aside:
        notes = [*notes, set_aside_words(reading.set_aside)]
    if not reading.records and not reading.timings:
        raise NothingMeasured(f"{path}: a plan, and no intact trial or timing of it")
    return _Folder(path, plan, reading, trials, notes)


def _folder_head(folder: _Folder) -> dict[str, Any]:
    """Return label, commit and host of a side; several commits are none."""
    trained = [rest for rest, _ in counted_rests(folder.reading.records)]
    timed = folder.reading.timings or trained
    host, _ = one_host(shared_of(timed, "host", folder.reading.shared).values())
    states = shared_of([*trained, *folder.reading.timings], "code", folder.reading.shared)
    commits = {
        told if isinstance(told := value_at(state, "commit"), str) else None for state in states.values()
    }
    commit = commits.pop() if len(commits) == 1 else None
    return {"label": str(folder.path), "commit": commit, "host": None if host is None else dict(host)}


def _arm_measurements(name: str, base: _Folder, candidate: _Folder) -> list[dict[str, Any]]:
    sides = (base, candidate)
    rounds = [rounds_of(side.timings(name)).get(name, {}) for side in sides]
    timings = [[rounds[side][number] for number in sorted(rounds[side])] for side in (0, 1)]
    failures = [
        f"candidate round {timing.get('round')}: {timing.get('status')}"
        for timing in candidate.timings(name)
        if timing.get("status") != "completed"
    ]
    speed = {"differs": [*_differing(name, sides, _SPEED_KEYS), *_mixed(sides)], "failures": failures}
    found = []
    seconds = [_numbers(side, "step_seconds", "median") for side in timings]
    if any(seconds) or failures:
        found.append(_measurement(f"{name}/step_seconds", "time", "s", seconds, **speed))
    for kind in MEMORY:
        sizes = [_numbers(side, "peak_memory_bytes", kind) for side in timings]
        if any(sizes):
            found.append(_measurement(f"{name}/peak_{kind}_bytes", "memory", "bytes", sizes, **speed))
            break
    return [*found, *_accuracy(name, sides)]


def _accuracy(name: str, sides: Sequence[_Folder]) -> list[dict[str, Any]]:
    trials = [side.trials.get(name, ArmTrials(name, ())) for side in sides]
    top1 = [{at: one.top1 for at, one in side.good.items()} for side in trials]
    failures = [
        f"candidate replicate {replicate}: {one.status}"
        for replicate, one in sorted(trials[1].counted.items())
        if one.status in FAILED_BY_ARM
    ]
    if not any(top1) and not failures:
        return []
    # Of a side that is absent altogether the other's replicates are kept: then it has vanished, or is new.
    replicates = sorted(top1[0].keys() & top1[1].keys()) if all(top1) else sorted({*top1[0], *top1[1]})
    values = [[side[at] for at in replicates if at in side] for side in top1]
    differs = _differing(name, sides, _ACCURACY_KEYS)
    if sides[0].plan.get("seed") != sides[1].plan.get("seed"):
        differs.append("seed")
    return [_measurement(f"{name}/top1", "accuracy", "points", values, differs=differs, failures=failures)]


def _numbers(timings: Iterable[Record], *keys: str) -> list[Any]:
    """Return what was measured, null and all; nothing where no timing has it."""
    values = [value_at(timing, *keys) for timing in timings]
    return values if any(value is not None for value in values) else []


def _measurement(
    name: str,
    kind: str,
    unit: str,
    sides: Sequence[Sequence[Any]],
    *,
    differs: Sequence[str] = (),
    failures: Sequence[str] = (),
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "unit": unit,
        "base": list(sides[0]),
        "candidate": list(sides[1]),
        "again": None,
        "margin": None,
        "failures": list(failures),
        "differs": sorted(set(differs)),
    }


def _differing(name: str, sides: Sequence[_Folder], keys: Sequence[str]) -> list[str]:
    """Return in what the protocol wants equal two arms of that name differ."""
    arms = [next((arm for arm in side.plan["arms"] if arm["name"] == name), None) for side in sides]
    if arms[0] is None or arms[1] is None:
        return []
    different = [
        f"recipe.{key}"
        for key in keys
        if value_at(arms[0], "recipe", *key.split(".")) != value_at(arms[1], "recipe", *key.split("."))
    ]
    if arms[0].get("data") != arms[1].get("data"):
        different.append("data")
    if sides[0].plan.get("protocol") != sides[1].plan.get("protocol"):
        different.append("protocol")
    return different


def _mixed(sides: Sequence[_Folder]) -> list[str]:
    """Return the host keys that change within either side: there is no one machine to compare with."""
    return [
        f"{key} (within one side)"
        for side in sides
        for key in one_host(shared_of(side.reading.timings, "host", side.reading.shared).values())[1]
    ]


def read_pytest_benchmark(base: Path, candidate: Path) -> dict[str, Any]:
    """Return the samples of two files that `pytest --benchmark-json` wrote, matched by full name.

    Beside each benchmark's own times, a list of numbers in `extra_info` whose name ends in `_seconds` or `_bytes`
    is a measurement of its own.

    Raises:
        GateError, NothingMeasured: As `read_stored`.
    """
    files = [_read_json(path) for path in (base, candidate)]
    values = [_benchmarks(file, path) for file, path in zip(files, (base, candidate), strict=True)]
    names = sorted({*values[0], *values[1]})
    return {
        "schema": SCHEMA,
        "source": "pytest-benchmark",
        "advisory": True,
        "base": _file_head(files[0], base),
        "candidate": _file_head(files[1], candidate),
        "notes": [],
        "measurements": [
            _measurement(
                name,
                "memory" if name.endswith("_bytes") else "time",
                "bytes" if name.endswith("_bytes") else "s",
                [side.get(name, []) for side in values],
            )
            for name in names
        ],
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        # Not orjson: the file may hold NaN, which is to be named as such.
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GateError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise GateError(f"{path}: no JSON ({error}); expected what --benchmark-json wrote") from error
    if not isinstance(value, dict) or not isinstance(value.get("benchmarks"), list):
        raise GateError(f"{path}: no list `benchmarks`; expected what --benchmark-json wrote")
    return value


def _benchmarks(file: Json, path: Path) -> dict[str, list[Any]]:
    """Return the samples of every benchmark by its name; of one that failed or kept none, a single absence."""
    found: dict[str, list[Any]] = {}

    def add(name: str, data: Any) -> None:
        if name in found:
            raise GateError(f"{path}: measured under one name twice: {plain(name)}")
        found[name] = data if isinstance(data, list) and data else [None]

    for benchmark in file["benchmarks"]:
        name = value_at(benchmark, "fullname") or value_at(benchmark, "name")
        if not isinstance(name, str):
            raise GateError(f"{path}: a benchmark without a name; expected what --benchmark-json wrote")
        add(name, value_at(benchmark, "stats", "data"))
        extra = value_at(benchmark, "extra_info")
        for key, value in extra.items() if isinstance(extra, dict) else ():
            if isinstance(value, list) and key.endswith(("_seconds", "_bytes")):
                add(f"{name}/{key}", value)
    if not found:
        raise NothingMeasured(f"{path}: nothing measured here; its list of benchmarks is empty")
    return found


def _file_head(file: Json, path: Path) -> dict[str, Any]:
    machine = file.get("machine_info")
    commit = value_at(file.get("commit_info"), "id")
    return {"label": str(path), "commit": commit, "host": _machine(machine) if machine else None}


def _machine(machine: Any) -> dict[str, Any]:
    """Return pytest-benchmark's machine in the form of a host fingerprint."""
    return {
        "accuracy": {
            "system": value_at(machine, "system"),
            "machine": value_at(machine, "machine"),
            "python": value_at(machine, "python_version"),
            "cpu": value_at(machine, "cpu", "brand_raw"),
        },
        "speed": {"cores": value_at(machine, "cpu", "count")},
        "shown": {},
    }

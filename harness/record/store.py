"""The results folder of one suite. Records are the truth: written once, never changed, never deleted.

    plans/<hash>.json   plans/latest      trials/<trial>/<attempt>.json
    shared/<hash>.json                    timings/<plan>/<round>-<arm>.json
    weights/<trial>.safetensors           of trials that others need; made again where it is gone

Where `harness merge` finds the place of a record taken by another one, the content hash makes a name of its own:
`<attempt>.<content hash>.json`, and timings alike.
What is damaged stays where it is, counts in the report and is not used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from harness.errors import StoreError
from harness.record import files, index, lock
from harness.record.ahead import USUAL, claimed_hash, read_ahead
from harness.record.compact import compact, without_collecting
from harness.record.record import FINAL, canonical, ended_order, open_sealed
from harness.registry.digests import digest_json

Json = dict[str, Any]

_SHARED_READ = ("recipe", "components", "manifest", "host", "code", "session", "pipeline")
"""Refs that are the same for many records; `initial_parameters` is read on demand with `Store.shared`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a folder holds of one plan.

    Attributes:
        records: Every intact attempt of the plan's trials, in the order of the plan, then by attempt.
        timings: The plan's intact timings, by round, then by arm.
        shared: By hash, what the records refer to.
        set_aside: One `{"path", "reason"}` for each file that is damaged, edited or a duplicate.
        others: What the folders of trials that hold more, or something else, than `0.json` hold, as `<trial>/<name>`.
    """

    records: list[Json]
    timings: list[Json]
    shared: dict[str, Any] = field(default_factory=dict)
    set_aside: list[dict[str, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def good(self) -> dict[str, Json]:
        """Return, by trial id, the record that counts: its first attempt that ended for good."""
        chosen: dict[str, Json] = {}
        for record in self.records:
            if record["status"] in FINAL:
                chosen.setdefault(record["trial"], record)
        return chosen


class Store:
    """One suite's folder: `results/<suite>`. Nothing is made before something is written."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._shared: set[str] = set()

    @contextmanager
    def lock(self, command: str = "harness", needed_bytes: int = 0) -> Iterator[None]:
        """Hold the folder for one run, having seen that it can be written.

        Args:
            command: What a second run is told of this one.
            needed_bytes: What the run is about to write, roughly.

        Raises:
            StoreError: Where another run holds it (naming it), or it cannot take what will be written.
        """
        files.make_folder(self.root)
        with lock.hold(self.root / ".lock", command):
            files.check_room(self.root, needed_bytes)
            yield

    def trial_folder(self, trial: str) -> Path:
        """Return a trial's own folder: attempts, checkpoint, logs."""
        return self.root / "trials" / trial

    def weights_path(self, trial: str) -> Path:
        """Return where the weights of a trial stand that others need."""
        return self.root / "weights" / f"{trial}.safetensors"

    def write_plan(self, plan: Mapping[str, Any], *, is_latest: bool = True) -> Path:
        """Write a plan under its hash and make it the latest one; an equal one is left alone.

        Args:
            plan: The plan.
            is_latest: Whether it is what the folder is for. A search's plan is not: it becomes the latest one only
                where there is none.
        """
        path = self.root / "plans" / f"{plan['hash']}.json"
        files.make_folder(path.parent)
        files.write_over(path, orjson.dumps(plan, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n")
        latest = path.parent / "latest"
        if is_latest or not latest.exists():
            files.write_over(latest, f"{plan['hash']}\n".encode())
        return path

    def latest(self) -> str:
        """Return the hash of the plan that was run last.

        Raises:
            StoreError: Where the folder holds none.
        """
        plans = self.root / "plans"
        try:
            return (plans / "latest").read_text().strip()
        except OSError:
            names = sorted(path.stem for path in plans.glob("*.json"))
        if len(names) == 1:
            return names[0]
        raise StoreError(
            f"{self.root} holds no plan: it is not the folder of a suite that was run (results/SUITE)"
        )

    def read_plan(self, plan: str | None = None) -> Json:
        """Return a plan as JSON, the latest one where no hash is given.

        Raises:
            StoreError: Where it is absent or damaged.
        """
        path = self.root / "plans" / f"{plan or self.latest()}.json"
        try:
            value = orjson.loads(path.read_bytes())
        except OSError as error:
            raise StoreError(f"{path}: the plan cannot be read: {error.strerror}") from error
        except orjson.JSONDecodeError as error:
            raise StoreError(
                f"{path}: the plan is damaged ({error}); run the suite again to write it anew"
            ) from error
        if not isinstance(value, dict) or value.get("hash") != path.stem:
            raise StoreError(f"{path}: the plan is damaged: its hash is not its name; run the suite again")
        return value

    def share(self, value: object) -> str:
        """Write what many records have in common, once, and return its hash."""
        name = digest_json(value)
        if name not in self._shared:
            path = self.root / "shared" / f"{name}.json"
            files.make_folder(path.parent)
            files.write_over(path, canonical(value))
            self._shared.add(name)
        return name

    def shared(self, name: str) -> Any:
        """Return what was shared under a hash.

        Raises:
            StoreError: Where it is absent or no longer what was written.
        """
        path = self.root / "shared" / f"{name}.json"
        try:
            value = orjson.loads(path.read_bytes())
        except (OSError, ValueError) as error:  # no JSON, or a name that no file can have
            raise StoreError(f"{path}: cannot be read: {error}") from error
        if digest_json(value) != name:
            raise StoreError(f"{path}: changed since it was written: its hash is not its name")
        return value

    def next_attempt(self, trial: str) -> int:
        """Return the number of a trial's next attempt: one after the last that left any file."""
        numbers = [name.partition(".")[0] for name in _names(f"{self.trial_folder(trial)}")]
        return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)

    def write_trial(self, record: Mapping[str, Any]) -> Path:
        """Write an attempt's record, sealed by `trial_record`.

        Raises:
            StoreError: Where that attempt has a record already, or the disk refuses.
        """
        path = self.trial_folder(record["trial"]) / f"{record['attempt']}.json"
        files.make_folder(path.parent)
        index.forget(self.root)
        _once(path, record)
        return path

    def timing_path(self, plan: str, number: int, arm: str) -> Path:
        """Return where the timing of an arm in a round stands."""
        return self.root / "timings" / plan / f"{number}-{arm}.json"

    def write_timing(self, record: Mapping[str, Any]) -> Path:
        """Write a timing's record, sealed by `timing_record`; a damaged one in its place is set aside.

        Raises:
            StoreError: Where an intact one is there already, or the disk refuses.
        """
        path = self.timing_path(record["plan"], record["round"], record["arm"])
        files.make_folder(path.parent)
        if path.exists() and isinstance(_read(path.as_posix()), str):
            path.rename(
                path.with_name(f"{path.name}.damaged-{len(list(path.parent.glob(path.name + '.*')))}")
            )
        _once(path, record)
        return path

    def attempts(self, trial: str) -> list[Json]:
        """Return a trial's intact attempts in the order in which they ended."""
        records: list[Json] = []
        self._read_trial(trial, records, [])
        return records

    def good(self, trial: str) -> Json | None:
        """Return the record that counts for a trial: its first attempt that ended for good."""
        return Reading(self.attempts(trial), []).good().get(trial)

    def read(self, plan: Mapping[str, Any], *, is_compact: bool = False) -> Reading:
        """Return all that the folder holds of a plan. Writes nothing: a read-only folder serves.

        Args:
            plan: The plan as JSON.
            is_compact: Whether the records are for a board alone: they then take less memory (`compact`).
        """
        reading = Reading([], [])
        known: dict[Any, Any] = {}
        with without_collecting():
            # Two arms with equal recipes share their trials.
            trials = list(dict.fromkeys(trial["id"] for trial in plan["trials"]))
            for trial, data in read_ahead(f"{self.root}/trials", trials):
                start = len(reading.records)
                record = None if data is None else _first_attempt(trial, data)
                if record is None:
                    self._read_trial(trial, reading.records, reading.set_aside, reading.others)
                else:
                    reading.records.append(record)
                if is_compact:
                    for record in reading.records[start:]:
                        compact(record, known)
        self._read_timings(plan["hash"], reading)
        # Compact records share their references.
        refs = {id(record["refs"]): record["refs"] for record in (*reading.records, *reading.timings)}
        for one in refs.values():
            for key in _SHARED_READ:
                self._read_shared(one.get(key), reading)
        reading.set_aside.sort(key=lambda item: item["path"])
        return reading

    def _read_trial(
        self,
        trial: str,
        records: list[Json],
        set_aside: list[dict[str, str]],
        others: list[str] | None = None,
    ) -> None:
        folder = f"{self.root}/trials/{trial}"
        names = [name for name in _names(folder) if name.endswith(".json")]
        if others is not None and names != ["0.json"]:
            others += [f"{trial}/{name}" for name in sorted(names)]
        found: list[Json] = []
        for name in names:
            record = _read(f"{folder}/{name}")
            if isinstance(record, dict) and (
                record.get("trial") != trial or name not in names_of(record, record.get("attempt"))
            ):
                record = f"a duplicate: it says that it is attempt {record.get('attempt')} of {record.get('trial')}"
            if isinstance(record, dict):
                found.append(record)
            else:
                set_aside.append({"path": _readable(f"trials/{trial}/{name}"), "reason": record})
        records.extend(sorted(found, key=ended_order))

    def _read_timings(self, plan: str, reading: Reading) -> None:
        folder = f"{self.root}/timings/{plan}"
        for name in sorted(_names(folder)):
            if name.startswith(".") or ".json" not in name:
                continue
            record = _read(f"{folder}/{name}")
            slot = f"{record.get('round')}-{record.get('arm')}" if isinstance(record, dict) else ""
            if isinstance(record, dict) and (
                record.get("round") is None or name not in names_of(record, slot)
            ):
                record = f"a duplicate: it says that it is round {record.get('round')} of {record.get('arm')}"
            if isinstance(record, dict):
                reading.timings.append(record)
            else:
                reading.set_aside.append({"path": _readable(f"timings/{plan}/{name}"), "reason": record})
        reading.timings.sort(key=lambda record: (record["round"], record["arm"]))

    def _read_shared(self, name: str | None, reading: Reading) -> None:
        if name is None or name in reading.shared:
            return
        try:
            reading.shared[name] = self.shared(name)
        except StoreError as error:
            reading.shared[name] = None
            reading.set_aside.append({"path": f"shared/{name}.json", "reason": str(error)})


def _readable(path: str) -> str:
    """Return a path as text that JSON can hold: bytes of a name that are not UTF-8 show as `\\xff`."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def names_of(record: Mapping[str, Any], slot: object) -> tuple[str, str]:
    """Return the names under which a record may stand in its folder.

    Args:
        record: The record.
        slot: Its attempt, or `<round>-<arm>` of a timing. Where `harness merge` finds that taken by another record,
            the content hash makes a name of its own.
    """
    return f"{slot}.json", f"{slot}.{record.get('content_hash')}.json"


def _once(path: Path, record: Mapping[str, Any]) -> None:
    try:
        files.write_once(path, canonical(record))
    except FileExistsError as error:
        raise StoreError(f"{path}: exists already; a record is never overwritten") from error


def _first_attempt(trial: str, data: bytes) -> Json | None:
    """Return the record in bytes that `read_ahead` found, or None where something else is to be said of them."""
    try:
        record = open_sealed(data, claimed_hash(data))
    except ValueError:
        return None
    is_its_own = record.get("trial") == trial and USUAL in names_of(record, record.get("attempt"))
    return record if is_its_own else None


def _read(path: str) -> Json | str:
    """Return the record in a file, or what is wrong with it."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much as reading the file
            return open_sealed(file.read())
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _names(folder: str) -> list[str]:
    """Return the names in a folder, none where there is no such folder."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - ten thousand folders are read for one board
    except (FileNotFoundError, NotADirectoryError):
        return []

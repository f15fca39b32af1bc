"""What a results folder holds of a plan, read and checked; nothing is written here.

What is damaged, edited, a duplicate, or contradicts the place where it stands stays there, is told with its reason and
is not used.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from harness.errors import StoreError
from harness.record.misplaced import why_misplaced
from harness.record.place import STRANGER, Places
from harness.record.plans import trial_ids
from harness.record.record import FINAL, ended_order, names_of, open_sealed
from harness.registry.digests import digest_json

Json = dict[str, Any]
T = TypeVar("T")

_TRIALS = "trials"
USUAL = "0.json"
"""What nearly every trial's folder holds, and nothing else: the record of its first attempt."""
_SHARED_READ = ("recipe", "components", "manifest", "host", "code", "session", "pipeline")
"""Refs that are the same for many records; `initial_parameters` is read on demand with `Store.shared`."""
_USUAL_BYTES = 1 << 14
"""More than a record has, mostly."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """All that a folder holds of one plan.

    Attributes:
        records: Every intact attempt of the plan's trials: arm by arm, in the plan's order, then as they ended.
        timings: The plan's intact timings, by round, then by arm.
        shared: By hash, what the records refer to.
        set_aside: One `{"path", "reason"}` for each file that is missing, damaged, edited, a duplicate or out of place,
            for each folder that cannot be read, and for each trial's folder that belongs to no plan.
        others: What the folders of trials that hold more, or something else, than `0.json` hold, as `<trial>/<name>`.
    """

    records: list[T]
    timings: list[Json] = field(default_factory=list)
    shared: dict[str, Any] = field(default_factory=dict)
    set_aside: list[dict[str, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def good(self: Reading[Json]) -> dict[str, Json]:
        """Return, by trial id, the record that counts: its first attempt that ended for good."""
        chosen: dict[str, Json] = {}
        for record in self.records:
            if record["status"] in FINAL:
                chosen.setdefault(record["trial"], record)
        return chosen


@contextmanager
def without_collecting() -> Iterator[None]:
    """Pause the collector of cyclic garbage: records are trees, and looking through a million of them takes minutes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read(root: Path, plan: Mapping[str, Any]) -> Reading[Json]:
    """Return all that the folder `root` holds of a plan."""
    found: Reading[Json] = Reading([])
    places = Places(plan)
    with without_collecting():
        for trial in places.trials:
            add(found, read_trial(f"{root}/trials", trial, places))
    finish(root, places, found, [record["refs"] for record in found.records], strangers_in(root, places))
    return found


def add(found: Reading[T], more: Reading[T]) -> None:
    """Put what was read after what was read before."""
    found.records.extend(more.records)
    found.set_aside.extend(more.set_aside)
    found.others.extend(more.others)


def read_trial(folder: str, trial: str, places: Places | None = None) -> Reading[Json]:
    """Return a trial's intact attempts in the order in which they ended, and what else stands with them.

    Args:
        folder: Where the trials' folders stand.
        trial: Its id.
        places: What the plan says of it; without it an attempt has to be intact only.
    """
    own = f"{folder}/{trial}"
    listed, reason = names_or_reason(own)
    names = [name for name in listed if name.endswith(".json")]
    found: Reading[Json] = Reading([])
    if reason:
        found.set_aside.append(_aside(f"trials/{trial}", reason))
    if names != [USUAL]:
        found.others.extend(f"{trial}/{name}" for name in sorted(names))
    for name in names:
        record = read_record(f"{own}/{name}")
        if isinstance(record, dict) and (
            record.get("trial") != trial or name not in names_of(record, record.get("attempt"))
        ):
            record = why_misplaced(Path(folder).parent, record)
        if isinstance(record, dict) and places is not None:
            record = places.misfit(record) or record
        if isinstance(record, dict):
            found.records.append(record)
        else:
            found.set_aside.append(_aside(f"trials/{trial}/{name}", record))
    if len(found.records) > 1:
        found.records.sort(key=ended_order)
    return found


def finish(
    root: Path,
    places: Places,
    found: Reading[Any],
    refs: Sequence[Mapping[str, Any]],
    strangers: Sequence[Json],
) -> None:
    """Read the timings, and what records and timings refer to; set aside what `strangers_in` told."""
    _read_timings(root, places, found)
    names = {
        one.get(key) for one in (*refs, *(timing["refs"] for timing in found.timings)) for key in _SHARED_READ
    }
    for name in sorted(names - {None}):
        found.shared[name], reason = _shared(root, name)
        if reason:
            found.set_aside.append(_aside(f"shared/{name}.json", reason))
    for one in strangers:
        if one["path"] == _TRIALS:  # the same of each trial in it would be told ten thousand times
            found.set_aside[:] = [other for other in found.set_aside if not _is_within(other, one)]
        found.set_aside.append(dict(one))
    found.set_aside.sort(key=lambda item: item["path"])


def strangers_in(root: Path, places: Places) -> list[dict[str, str]]:
    """Return, as `set_aside` has them, the folders of trials that neither the plan nor another one of this folder has.

    Where the folder of all trials cannot be listed, that is what is returned.
    """
    names, reason = names_or_reason(f"{root}/{_TRIALS}")
    if reason:
        return [_aside(_TRIALS, reason)]
    unknown = {name for name in names if name not in places.trials}
    if unknown:  # mostly those of an earlier plan
        unknown -= trial_ids(root / "plans")
    return [
        _aside(f"{_TRIALS}/{name}", STRANGER)
        for name in unknown
        if not name.startswith(".") and os.path.isdir(f"{root}/{_TRIALS}/{name}")  # noqa: PTH112
    ]


def _is_within(one: Mapping[str, str], folder: Mapping[str, str]) -> bool:
    return one["path"].startswith(f"{folder['path']}/") and one["reason"] == folder["reason"]


def _read_timings(root: Path, places: Places, found: Reading[Any]) -> None:
    folder = f"{root}/timings/{places.plan}"
    names, unread = names_or_reason(folder)
    if unread:
        found.set_aside.append(_aside(f"timings/{places.plan}", unread))
    for name in sorted(names):
        if name.startswith(".") or ".json" not in name:
            continue
        record = read_record(f"{folder}/{name}")
        slot = f"{record.get('round')}-{record.get('arm')}" if isinstance(record, dict) else ""
        if isinstance(record, dict) and (record.get("round") is None or name not in names_of(record, slot)):
            record = why_misplaced(root, record)
        if isinstance(record, dict):
            record = places.misfit_of_timing(record) or record
        if isinstance(record, dict):
            found.timings.append(record)
        else:
            found.set_aside.append(_aside(f"timings/{places.plan}/{name}", record))
    found.timings.sort(key=lambda record: (record["round"], record["arm"]))


def read_shared(root: Path, name: str) -> Any:
    """Return what was shared under a hash.

    Raises:
        StoreError: Where it is absent or no longer what was written.
    """
    value, reason = _shared(root, name)
    if reason:
        raise StoreError(f"{root}/shared/{name}.json: {reason}")
    return value


def _shared(root: Path, name: str) -> tuple[Any, str]:
    """Return what was shared under a hash, and an empty text; or None, and why it cannot be used."""
    try:
        value = orjson.loads((root / "shared" / f"{name}.json").read_bytes())
    except FileNotFoundError:
        return None, "missing: what records refer to was deleted or not copied with them"
    except OSError as error:
        return None, why_unread(error)
    except ValueError as error:  # no JSON, or a name that no file can have
        return None, f"cannot be read: {error}"
    if digest_json(value) != name:
        return None, "changed since it was written: its hash is not its name"
    return value, ""


def _aside(path: str, reason: str) -> dict[str, str]:
    return {"path": _readable(path), "reason": reason}


def _readable(path: str) -> str:
    """Return a path as text that JSON can hold: bytes of a name that are not UTF-8 show as `\\xff`."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def read_record(path: str) -> Json | str:
    """Return the record in a file, or what is wrong with it."""
    try:
        return open_sealed(bytes_of(path))
    except ValueError as error:
        return str(error)
    except OSError as error:
        return why_unread(error)


def why_unread(error: OSError) -> str:
    """Return why a file or folder is set aside that the system does not let us read."""
    return f"cannot be read: {error.strerror}"


def bytes_of(path: str) -> bytes:
    """Return what a file holds: with half the calls of `open`, which ask for its size and what it is."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(file, _USUAL_BYTES)
        while len(data) >= _USUAL_BYTES and (more := os.read(file, 1 << 20)):
            data += more
        return data
    finally:
        os.close(file)


def names_in(folder: str) -> list[str]:
    """Return the names in a folder, none where there is no such folder or it cannot be read."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - ten thousand folders are read for one board
    except OSError:
        return []


def names_or_reason(folder: str) -> tuple[list[str], str]:
    """Return the names in a folder, none where there is no such folder; and why it cannot be read, mostly nothing."""
    try:
        return os.listdir(folder), ""  # noqa: PTH208 - ten thousand folders are read for one board
    except (FileNotFoundError, NotADirectoryError):
        return [], ""
    except OSError as error:
        return [], why_unread(error)

"""One folder's records copied into another: each as it is, after what it refers to, none over another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.record import files
from harness.record.misplaced import why_misplaced
from harness.record.place import STRANGER, Places
from harness.record.reading import names_or_reason, why_unread
from harness.record.record import FINAL, canonical, names_of, open_sealed
from harness.record.store import Store
from harness.registry.digests import digest_file, digest_json

Json = dict[str, Any]


@dataclass(slots=True)
class Merged:
    """What became of one folder.

    Attributes:
        folder: The folder.
        plan: The hash of its latest plan.
        copied: How many records and timings were written, by "trials" and "timings".
        present: How many were there already, alike.
        beside: How many of `copied` stand beside another record of the same attempt or round.
        shared: Values that records refer to, written.
        weights: Weights files written.
        others: Trials with records, of arms or replicates that are not in the plan, left where they are.
        other_timings: Timings of other plans, left too: a ratio is one of arms that were timed in one pass.
        damaged: `{path, reason}` of what was left because it is not what was written, or cannot be read.
        misfits: `{path, reason}` of what was left because it contradicts the plan, as a board would set it aside.
    """

    folder: Path
    plan: str
    copied: dict[str, int] = field(default_factory=lambda: {"trials": 0, "timings": 0})
    present: dict[str, int] = field(default_factory=lambda: {"trials": 0, "timings": 0})
    beside: dict[str, int] = field(default_factory=lambda: {"trials": 0, "timings": 0})
    shared: int = 0
    weights: int = 0
    others: int = 0
    other_timings: int = 0
    damaged: list[dict[str, str]] = field(default_factory=list)
    misfits: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> Json:
        """Return it as JSON."""
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(slots=True)
class _Place:
    """A folder of records in the target: the names that are taken, and by content hash what is there intact.

    Where it cannot be read, `reason` says why: nothing is written into it.
    """

    path: Path
    names: set[str]
    hashes: dict[str, Json]
    reason: str


class Joining:
    """One merge: the target, and what stands in it by now, written or, in a dry run, not."""

    def __init__(self, target: Store, plans: Mapping[str, Json], *, weights: bool, dry_run: bool) -> None:
        self.plans = plans
        self._target = target
        self._plans_places = {name: Places(plan) for name, plan in plans.items()}
        self._trials: dict[str, list[Places]] = {}
        for places in self._plans_places.values():
            for trial in places.trials:
                self._trials.setdefault(trial, []).append(places)
        self._weights = weights
        self._dry_run = dry_run
        self._places: dict[Path, _Place] = {}
        self._shared: set[str] = set()
        self._written_weights: set[str] = set()

    def join(self, source: Store, plan: str) -> Merged:
        """Copy what a folder has of this study."""
        told = Merged(source.root, plan)
        there = _listing(source.root / "trials", source.root, told)
        told.others = len(there - self._trials.keys())
        timings = source.root / "timings"
        timed = _listing(timings, source.root, told)
        told.other_timings = sum(
            len(_listing(timings / name, source.root, told)) for name in sorted(timed - self.plans.keys())
        )
        for trial in self._trials:
            if trial in there:
                folder = source.root / "trials" / trial
                for record in _records(folder, source.root, told, self._misfit, trial=trial):
                    self._enter(source, folder, record, str(record.get("attempt")), "trials", told)
        for name in (one for one in self.plans if one in timed):
            folder = timings / name
            misfit = self._plans_places[name].misfit_of_timing
            for record in _records(folder, source.root, told, misfit):
                self._enter(
                    source, folder, record, f"{record.get('round')}-{record.get('arm')}", "timings", told
                )
        return told

    def ended_twice(self) -> int:
        """Return of how many trials several attempts ended for good."""
        return sum(
            sum(record["status"] in FINAL and not self._misfit(record) for record in place.hashes.values())
            > 1
            for place in self._places.values()
            if place.path.parent.name == "trials"
        )

    def _misfit(self, record: Mapping[str, Any]) -> str | None:
        """Return in what a trial's record contradicts all plans that have its trial, or None."""
        reasons = [places.misfit(record) for places in self._trials.get(str(record.get("trial")), ())]
        return None if None in reasons else reasons[-1] if reasons else STRANGER

    def _enter(self, source: Store, folder: Path, record: Json, slot: str, kind: str, told: Merged) -> None:
        """Copy a record, after all that it refers to."""
        place = self._place(self._target.root / folder.relative_to(source.root))
        digest = record["content_hash"]
        if place.reason:
            in_the_way = {"path": f"{place.path}", "reason": f"in the way, and {place.reason}"}
            if in_the_way not in told.damaged:
                told.damaged.append(in_the_way)
            return
        if digest not in place.hashes:
            usual, own = names_of(record, slot)
            name = own if usual in place.names else usual
            if name in place.names:
                told.damaged.append({"path": f"{place.path / name}", "reason": "damaged, and in the way"})
                return
            for ref in record["refs"].values():
                self._share(source, ref, told)
            if not self._dry_run:
                files.make_folder(place.path)
                files.write_once(place.path / name, canonical(record))
            place.names.add(name)
            place.hashes[digest] = record
            told.copied[kind] += 1
            told.beside[kind] += name == own
        else:
            told.present[kind] += 1
            for ref in record["refs"].values():
                self._share(source, ref, told)
        if kind == "trials" and self._weights:
            self._copy_weights(source, record, told)

    def _place(self, path: Path) -> _Place:
        if path not in self._places:
            intact: dict[str, Json] = {}
            for file in sorted(path.glob("*.json*")):
                try:
                    record = open_sealed(file.read_bytes())
                except (ValueError, OSError):
                    continue
                intact[record["content_hash"]] = record
            names, reason = names_or_reason(f"{path}")
            self._places[path] = _Place(path, set(names), intact, reason)
        return self._places[path]

    def _share(self, source: Store, name: object, told: Merged) -> None:
        """Copy what a record refers to, where the target has it not or no longer whole."""
        if not isinstance(name, str) or name in self._shared:
            return
        self._shared.add(name)
        if _whole(self._target, name) is not None:
            return
        value = _whole(source, name)
        if value is None:
            # Another folder may have it yet.
            self._shared.discard(name)
            reason = "a record refers to it, and it is absent or damaged"
            missing = {"path": f"shared/{name}.json", "reason": reason}
            if missing not in told.damaged:
                told.damaged.append(missing)
            return
        told.shared += 1
        if not self._dry_run:
            self._target.share(value["is"])

    def _copy_weights(self, source: Store, record: Json, told: Merged) -> None:
        wanted = (record.get("weights") or {}).get("digest")
        path, target = source.weights_path(record["trial"]), self._target.weights_path(record["trial"])
        if (
            wanted is None
            or target.exists()
            or record["trial"] in self._written_weights
            or not path.is_file()
        ):
            return
        try:
            if digest_file(path) != wanted:
                return  # those of another attempt, whose record comes or is gone
        except OSError as error:
            left = path.relative_to(source.root).as_posix()
            told.damaged.append({"path": left, "reason": why_unread(error)})
            return
        self._written_weights.add(record["trial"])
        told.weights += 1
        if not self._dry_run:
            files.make_folder(target.parent)
            files.write_once(target, path.read_bytes())


def _records(
    folder: Path,
    root: Path,
    told: Merged,
    misfit: Callable[[Mapping[str, Any]], str | None],
    *,
    trial: str | None = None,
) -> Iterator[Json]:
    """Yield the intact records of a folder that fit their place, and tell of the others."""
    for name in sorted(_listing(folder, root, told)):
        if name.startswith(".") or not name.endswith(".json"):
            continue
        left = told.damaged
        try:
            record = open_sealed((folder / name).read_bytes())
            _check_place(record, name, trial, root)
        except ValueError as error:
            reason = str(error)
        except OSError as error:
            reason = why_unread(error)
        else:
            if not (unfit := misfit(record)):
                yield record
                continue
            left, reason = told.misfits, unfit
        left.append({"path": (folder / name).relative_to(root).as_posix(), "reason": reason})


def _check_place(record: Mapping[str, Any], name: str, trial: str | None, root: Path) -> None:
    slot = record.get("attempt") if trial else f"{record.get('round')}-{record.get('arm')}"
    if name not in names_of(record, slot) or (trial and record.get("trial") != trial):
        raise ValueError(why_misplaced(root, record))


def _whole(store: Store, name: str) -> Json | None:
    """Return `{"is": value}` of what was shared under a hash, or None where it is absent or damaged."""
    try:
        value = store.shared(name)
    except StoreError:
        return None
    return {"is": value} if digest_json(value) == name else None


def _listing(folder: Path, root: Path, told: Merged) -> set[str]:
    """Return the names in a folder of a source, and tell of one that cannot be read."""
    names, reason = names_or_reason(f"{folder}")
    if reason:
        told.damaged.append({"path": folder.relative_to(root).as_posix(), "reason": reason})
    return set(names)

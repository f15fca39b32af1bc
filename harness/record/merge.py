"""Records of several machines in one folder: what `harness merge` does.

Every record is copied as it is, under its own content hash; none is changed, replaced or dropped. Where the place of
a record is taken by another one, it gets a name of its own beside it (`store.names_of`). Which of several attempts at
a trial counts is not decided here and does not hang on who was merged into whom: the first that ended for good stands,
by the time at which it ended, then by content hash (`record.ended_order`). So a second machine cannot try again what
has come out badly on the first; what its clock says is taken for true, as its records are.

A folder is joined only where it holds trials of this study: those of the same plan, or of a plan in which every arm and
replicate of the same name is the same trial. What it has beyond that is left where it is and told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.record import files
from harness.record.index import forget
from harness.record.reading import names_of
from harness.record.record import FINAL, canonical, open_sealed
from harness.record.store import Store
from harness.record.unlike import unlike_plans
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
        others: Trials with records that are none of this study's, left where they are.
        other_timings: Timings of other plans, left too: a ratio is one of arms that were timed in one pass.
        damaged: `{path, reason}` of what was left because it is not what was written.
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

    def to_json(self) -> Json:
        """Return it as JSON."""
        return {**asdict(self), "folder": str(self.folder)}


def merge(
    into: Path,
    sources: Sequence[Path],
    *,
    weights: bool = False,
    dry_run: bool = False,
    command: str = "harness",
) -> Json:
    """Join the records of `sources` to those of `into`; merging again changes nothing.

    Args:
        into: The results folder of a suite, or one that is not there yet: it begins with the plan of the source that
            has the most trials.
        sources: Results folders of the same suite; nothing is written to them.
        weights: Copy the weights of trials that others need, too. Without them they are trained again where needed.
        dry_run: Write nothing, and tell what would be.
        command: What another run on `into` is told.

    Returns:
        `{into, plan, dry_run, from: [Merged as JSON], ended_twice}`, the last being the number of trials of which
        several attempts ended for good.

    Raises:
        StoreError: Where a folder holds no plan, its plan is of another study, or the disk refuses.
    """
    froms = [Store(path) for path in sources]
    for store in froms:
        if store.root.resolve() == into.resolve():
            raise StoreError(f"{into}: cannot be merged into itself; name another folder first")
    latest = {store.root: store.read_plan() for store in froms}
    target = Store(into)
    is_new = not (into / "plans").is_dir()
    home = max(froms, key=lambda store: _size(latest[store.root])) if is_new else target
    plan = latest[home.root] if is_new else target.read_plan()
    for store in froms:
        if reasons := unlike_plans(plan, latest[store.root]):
            raise StoreError(
                f"{store.root}: is of another study than {home.root}, nothing was merged:\n  "
                + "\n  ".join(reasons)
            )
    work = _Work(target, _plans(home), weights=weights, dry_run=dry_run)
    room = 0 if dry_run else sum(_bytes(store.root, work.plans) for store in froms)
    with nullcontext() if dry_run else target.lock(command, needed_bytes=room):
        if is_new and not dry_run:
            for one in [*(other for other in work.plans.values() if other["hash"] != plan["hash"]), plan]:
                target.write_plan(one)
        if not dry_run:
            forget(into)
        told = [work.join(store, latest[store.root]["hash"]) for store in froms]
    return {
        "into": str(into),
        "plan": plan["hash"],
        "dry_run": dry_run,
        "from": [one.to_json() for one in told],
        "ended_twice": work.ended_twice(),
    }


@dataclass(slots=True)
class _Place:
    """A folder of records in the target: the names that are taken, and by content hash what is there intact."""

    path: Path
    names: set[str]
    hashes: dict[str, Json]


class _Work:
    """One merge: the target, and what stands in it by now, written or, in a dry run, not."""

    def __init__(self, target: Store, plans: Mapping[str, Json], *, weights: bool, dry_run: bool) -> None:
        self.plans = plans
        self._target = target
        self._trials = dict.fromkeys(trial["id"] for plan in plans.values() for trial in plan["trials"])
        self._weights = weights
        self._dry_run = dry_run
        self._places: dict[Path, _Place] = {}
        self._shared: set[str] = set()
        self._written_weights: set[str] = set()

    def join(self, source: Store, plan: str) -> Merged:
        """Copy what a folder has of this study."""
        told = Merged(source.root, plan)
        there = _listing(source.root / "trials")
        told.others = len(there - self._trials.keys())
        timings = source.root / "timings"
        told.other_timings = sum(
            len(_listing(timings / name)) for name in _listing(timings) - self.plans.keys()
        )
        for trial in self._trials:
            if trial in there:
                folder = source.root / "trials" / trial
                for record in _records(folder, source.root, told, trial=trial):
                    self._enter(source, folder, record, str(record.get("attempt")), "trials", told)
        for name in self.plans:
            folder = source.root / "timings" / name
            for record in _records(folder, source.root, told):
                self._enter(
                    source, folder, record, f"{record.get('round')}-{record.get('arm')}", "timings", told
                )
        return told

    def ended_twice(self) -> int:
        """Return of how many trials several attempts ended for good."""
        return sum(
            sum(record["status"] in FINAL for record in place.hashes.values()) > 1
            for place in self._places.values()
            if place.path.parent.name == "trials"
        )

    def _enter(self, source: Store, folder: Path, record: Json, slot: str, kind: str, told: Merged) -> None:
        """Copy a record, after all that it refers to."""
        place = self._place(self._target.root / folder.relative_to(source.root))
        digest = record["content_hash"]
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
            self._places[path] = _Place(path, _listing(path), intact)
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
        if digest_file(path) != wanted:
            return  # those of another attempt, whose record comes or is gone
        self._written_weights.add(record["trial"])
        told.weights += 1
        if not self._dry_run:
            files.make_folder(target.parent)
            files.write_once(target, path.read_bytes())


def _records(folder: Path, root: Path, told: Merged, *, trial: str | None = None) -> Iterator[Json]:
    """Yield the intact records of a folder, and tell of the others."""
    for name in sorted(_listing(folder)):
        if name.startswith(".") or not name.endswith(".json"):
            continue
        try:
            record = open_sealed((folder / name).read_bytes())
            _check_place(record, name, trial)
        except ValueError as error:
            reason = str(error)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        else:
            yield record
            continue
        told.damaged.append({"path": (folder / name).relative_to(root).as_posix(), "reason": reason})


def _check_place(record: Mapping[str, Any], name: str, trial: str | None) -> None:
    slot = record.get("attempt") if trial else f"{record.get('round')}-{record.get('arm')}"
    if name not in names_of(record, slot) or (trial and record.get("trial") != trial):
        raise ValueError(f"a duplicate: it says that it is {slot} of {record.get('trial') or 'the timings'}")


def _whole(store: Store, name: str) -> Json | None:
    """Return `{"is": value}` of what was shared under a hash, or None where it is absent or damaged."""
    try:
        value = store.shared(name)
    except StoreError:
        return None
    return {"is": value} if digest_json(value) == name else None


def _plans(store: Store) -> dict[str, Json]:
    """Return the intact plans of a folder by their hash; a suite that is tuned has two."""
    found = {}
    for path in sorted((store.root / "plans").glob("*.json")):
        try:
            found[path.stem] = store.read_plan(path.stem)
        except StoreError:
            continue
    return found


def _size(plan: Mapping[str, Any]) -> tuple[int, str]:
    return len(plan["trials"]), str(plan["hash"])


def _bytes(root: Path, plans: Mapping[str, Any]) -> int:
    """Return what a folder's records take at the most, weights left out."""
    paths = [*root.glob("shared/*.json"), *root.glob("trials/*/*.json")]
    paths += [path for name in plans for path in root.glob(f"timings/{name}/*.json")]
    return sum(path.stat().st_size for path in paths)


def _listing(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()

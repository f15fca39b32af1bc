"""The results folder of one suite. Records are the truth: written once, never changed, never deleted.

    plans/<hash>.json   plans/latest      trials/<trial>/<attempt>.json
    plans/log.jsonl                       when each plan was stored, and what had been run by then (`history`)
    shared/<hash>.json                    timings/<plan>/<round>-<arm>.json
    weights/<trial>.safetensors           of trials that others need; made again where it is gone

Where `harness merge` finds the place of a record taken by another one, the content hash makes a name of its own:
`<attempt>.<content hash>.json`, and timings alike.
What is damaged stays where it is, counts in the report and is not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from harness.errors import StoreError
from harness.record import files, flat, history, index, lock, plans, reading
from harness.record.attempt import Attempt
from harness.record.reading import Reading
from harness.record.record import canonical
from harness.registry.digests import digest_json

Json = dict[str, Any]

_MOST_SHOWN = 40
"""Bytes that are shown of a damaged file; a hash has fewer."""


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

    def write_plan(self, plan: Mapping[str, Any], *, is_latest: bool = True, is_noted: bool = True) -> Path:
        """Write a plan under its hash and make it the latest one; an equal one is left alone.

        Args:
            plan: The plan.
            is_latest: Whether it is what the folder is for. A search's plan is not: it becomes the latest one only
                where there is none.
            is_noted: Whether the log (`history`) says what had been run by now. What comes from another folder brings
                its own lines.
        """
        path = self.root / "plans" / f"{plan['hash']}.json"
        files.make_folder(path.parent)
        if is_noted and not path.exists():
            # Before the plan: what is stored without a line would have none for ever.
            history.note_plan(self.root, plan)
        files.write_over(path, orjson.dumps(plan, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n")
        latest = path.parent / "latest"
        if is_latest or not latest.exists():
            files.write_over(latest, f"{plan['hash']}\n".encode())
        return path

    def latest(self) -> str:
        """Return the hash of the plan that was run last.

        Raises:
            StoreError: Where the folder holds none, or what names it is damaged.
        """
        folder = self.root / "plans"
        try:
            name = (folder / "latest").read_bytes().strip()
        except OSError:
            names = sorted(path.stem for path in folder.glob("*.json"))
        else:
            if not name.isalnum() or len(name) > _MOST_SHOWN:  # of bytes: letters and digits of ASCII
                told = f"expected the hash of a plan, found {name[:_MOST_SHOWN]!r}"
                raise StoreError(
                    f"{folder / 'latest'}: damaged: {told}; run the suite again to write it anew"
                )
            return name.decode()
        if len(names) == 1:
            return names[0]
        raise StoreError(
            f"{self.root} holds no plan: it is not the folder of a suite that was run (results/SUITE)"
        )

    def read_plan(self, plan: str | None = None) -> Json:
        """Return a plan as JSON, the latest one where no hash is given.

        Raises:
            StoreError: Where it is absent, damaged or edited.
        """
        return plans.read_plan(self.root / "plans" / f"{plan or self.latest()}.json")

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
        return reading.read_shared(self.root, name)

    def next_attempt(self, trial: str) -> int:
        """Return the number of a trial's next attempt: one after the last that left any file.

        Raises:
            StoreError: Where the trial's folder cannot be read.
        """
        names, reason = reading.names_or_reason(f"{self.trial_folder(trial)}")
        if reason:
            raise StoreError(f"{self.trial_folder(trial)}: {reason}")
        numbers = [name.partition(".")[0] for name in names]
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
        if path.exists() and isinstance(reading.read_record(path.as_posix()), str):
            path.rename(
                path.with_name(f"{path.name}.damaged-{len(list(path.parent.glob(path.name + '.*')))}")
            )
        _once(path, record)
        return path

    def attempts(self, trial: str) -> list[Json]:
        """Return a trial's intact attempts in the order in which they ended."""
        return reading.read_trial(f"{self.root}/trials", trial).records

    def good(self, trial: str) -> Json | None:
        """Return the record that counts for a trial: its first attempt that ended for good."""
        return Reading(self.attempts(trial)).good().get(trial)

    def read(self, plan: Mapping[str, Any]) -> Reading[Json]:
        """Return all that the folder holds of a plan. Writes nothing: a read-only folder serves."""
        return reading.read(self.root, plan)

    def read_flat(self, plan: Mapping[str, Any]) -> Reading[Attempt]:
        """Return the same for a board: in two processes, and each record flat, which takes a tenth of the memory."""
        return flat.read_flat(self.root, plan)


def _once(path: Path, record: Mapping[str, Any]) -> None:
    try:
        files.write_once(path, canonical(record))
    except FileExistsError as error:
        raise StoreError(f"{path}: exists already; a record is never overwritten") from error

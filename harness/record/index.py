"""Whether a results folder is as it was when its board was built, told without opening a single record.

`<results>/<suite>/.cache/board.json` remembers the state of the folder whose records were read, and the outputs that
came of it. The state is a digest over the names, sizes, inodes and times of change of every trial's folder and
records, of the timings, of what is shared, of the plans, of the preview and of the harness's own source: what is
added, removed, renamed, replaced or written to in place is noticed, and so are outputs that somebody touched. A change
that nobody wrote (a disk that rots) is not: delete `.cache`, and everything is read.

Over 20,000 trials the trials' own folders are left out, or looking alone would take half a second: their first records
are looked at, each of them, and what the harness itself adds beside one makes it forget the index. What another
program adds by hand beside an intact first record is then noticed when something else changes.

The index is a cache: without it, or where a folder cannot be written to, or where anything changed in the two seconds
before the reading began (a file system's clock may be that coarse), all is read. It never says what a record holds.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from harness.errors import StoreError
from harness.record import files
from harness.record.halves import beside
from harness.registry.digests import digest_bytes

Json = dict[str, Any]

SCHEMA = 1
YOUNG_SECONDS = 2.0
FOLDERS_UP_TO = 20_000
_FEWEST = 5_000
"""Trials from which looking at them in two processes pays."""
_USUAL = "0.json"
"""What nearly every trial's folder holds: the record of its first attempt. Others are listed by the index."""


def state_of(root: Path, others: Sequence[str] = ()) -> tuple[str, int] | None:
    """Return the digest of a folder's state, and the newest time of change in it (ns); None where there is no folder.

    Args:
        root: The results folder of one suite.
        others: Records with another name than `0.json`, as `<trial>/<name>`.
    """
    try:
        trials = sorted(os.listdir(root / "trials"))  # noqa: PTH208 - a hundred thousand names
    except OSError:
        return None
    folder = f"{root}/trials"
    half = len(trials) // 2
    look = partial(_look_at, folder, with_folders=len(trials) <= FOLDERS_UP_TO)
    names = digest_bytes("\n".join([*trials, *others]).encode(errors="surrogateescape"))
    with beside(lambda: iter([look(trials[half:])]), is_worth_it=len(trials) >= _FEWEST) as second:
        looked = [look(trials[:half]), *second, _look([f"{folder}/{name}" for name in others])]
    for part in ("timings", "shared", "plans", "preview"):
        looked.append(_look(_below(root / part)))
    looked.append(_look(_below(Path(__file__).parents[1])))
    newest = max(time_ns for _, time_ns in looked)
    return digest_bytes("".join([sys.version, names, *(digest for digest, _ in looked)]).encode()), newest


def unchanged(root: Path, plan: str) -> Json | None:
    """Return what `remember` was told, where the folder and its outputs are as they were then; else None.

    Args:
        root: The results folder of one suite.
        plan: Hash of the plan whose board is wanted.
    """
    try:
        index = orjson.loads(_path(root).read_bytes())
        known = index["schema"] == SCHEMA and index["plan"] == plan
        if not known or index["outputs"] != _outputs(root, index["outputs"]):
            return None
        found = state_of(root, index["others"])
        return index["told"] if found is not None and found[0] == index["state"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, of another version, or damaged: then everything is read


def remember(
    root: Path, plan: str, began_ns: int, others: Sequence[str], outputs: Iterable[Path], told: Json
) -> None:
    """Write the index, where nothing changed since the records were read, nor just before.

    Args:
        root: The results folder of one suite.
        plan: Hash of the plan whose board was built.
        began_ns: `time.time_ns()` when the reading began.
        others: As in `state_of`, those that the reading met.
        outputs: The board's files.
        told: What `unchanged` is to return.
    """
    if any(not name.isprintable() for name in others):
        return  # a file of a stranger's, with a name that JSON may not hold: the board is built anew each time
    found = state_of(root, others)
    if found is None or began_ns - found[1] < YOUNG_SECONDS * 1e9:
        return
    names = sorted(path.name for path in outputs)
    index = {"schema": SCHEMA, "plan": plan, "state": found[0], "others": list(others), "told": told}
    with suppress(StoreError, OSError):
        files.make_folder(_path(root).parent)
        # A folder that keeps itself out of version control, as those of pytest and mypy do.
        files.write_over(_path(root).parent / ".gitignore", b"*\n")
        whole = {**index, "outputs": _outputs(root, names)}
        files.write_over(_path(root), orjson.dumps(whole))


def forget(root: Path) -> None:
    """Drop the index: for whoever adds a record beside another."""
    with suppress(OSError):
        _path(root).unlink(missing_ok=True)


def _path(root: Path) -> Path:
    return root / ".cache" / "board.json"


def _outputs(root: Path, names: Iterable[str]) -> dict[str, list[int]]:
    found = {}
    for name in names:
        status = (root / name).stat()
        found[name] = [status.st_size, status.st_mtime_ns, status.st_ino]
    return found


def _below(folder: Path) -> list[str]:
    """Return a folder, all folders below it and all that they hold, sorted; leave out what is hidden or compiled."""
    paths = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith((".", "__pycache__")))
        paths += [where, *(f"{where}/{name}" for name in sorted(names) if not name.endswith(".pyc"))]
    return paths


def _look(paths: Iterable[str], within: int | None = None) -> tuple[str, int]:
    """Return a digest of what stands at `paths` (nothing is zeros), and the newest time of change.

    Of each the size, the inode and the time of change, which nothing that is written leaves as it was.

    Args:
        paths: Of files and folders.
        within: A folder that is open, which they are relative to.
    """
    numbers = array("q")
    stat, add = os.stat, numbers.extend
    for path in paths:
        try:
            one = stat(path, dir_fd=within)
        except OSError:
            add((0, 0, 0))
        else:
            add((one.st_size, one.st_ino, one.st_ctime_ns))
    return digest_bytes(numbers.tobytes()), max(numbers[2::3], default=0)


def _look_at(folder: str, trials: Sequence[str], with_folders: bool) -> tuple[str, int]:
    within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        paths = [f"{trial}/{_USUAL}" for trial in trials]
        return _look([*paths, *trials] if with_folders else paths, within)
    finally:
        os.close(within)

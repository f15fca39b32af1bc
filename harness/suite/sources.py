"""The files that data was prepared from: noted while a dataset reads them, and compared when it is wanted again.

No dataset is asked. Python tells, by its audit events, which files are opened and which folders are listed; of a
listed folder every file counts, so that one which is added is noticed, and one which a library opens by itself.
Only logs, locks and the like (`_BESIDE`) count there no more than elsewhere: where they were opened.
A file is taken to be the same while its name, size and time of change are. Whether the data changed is not
decided here: it is prepared anew, and its manifest says.

Not noticed: what another process reads, and what a library opens by itself outside a listed folder or under such a
name, unless it lies below the data root and is still open when all is read. A plugin tells of such a file:
`sys.audit("open", path, "rb", os.O_RDONLY)`.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

Marks = dict[str, str | None]
"""By name, a file's size in bytes and time of change in nanoseconds; "" for a folder, None for what is not there.
As text: a hundred thousand lists would keep the garbage collector busy."""

_EVENTS = frozenset(("open", "os.listdir", "os.scandir", "os.rename"))
_OF_THE_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/run/")
_CODE = (".py", ".pyc")
"""Source digests tell whether these changed."""
_BESIDE = (".log", ".lock", ".tmp", ".part", ".partial", ".cache", ".swp", "~")
"""How names end that programs write beside data: a run that logs there would have everything decoded anew each time."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What data was read from.

    Attributes:
        listed: By folder that was listed, the marks of all that it held, but for hidden files and what programs keep
            beside data.
        opened: By folder, the marks of files that were opened and stand in no listing.
    """

    listed: dict[str, Marks] = field(default_factory=dict)
    opened: dict[str, Marks] = field(default_factory=dict)

    def now(self) -> Sources:
        """Return the same places as they are at present."""
        opened = {
            folder: {name: _mark(f"{folder}{os.sep}{name}") for name in names}
            for folder, names in self.opened.items()
        }
        return Sources({folder: _listing(folder) or {} for folder in self.listed}, opened)

    def is_empty(self) -> bool:
        """Return whether there is nothing: no file was read, or none is left."""
        marks = [*self.listed.values(), *self.opened.values()]
        return not any(mark for names in marks for mark in names.values())

    def differences(self, other: Sources) -> list[str]:
        """Return the paths that differ, sorted: changed, added or gone."""
        found: set[str] = set()
        for mine, others in ((self.listed, other.listed), (self.opened, other.opened)):
            for folder in mine.keys() | others.keys():
                old, new = mine.get(folder, {}), others.get(folder, {})
                if old != new:
                    names = (name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
                    found.update(f"{folder}{os.sep}{name}" for name in names)
        return sorted(found)

    def write(self, file: IO[bytes]) -> None:
        """Write it as JSON: the standard library's, for names that are no Unicode text."""
        file.write(json.dumps([self.listed, self.opened], separators=(",", ":")).encode())


def read_sources(path: Path) -> Sources | None:
    """Return what was written, or None where nothing was that can be read."""
    try:
        listed, opened = json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return None
    return Sources(listed, opened) if isinstance(listed, dict) and isinstance(opened, dict) else None


@contextmanager
def watched(root: Path | None, apart: Sequence[Path]) -> Iterator[Watch]:
    """Watch what this process reads.

    Args:
        root: The data root; beyond it hidden places are left alone.
        apart: Folders that hold no sources: the harness's own cache. Installed libraries and what the system makes
            up count as little.
    """
    _hook_once()
    installed = (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    folders = [one for one in (*apart, *installed) if root is None or not root.is_relative_to(one)]
    watch = Watch(
        root="\0" if root is None else _inside(root),
        apart=tuple(_inside(one.absolute()) for one in folders),
        held=frozenset(_held()),
    )
    _watching.append(watch)
    try:
        yield watch
    finally:
        _watching.remove(watch)


@dataclass(eq=False)
class Watch:
    """What has been read so far. Marks are taken ahead of the reading: what changes after it is noticed.

    Attributes:
        root, apart: How paths begin that count more than others, or not at all.
        held: Files that were open before.
        listed, opened, written: What was told of since; of each file that was opened, its mark.
    """

    root: str
    apart: tuple[str, ...]
    held: frozenset[str]
    listed: dict[str, Marks] = field(default_factory=dict)
    opened: Marks = field(default_factory=dict)
    written: set[str] = field(default_factory=set)

    def note(self, event: str, path: Path, writes: bool) -> None:
        """Take down what an audit event tells of an absolute path."""
        name = str(path)
        folder, _, last = name.rpartition(os.sep)
        is_marked = folder in self.listed and _may_be_data(last)
        if (event == "open" and not writes and is_marked) or not self._counts(path):
            return
        if writes:
            self.written.add(name)
        elif event != "open":
            if name not in self.listed and (listing := _listing(name)) is not None:
                self.listed[name] = listing
        else:
            mark = _mark(name)
            if mark != "":
                self.opened[name] = mark

    def sources(self) -> Sources:
        """Return what was read; to be asked while what is read is still open or mapped."""
        for held in frozenset(_held()) - self.held:
            if held.startswith(self.root) and self._counts(Path(held)):
                self.opened.setdefault(held, _mark(held))
        self._take_written()
        listed = {folder: marks for folder, marks in self.listed.items() if Path(folder).is_dir()}
        opened: dict[str, Marks] = {}
        for name, mark in self.opened.items():
            path = Path(name)
            is_removed = mark is not None and not path.exists()  # the dataset's own, for a while
            if not is_removed and path.name not in listed.get(str(path.parent), {}):
                opened.setdefault(str(path.parent), {})[path.name] = mark
        return Sources(listed, opened)

    def _take_written(self) -> None:
        """Take what the dataset itself wrote (an index, a download) as it left it."""
        for name in self.written:
            path = Path(name)
            if not path.exists():
                continue
            if name in self.opened:
                self.opened[name] = _mark(name)
            marks = self.listed.get(str(path.parent))
            if marks is not None and _may_be_data(path.name):
                marks[path.name] = _mark(name)

    def _counts(self, path: Path) -> bool:
        name = str(path)
        if path.suffix in _CODE or name.startswith(self.apart):
            return False
        within = _inside(path).startswith(self.root)
        return within or not (name.startswith(_OF_THE_SYSTEM) or f"{os.sep}." in name)


def _inside(folder: Path) -> str:
    """Return what the paths of all that lies in a folder begin with."""
    return f"{str(folder).rstrip(os.sep)}{os.sep}"


def _may_be_data(name: str) -> bool:
    """Return whether a file counts for standing in a folder that is listed; another one has to be opened."""
    return not name.startswith(".") and not name.endswith(_BESIDE)


def _mark(path: str) -> str | None:
    """Return size and time of change of a file, nothing of anything else, None of what is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a hundred thousand files
    except (OSError, ValueError):
        return None
    return f"{found.st_size} {found.st_mtime_ns}" if stat.S_ISREG(found.st_mode) else ""


def _listing(folder: str) -> Marks | None:
    """Return the marks of a folder's entries, None where it cannot be listed."""
    marks: Marks = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _may_be_data(entry.name):
                    marks[entry.name] = _mark_of(entry)
    except OSError:
        return None
    return marks


def _mark_of(entry: os.DirEntry[str]) -> str | None:
    try:
        if not entry.is_file():
            return ""
        found = entry.stat()
    except OSError:
        return None
    return f"{found.st_size} {found.st_mtime_ns}"


def _held() -> Iterator[str]:
    """Yield the files that this process has open or mapped, where the system tells (Linux)."""
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines():
            _, slash, path = line.partition("/")
            if slash:
                yield f"/{path}"
    with suppress(OSError):
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                yield str(link.readlink())


_watching: list[Watch] = []
_hooked = threading.Lock()
_here = threading.local()


def _hook_once() -> None:
    """Ask for audit events, once a process: they cannot be declined again, and cost little while nobody watches."""
    if _hooked.acquire(blocking=False):
        sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or event not in _EVENTS or getattr(_here, "is_busy", False):
        return
    _here.is_busy = True  # what follows raises such events as well
    try:
        if "importlib" not in sys._getframe(1).f_globals.get("__name__", ""):
            _tell(event, arguments)
    except (OSError, ValueError, TypeError):
        pass  # an odd path; what is raised here would end what the dataset does
    finally:
        _here.is_busy = False


def _tell(event: str, arguments: tuple[Any, ...]) -> None:
    given = arguments[1] if event == "os.rename" else arguments[0]
    if isinstance(given, int):
        return  # opened before, by its name
    path = Path(os.fsdecode(os.curdir if given is None else given)).absolute()
    writes = event == "os.rename" or (event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR)))
    for watch in _watching:
        watch.note(event, path, writes)

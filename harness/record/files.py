"""Durable files: the old content or the new one is on the disk, never half of either.

A temporary file in the same folder, fsync, link or rename, fsync of the folder. Whatever the disk says
against it comes out as a `StoreError` that names the folder and the bytes.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from harness.errors import StoreError

_PREFIX = ".writing-"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def write_once(path: Path, data: bytes) -> None:
    """Write a file that may not exist yet.

    Raises:
        FileExistsError: Where it exists; it is untouched.
        StoreError: Where the disk refuses.
    """
    with _disk(path.parent, len(data)):
        temporary = _temporary(path, data)
        try:
            try:
                os.link(temporary, path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                # A file system without hard links: the caller holds the lock on this folder.
                if path.exists():
                    raise FileExistsError(path) from None
                temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


def write_over(path: Path, data: bytes) -> bool:
    """Write a file, in place of the one that is there; return whether anything had to be written.

    A file that holds `data` already is left alone, so that a rebuilt output keeps its times too.

    Raises:
        StoreError: Where the disk refuses.
    """
    with _disk(path.parent, len(data)):
        try:
            if path.read_bytes() == data:
                return False
        except FileNotFoundError:
            pass
        temporary = _temporary(path, data)
        try:
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    return True


def write_all_over(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together, each in place of the one that is there: none before all are on the disk.

    A file that holds the same already is left alone.

    Raises:
        StoreError: Where the disk refuses, or a folder stands in the way: but for a disk that fails between two
            renames, all files are as they were.
    """
    changed = {path: data for path, data in contents.items() if not holds(path, data)}
    for path in changed:
        if path.is_dir():
            raise StoreError(f"{path}: cannot be written: a folder stands where a file should be")
    written: dict[Path, Path] = {}
    try:
        for path, data in changed.items():
            with _disk(path.parent, len(data)):
                written[path] = _temporary(path, data)
        for path, temporary in written.items():
            with _disk(path.parent, 0):
                temporary.replace(path)
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)
    for folder in {path.parent for path in changed}:
        with _disk(folder, 0):
            _sync_folder(folder)


def holds(path: Path, data: bytes) -> bool:
    """Return whether a file holds just that."""
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def append_line(path: Path, data: bytes) -> None:
    """Add a line to a file, which is made where it is absent; what is torn before it keeps a line of its own.

    Raises:
        StoreError: Where the disk refuses.
    """
    make_folder(path.parent)
    with _disk(path.parent, len(data)):
        is_new = not path.exists()
        with path.open("ab+") as file:
            is_torn = file.tell() > 0 and _last_byte(file) != b"\n"
            file.write((b"\n" if is_torn else b"") + data + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(path.parent)


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        StoreError: Where the disk refuses, or a file stands where a folder should.
    """
    with _disk(path, 0):
        path.mkdir(parents=True, exist_ok=True)


def refuse_file(path: Path) -> None:
    """See that a folder is at `path`, or could be made there, without making it.

    Raises:
        StoreError: Where a file stands there, or where a folder above it should be.
    """
    standing = next((one for one in (path, *path.parents) if one.exists()), path)
    if standing.exists() and not standing.is_dir():
        raise StoreError(f"{standing}: a file stands where a folder should be")


def check_room(folder: Path, needed: int) -> None:
    """See before training whether `folder` takes a file and has `needed` bytes to spare.

    Raises:
        StoreError: Naming the folder, the bytes that are needed and those that are free.
    """
    make_folder(folder)
    with _disk(folder, needed):
        _temporary(folder / "probe", b"harness").unlink()
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"{folder}: {needed:,} bytes are needed and {free:,} are free; make room or use --results"
        )


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed writer left half done. Only for whoever holds the lock on `folder`."""
    for path in folder.glob(_PREFIX + "*"):
        path.unlink(missing_ok=True)


def _temporary(path: Path, data: bytes) -> Path:
    temporary = path.parent / f"{_PREFIX}{path.name}.{os.getpid()}"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        if not folder.is_dir():  # a link that leads nowhere is not there either
            raise StoreError(f"{folder}: a file stands where a folder should be") from error
        raise
    except NotADirectoryError as error:
        raise StoreError(f"{folder}: a file stands where a folder should be") from error
    except OSError as error:
        what = f" ({size:,} bytes to write)" if size else ""
        raise StoreError(f"{folder}: cannot be written{what}: {error.strerror or error}") from error

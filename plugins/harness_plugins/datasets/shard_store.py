"""Shards on this machine: files under the data root, or bounded copies of what an object store holds."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from harness_plugins.datasets.image_rows import find

INSTALL = "pip install harness-bench[data]"
WAIT_SECONDS = 0.1
CHUNK_BYTES = 2**20
PARTIAL = ".partial"
VERSION_KEYS = (
    "size",
    "ETag",
    "etag",
    "md5Hash",
    "mtime",
    "created",
    "LastModified",
    "last_modified",
    "updated",
)
"""What file systems of fsspec tell of a file that changes with it."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of samples.

    Attributes:
        name: Its path relative to the data root, or its URL.
        path: The file; None where it has to be copied from its URL.
        version: What changes when the file does.
        size: Its length in bytes.
    """

    name: str
    path: Path | None
    version: str
    size: int

    @property
    def key(self) -> str:
        """The name of its copy and of its index in the cache."""
        return blake2b(f"{self.path or self.name}\0{self.version}".encode(), digest_size=16).hexdigest()


def default_folder() -> Path:
    """Return the folder of copies and indexes, within `HARNESS_CACHE` or the platform's folder for caches."""
    import platformdirs

    return Path(os.environ.get("HARNESS_CACHE") or platformdirs.user_cache_dir("harness-bench")) / "shards"


def list_shards(root: Path | None, folder: str, pattern: str) -> list[Shard]:
    """Return the shards that match, in the sorted order of their names.

    Args:
        root: The data root.
        folder: A folder relative to it, or a URL that fsspec knows.
        pattern: A glob; or names with `{000..012}` in them, which stand for each of those numbers.

    Raises:
        FileNotFoundError: Where nothing matches, or no data root is set.
        ImportError: Where a URL is given, and fsspec is not installed.
        ValueError: Where a path leaves the data root, or the store cannot be reached.
    """
    patterns = expand(pattern)
    if "://" in folder:
        return [shard for each in patterns for shard in _list_remote(folder, each)]
    if root is None:
        raise FileNotFoundError("shards: no data root is set; give --data or HARNESS_DATA")
    shards = []
    for each in patterns:
        for path in find(root, folder, each):
            stat = path.stat()
            name = path.relative_to(root).as_posix()
            shards.append(Shard(name, path, f"{stat.st_size} {stat.st_mtime_ns}", stat.st_size))
    return shards


def expand(pattern: str) -> list[str]:
    """Return the names that `{000..012}` stands for, wherever it stands in a pattern."""
    head, brace, rest = pattern.partition("{")
    span, closing, tail = rest.partition("}")
    first, dots, last = span.partition("..")
    if not (brace and closing and dots and first.isdecimal() and last.isdecimal()):
        return [pattern]
    numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return [f"{head}{number}{end}" for number in numbers for end in expand(tail)]


def _list_remote(folder: str, pattern: str) -> list[Shard]:
    store, base = open_store(f"{folder.rstrip('/')}/{pattern}")
    try:
        # A name without stars is not looked for in a listing: plain web servers have none.
        is_glob = any(sign in pattern for sign in "*?[")
        found = store.glob(base, detail=True) if is_glob else {base: store.info(base)}
    except FileNotFoundError:
        found = {}
    except Exception as error:  # each store raises its own library's
        raise ValueError(f"{folder}: cannot be listed ({type(error).__name__}: {error})") from error
    if not found:
        raise FileNotFoundError(f"no file matches {folder.rstrip('/')}/{pattern}")
    return [_remote(store, path, info) for path, info in sorted(found.items())]


def _remote(store: Any, path: str, info: Mapping[str, Any]) -> Shard:
    url = str(store.unstrip_protocol(path))
    if not isinstance(info.get("size"), int):
        raise ValueError(f"{url}: its store does not say how large it is")
    version = " ".join(f"{key}={info[key]}" for key in VERSION_KEYS if info.get(key) is not None)
    return Shard(url, None, version, info["size"])


def open_store(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, made anew in a process that was forked, and the path in it.

    Raises:
        ImportError: Where fsspec, or what it needs for this kind of URL, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(f"shards: {url} is read by fsspec, which is not installed: {INSTALL}") from error
    try:
        store, path = url_to_fs(url)
    except ImportError as error:
        raise ImportError(f"shards: {url}: {error}") from error
    return store, path


@dataclass(frozen=True, slots=True)
class ShardStore:
    """Opens shards, those of an object store as copies on this machine.

    Of the copies those used last are kept, `limit_bytes` in all, by however many processes share the folder: room is
    made and taken before a byte is fetched.

    Attributes:
        folder: Where copies lie.
        limit_bytes: How much room they may take.
    """

    folder: Path
    limit_bytes: int

    @contextmanager
    def opened(self, shard: Shard) -> Iterator[int]:
        """Open a shard for `os.pread`, which moves no position that a fork could share.

        Raises:
            OSError: Where it is not there any more, or the store fails.
            ValueError: Where it is larger than all the room.
        """
        descriptor = os.open(shard.path, os.O_RDONLY) if shard.path else self._open_copy(shard)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_copy(self, shard: Shard) -> int:
        copy = self.folder / shard.key
        if shard.size > self.limit_bytes:
            raise ValueError(
                f"{shard.name}: {shard.size:,} bytes, more than cache_bytes = {self.limit_bytes:,}"
            )
        while True:
            # Another process may take it away before it is open: then it is fetched again.
            with suppress(FileNotFoundError):
                descriptor = os.open(copy, os.O_RDONLY)
                with suppress(FileNotFoundError):
                    now = time.time_ns()  # the kernel's own stamp may be 4 ms old
                    os.utime(copy, ns=(now, now))
                return descriptor
            if (fetched := self._bring(shard, copy)) is not None:
                return fetched

    def _bring(self, shard: Shard, copy: Path) -> int | None:
        """Copy a shard and return it open, whoever may take it away; None when another process had to be waited for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            partial = None if copy.exists() else self._reserve(copy, shard.size)
        if partial is None:
            if not copy.exists():
                time.sleep(WAIT_SECONDS)
            return None
        try:
            store, path = open_store(shard.name)
            with store.open(path, "rb") as source, os.fdopen(os.dup(partial), "r+b") as target:
                shutil.copyfileobj(source, target, CHUNK_BYTES)
                fetched = target.tell()
            if fetched != shard.size:
                raise OSError(f"{shard.name}: {fetched:,} bytes came, it should have {shard.size:,}")
            with self._locked():  # whoever counts what is held counts it once, under either name
                copy.with_suffix(PARTIAL).replace(copy)
            fcntl.flock(partial, fcntl.LOCK_UN)
        except BaseException:
            with self._locked():
                copy.with_suffix(PARTIAL).unlink(missing_ok=True)
            os.close(partial)
            raise
        return partial

    def _reserve(self, copy: Path, size: int) -> int | None:
        """Return a file of the copy's size, locked for this process; None where there is no room as yet."""
        held, taken = [], 0
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                stat = path.stat()
                if path.suffix == PARTIAL and not _is_in_use(path):
                    path.unlink()  # its process died
                elif path.suffix in ("", PARTIAL):
                    taken += stat.st_size
                    held += [(stat.st_mtime_ns, stat.st_size, path)] * (path.suffix == "")
        for _, freed, path in sorted(held, key=lambda each: each[0]):
            if taken + size <= self.limit_bytes:
                break
            path.unlink(missing_ok=True)
            taken -= freed
        if taken + size > self.limit_bytes:
            return None
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(copy.with_suffix(PARTIAL), flags, 0o644)
        except FileExistsError:
            return None  # another process is at it
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.truncate(descriptor, size)
        return descriptor

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.folder / "room.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _is_in_use(partial: Path) -> bool:
    descriptor = os.open(partial, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Return a stretch of an open file; less where it ends before."""
    parts: Sequence[bytes] = ()
    while size > 0:
        part = os.pread(descriptor, size, offset)
        if not part:
            break
        parts = (*parts, part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)

"""One run at a time on a folder: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from harness.errors import StoreError


@contextmanager
def hold(path: Path, command: str, *, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock file at `path` for the time of a `with`; its text says who holds it.

    Args:
        path: The lock file; it stays when the lock is given back.
        command: What the next one who asks is told.
        patience_seconds: How long to wait for another holder.

    Raises:
        StoreError: Naming the owner, where another process holds it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"{path}: cannot be locked: {error.strerror}") from error
    try:
        _acquire(descriptor, path, patience_seconds)
        os.ftruncate(descriptor, 0)
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "command": command}
        os.write(descriptor, orjson.dumps(owner))
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{path.parent} is in use by {_owner(descriptor)}; wait for it or end it"
                ) from None
            time.sleep(0.05)
        except OSError as error:
            raise StoreError(f"{path}: this file system cannot lock: {error.strerror}") from error


def _owner(descriptor: int) -> str:
    try:
        owner = orjson.loads(os.pread(descriptor, 4096, 0))
        return f"process {owner['pid']} on {owner['host']} ({owner['command']})"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "another process"

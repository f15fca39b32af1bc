"""Work done by two processes, where one would keep a reader waiting.

Opening, hashing and parsing a hundred thousand small files is work for a processor, not for the disk. The second
process is forked, so it starts at once and knows all that this one knows; what it found comes back through a pipe, for
memory that nobody has touched yet is what costs most here. Where forking is not safe (threads, no Linux), or where that
process dies, this one does all of it.
"""

from __future__ import annotations

import marshal
import os
import select
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, BinaryIO

_LENGTH_BYTES = 8
_END = b"\xff" * _LENGTH_BYTES
_PIPE_BYTES = 1 << 20
"""As much as a pipe may hold without privileges: how far the second process may be ahead."""


class Told(Iterator[Any]):
    """What a second process tells, part by part; what it did not come to is done by this one.

    Args:
        work: What it does.
        pipe: Where it tells it; None where there is no second process.
    """

    def __init__(self, work: Callable[[], Iterator[Any]], pipe: BinaryIO | None = None) -> None:
        self._work, self._pipe, self._count = work, pipe, 0
        self._rest = work() if pipe is None else None
        if pipe is not None:
            self._ready = select.poll()
            self._ready.register(pipe, select.POLLIN)

    def __next__(self) -> Any:
        """Return the next part, and wait for it where it has not come yet."""
        if self._pipe is not None and self._rest is None:
            length = self._pipe.read(_LENGTH_BYTES)
            size = int.from_bytes(length, "little")
            if length == _END:
                self._rest = iter(())
            elif len(told := self._pipe.read(size)) < size or len(length) < _LENGTH_BYTES:
                self._rest = islice(self._work(), self._count, None)
            else:
                self._count += 1
                # Written by a copy of this very process, moments ago.
                return marshal.loads(told)
        return next(self._rest or iter(()))

    def come(self) -> Iterator[Any]:
        """Yield the parts that have come, so that the second process need not wait; wait for none."""
        while self._rest is None and self._ready.poll(0):
            yield from islice(self, 1)


@contextmanager
def beside(work: Callable[[], Iterator[Any]], *, is_worth_it: bool) -> Iterator[Told]:
    """Have `work` done by a second process, while this one does what stands in the block.

    Args:
        work: Yields what `marshal` can write: numbers, text, bytes, None, and tuples, lists and tables of them. It is
            at most a megabyte ahead of what has been taken here.
        is_worth_it: Whether it is long enough to start a process for (some milliseconds).

    Yields:
        What it yields, as it comes.
    """
    if not is_worth_it or not _can_fork():
        yield Told(work)
        return
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe:
        with warnings.catch_warnings():
            # Of threads that sleep in a library (numpy's products have some); the second process starts its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            # Whatever happens, nothing of the parent's may run here: no handlers, no buffers flushed twice.
            try:
                os.close(read_end)
                _write(work(), write_end)
            finally:
                os._exit(0)
        os.close(write_end)
        try:
            yield Told(work, pipe)
        finally:
            pipe.close()  # or it may wait to be read for ever
            with suppress(ChildProcessError):
                os.waitpid(child, 0)


def _can_fork() -> bool:
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    return len(os.sched_getaffinity(0)) > 1


def _write(found: Iterator[Any], pipe: int) -> None:
    import fcntl

    with suppress(OSError):  # the user's pipes hold a lot already
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    for part in found:
        told = marshal.dumps(part)
        _write_all(pipe, len(told).to_bytes(_LENGTH_BYTES, "little"))
        _write_all(pipe, told)
    _write_all(pipe, _END)


def _write_all(pipe: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(pipe, left) :]

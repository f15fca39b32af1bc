"""Work done by two processes, where one would keep a reader waiting.

Opening, hashing and parsing a hundred thousand small files is work for a processor, not for the disk. The second
process is forked, so it starts at once and knows all that this one knows; what it found comes back through memory that
no other process can reach. Where forking is not safe (threads, no Linux), or where that process dies, this one does
all of it.
"""

from __future__ import annotations

import marshal
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")
_END = b"\xff" * 8


def in_two(
    work: Callable[[Sequence[T]], Iterator[Any]], names: Sequence[T], *, is_worth_it: bool
) -> Iterator[Any]:
    """Yield what `work` yields of the first half of `names`, then what it yields of the second.

    Args:
        work: Yields what `marshal` can write: numbers, text, bytes, None, and tuples, lists and tables of them.
        names: Of files or folders, or lists of them.
        is_worth_it: Whether they are so many that a second process pays.
    """
    if len(names) < 2 or not is_worth_it or not _can_fork():
        yield from work(names)
        return
    # A little more than half for this one: what the other finds has to be written and read.
    half = max(1, 51 * len(names) // 100)
    with beside(lambda: work(names[half:]), is_worth_it=True) as second:
        yield from work(names[:half])
        yield from second


@contextmanager
def beside(work: Callable[[], Iterator[Any]], *, is_worth_it: bool) -> Iterator[Iterator[Any]]:
    """Have `work` done by a second process, while this one does what stands in the block.

    Args:
        work: Yields what `marshal` can write.
        is_worth_it: Whether it is long enough to start a process for (some milliseconds).

    Yields:
        What it yields, as it comes.
    """
    if not is_worth_it or not _can_fork():
        yield work()
        return
    memory = os.memfd_create("harness")
    try:
        with warnings.catch_warnings():
            # Of threads that sleep in a library (numpy's products have some); the second process starts its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            # Whatever happens, nothing of the parent's may run here: no handlers, no buffers flushed twice.
            try:
                _write(work(), memory)
            finally:
                os._exit(0)
        told = _told(child, memory, work)
        try:
            yield told
        finally:
            told.close()
            with suppress(ChildProcessError):  # it has been waited for
                os.waitpid(child, 0)
    finally:
        os.close(memory)


def _told(child: int, memory: int, work: Callable[[], Iterator[Any]]) -> Generator[Any, None, None]:
    """Yield what the second process writes, as it comes; what it did not come to is done here."""
    place = count = 0
    has_ended = False
    while True:
        length = os.pread(memory, len(_END), place)
        if length == _END:
            return
        size = int.from_bytes(length, "little")
        if len(length) == len(_END) and os.fstat(memory).st_size >= place + len(_END) + size:
            # Written by a copy of this very process, moments ago.
            yield marshal.loads(os.pread(memory, size, place + len(_END)))
            place, count = place + len(_END) + size, count + 1
        elif has_ended:
            break
        else:
            time.sleep(0.001)
            # Looked for once more after its end: it may have written between the two looks.
            has_ended = os.waitpid(child, os.WNOHANG)[0] == child
    yield from islice(work(), count, None)


def _can_fork() -> bool:
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    return len(os.sched_getaffinity(0)) > 1


def _write(found: Iterator[Any], memory: int) -> None:
    for part in found:
        told = marshal.dumps(part)
        _write_all(memory, len(told).to_bytes(8, "little") + told)
    _write_all(memory, _END)


def _write_all(memory: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(memory, left) :]

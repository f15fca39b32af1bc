"""Worker processes that make host batches ahead of need, in order; and what is said when one of them ends.

Workers are forked on Linux: they are in the trial's own process group, which the launcher ends as a whole, start
in milliseconds, and share the page cache's view of a memory-mapped set. (From a process server they would belong
to the server's group, and a spawned one pays for importing torch.) What a fork could harm is kept away from them:
they touch no device, use one thread, take no part in the trial's signals, and open their own files. The threads
that a trial has by then (the launcher's watch, queue feeders, CUDA's) hold no lock that a worker wants. Elsewhere
they are spawned, for forking is not safe on macOS and unknown on Windows.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from harness.engine.loader_fetch import Failure, Fetch, Wanted
from harness.errors import HarnessError

if TYPE_CHECKING:
    from torch import Tensor

_PR_SET_PDEATHSIG = 1
_JOIN_SECONDS = 1.0


class WorkerDied(HarnessError):
    """A loader worker ended by itself or was killed."""


class Workers:
    """An iterator of host batches, uint8 (B, C, H, W), in the order of `wanted`.

    Args:
        fetch: Makes one.
        wanted: Which ones; it is drawn upon ahead of need, in this process.
        count: Worker processes; with 0 each batch is made here when it is asked for.
        pinned: Whether batches come in pinned memory, for a copy to the GPU that nobody waits for.
    """

    def __init__(self, fetch: Fetch, wanted: Iterator[Wanted], count: int, *, pinned: bool) -> None:
        self._pinned = pinned
        self._processes: list[Any] = []
        self._batches: Any = map(fetch.__getitem__, wanted)
        if count:
            self._batches = _start(fetch, wanted, count, pinned)
            self._processes = list(self._batches._workers)

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        """Return the next batch.

        Raises:
            ContractError: Where a plugin failed, naming it.
            WorkerDied: Where a worker ended, with its exit code or signal.
        """
        try:
            batch: Tensor | Failure = next(self._batches)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise WorkerDied(self._obituary()) from error
        if isinstance(batch, Failure):
            batch.throw()
        return batch if self._processes or not self._pinned else batch.pin_memory()

    def close(self) -> None:
        """End the workers."""
        if self._processes:
            self._batches._shutdown_workers()
        self._batches, self._processes = iter(()), []

    def _obituary(self) -> str:
        ends = []
        for process in self._processes:
            process.join(_JOIN_SECONDS if not process.is_alive() else 0)
            if process.exitcode:
                ends.append(f"loader worker {process.pid} {_ending(process.exitcode)}")
        return "; ".join(ends) or "a loader worker ended; its exit code is not known"


def _ending(code: int) -> str:
    if code > 0:
        return f"exited with code {code} (sys.exit or os._exit in a plugin does that)"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code == getattr(signal, "SIGBUS", None):
        name += " (shared memory is full, mostly: give /dev/shm more room, or use fewer workers)"
    return f"was killed by {name}"


def _start(fetch: Fetch, wanted: Iterator[Wanted], count: int, pinned: bool) -> Any:
    in_main = threading.current_thread() is threading.main_thread()
    loader: DataLoader[Any] = DataLoader(
        fetch,
        batch_size=None,
        sampler=_Once(wanted),
        num_workers=count,
        collate_fn=_as_it_is,
        pin_memory=pinned,
        worker_init_fn=_Settle(os.getpid() if in_main else None),
        multiprocessing_context=multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn"),
        # Without one of its own it would draw from the global generator.
        generator=torch.Generator(),
    )
    if not in_main:
        return iter(loader)
    # torch's handler raises wherever the trial stands when a worker dies, in a plugin's code as well; the queue
    # notices within seconds, and in the right place.
    previous = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    batches = iter(loader)
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, previous if previous is not None else signal.SIG_DFL)
    return batches


class _Once:
    """An order as DataLoader takes it: `wanted` itself, which has no length."""

    def __init__(self, wanted: Iterator[Wanted]) -> None:
        self._wanted = wanted

    def __iter__(self) -> Iterator[Wanted]:
        return self._wanted


def _as_it_is(batch: Any) -> Any:
    return batch


class _Settle:
    """What a worker does first: it ends when the trial does. (Of the trial's signals torch has taken leave.)"""

    def __init__(self, parent: int | None) -> None:
        self._parent = parent

    def __call__(self, worker: int) -> None:
        del worker
        # The kernel ties it to the thread that forked it: the main one, which lasts.
        if sys.platform == "linux" and self._parent is not None:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self._parent:
                os._exit(1)

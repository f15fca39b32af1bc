"""One child process seen from the launcher: its start, its messages, its log, its end."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from types import ModuleType
from typing import Any

import orjson

from harness.launch import worker
from harness.launch.task import Task
from harness.launch.verdict import oom_kills

LOG_CAP_BYTES = 1_000_000
_STACKS_WAIT_SECONDS = 2.0
_START_TRIES = 5


class Server:
    """The process server; started with the first child, not before."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._preload = list(preload)

    def start(self, task: Task) -> Child:
        """Start a child for `task`.

        Raises:
            OSError: Where no process can be had, after a few tries.
        """
        submitted = time.monotonic()
        for _ in range(_START_TRIES - 1):
            try:
                return self._try_start(task, submitted)
            except (OSError, EOFError):
                # A server that is being killed still looks alive for a moment; the next try gets a new one.
                time.sleep(0.2)
        return self._try_start(task, submitted)

    def _try_start(self, task: Task, submitted: float) -> Child:
        self._context.set_forkserver_preload(self._preload)
        with _interrupts_ignored():
            multiprocessing.forkserver.ensure_running()
        ours, theirs = self._context.Pipe(duplex=True)
        reader, writer = self._context.Pipe(duplex=False)
        message = orjson.dumps({**task.to_json(), "submitted": submitted})
        process = self._context.Process(target=worker.main, args=(message, theirs, writer), daemon=False)
        with _no_main_module():
            process.start()
        theirs.close()
        writer.close()
        return Child(task, process, ours, reader, submitted)


@dataclass(slots=True)
class Child:
    """A running child.

    Attributes:
        seen: When it last showed progress, on the monotonic clock.
        step: The last step that it told of.
        total: Steps in all, as it told.
        done: True when its record is on the disk.
        server: Process id of its process server, once it has said so.
        oom_kills_before: What the control group counted when it was started.
        error: What it said of an error of its own, or None.
        store_error: What the disk said to it, or None.
    """

    task: Task
    process: Any
    connection: Connection
    output: Connection
    started: float
    seen: float = field(default_factory=time.monotonic)
    step: int = 0
    total: int = 0
    done: bool = False
    server: int | None = None
    oom_kills_before: int = field(default_factory=oom_kills)
    error: dict[str, Any] | None = None
    store_error: str | None = None
    _logged: int = 0
    _open: bool = True
    _output_open: bool = True

    def waitables(self) -> list[Any]:
        """Return what `multiprocessing.connection.wait` can wait for."""
        return [
            self.process.sentinel,
            *([self.connection] if self._open else []),
            *([self.output] if self._output_open else []),
        ]

    def messages(self) -> Iterator[dict[str, Any]]:
        """Take in what has come, without waiting: yield its messages, and write its output to the log."""
        self._drain_output()
        while self._open:
            try:
                if not self.connection.poll():
                    return
                message = orjson.loads(self.connection.recv_bytes(1 << 20))
            except orjson.JSONDecodeError:
                continue
            except (EOFError, OSError):
                self._open = False
                return
            self.seen = time.monotonic()
            kind = message.get("kind")
            if kind == "step":
                self.step, self.total = message["step"], message["total"]
            elif kind == "hello":
                self.server = message["server"]
            elif kind == "done":
                self.done = True
            elif kind == "error":
                self.error = message
            elif kind == "store_error":
                self.store_error = message["text"]
            yield message

    def is_done(self) -> bool:
        """Return whether its record is on the disk."""
        return self.done

    def ask_to_stop(self) -> None:
        """Ask it to checkpoint and return; one that cannot hear is left to the watchdog."""
        with suppress(OSError):
            self.connection.send_bytes(b"stop")

    def dump_stacks(self) -> str:
        """Have it write the stacks of all its threads, and return them."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGUSR1)
        deadline = time.monotonic() + _STACKS_WAIT_SECONDS
        text = ""
        while time.monotonic() < deadline:
            time.sleep(0.1)
            again = self.read_stacks()
            if again and again == text:
                return text
            text = again
        return text or "no stacks: the process did not answer"

    def read_stacks(self) -> str:
        """Return what it dumped, on request or as it crashed."""
        with suppress(OSError):
            return self.task.stacks.read_text(errors="replace")[-16_000:]
        return ""

    def read_log_end(self) -> str:
        """Return the end of what it printed."""
        with suppress(OSError):
            return self.task.log.read_text(errors="replace")[-4_000:]
        return ""

    def end(self) -> None:
        """Kill it with all its group, and leave nothing open."""
        with suppress(ProcessLookupError, PermissionError):
            # A child that has not become the head of its group yet is killed alone.
            if os.getpgid(self.process.pid) == self.process.pid:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        # Those of the group that outlived their head (it crashed) are not waited for by anyone.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._drain_output()
        self.connection.close()
        self.output.close()
        with suppress(OSError):
            self.task.stacks.unlink()
        self.process.close()

    def _drain_output(self) -> None:
        while self._output_open:
            try:
                if not self.output.poll():
                    return
                data = os.read(self.output.fileno(), 1 << 16)
            except OSError:
                data = b""
            self._output_open = bool(data)
            self._log(data)

    def _log(self, data: bytes) -> None:
        room = LOG_CAP_BYTES - self._logged
        self._logged += len(data)
        if room <= 0 or not data:
            return
        kept = data[:room]
        if len(data) > room:
            kept += b"\n[the rest is left out: the log is capped]\n"
        with suppress(OSError), self.task.log.open("ab") as file:
            file.write(kept)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Start the server deaf to Ctrl-C and to a closing terminal; its children inherit it from their first moment."""
    try:
        old = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    except ValueError:
        # Not the main thread: there is no handler of ours to protect then.
        old = {}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep multiprocessing from importing the caller's main module in every child: nothing of it is needed there."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main

"""Keeps so many children running, watches over them, and says how each one ended."""

from __future__ import annotations

import multiprocessing.connection
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from harness.errors import StoreError
from harness.launch.process import Child, Server
from harness.launch.stop import Stop
from harness.launch.task import Task
from harness.launch.verdict import of_death, oom_kills
from harness.record.record import culprit

Key = TypeVar("Key")
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended.

    Attributes:
        status: "done" (its record is written), "stopped" (by us, on request), or a status for its record.
        culprit: For the record, or None.
        seconds: From submission to end.
    """

    status: str
    culprit: dict[str, Any] | None
    seconds: float


class Pool(Generic[Key]):
    """Runs a queue of tasks.

    Args:
        server: Starts the children.
        stop: Counts requests to stop.
        admits: Whether there is room for a task beside those that run; it is asked again when one has ended.
        timeout_seconds: A child that shows no progress for so long is ended; 0 waits for ever.
        patient: Whether a child that is asked to stop is given the time to checkpoint.
        heard: Called with a task and each message from its child.
        say: Called with what is to be shown when children are asked to stop.
    """

    def __init__(
        self,
        server: Server,
        stop: Stop,
        *,
        admits: Callable[[Key], bool],
        timeout_seconds: float,
        patient: bool,
        heard: Callable[[Task, Mapping[str, Any]], None],
        say: Callable[[str], None],
    ) -> None:
        self._server = server
        self._stop = stop
        self._admits = admits
        self._timeout = timeout_seconds
        self._patient = patient
        self._heard = heard
        self._say = say
        self._children: list[tuple[Key, Child]] = []
        self._asked = False
        self._trouble: str | None = None

    def run(
        self, queue: deque[Key], make: Callable[[Key], Task], ended: Callable[[Key, Task, Ending], None]
    ) -> None:
        """Run what is in the queue, to which `ended` may add, until it is empty or a stop is asked for.

        Raises:
            StoreError: Where the disk refused a record; the other children have checkpointed then.
        """
        try:
            while True:
                while queue and not self._is_stopping() and self._admits(queue[0]):
                    key = queue.popleft()
                    self._children.append((key, self._server.start(make(key))))
                if not self._children:
                    break
                self._look(ended)
        finally:
            for _, child in self._children:
                child.end()
            self._children.clear()
        if self._trouble is not None:
            raise StoreError(self._trouble)

    def _is_stopping(self) -> bool:
        return self._stop.requests > 0 or self._trouble is not None

    def _look(self, ended: Callable[[Key, Task, Ending], None]) -> None:
        waitables = [waitable for _, child in self._children for waitable in child.waitables()]
        multiprocessing.connection.wait(waitables, timeout=_LOOK_SECONDS)
        if self._is_stopping() and not self._asked:
            self._asked = True
            if self._patient and self._stop.requests == 1:
                self._say(
                    f"stopping: {len(self._children)} under way are checkpointed; asked once more, they end at once"
                )
            for _, child in self._children:
                child.ask_to_stop()
        at_once = self._stop.requests > 1 or (self._asked and not self._patient)
        for key, child in list(self._children):
            oom_before = child.oom_kills_before
            for message in child.messages():
                self._heard(child.task, message)
            found = self._how_it_ended(child, oom_before)
            if found is None and at_once:
                found = ("stopped", None)
            if found is None:
                continue
            self._children.remove((key, child))
            child.end()
            if child.store_error is not None:
                self._trouble = self._trouble or child.store_error
                found = ("stopped", None)
            ended(key, child.task, Ending(*found, time.monotonic() - child.started))

    def _how_it_ended(self, child: Child, oom_before: int) -> tuple[str, dict[str, Any] | None] | None:
        if child.is_done():
            return "done", None
        exit_code = child.process.exitcode
        if exit_code is None:
            if self._timeout and time.monotonic() - child.seen > self._timeout:
                error = f"no progress for {self._timeout:g} s"
                return "timeout", culprit(error, child.dump_stacks(), step=child.step)
            return None
        for message in child.messages():
            self._heard(child.task, message)
        if child.is_done():
            return "done", None
        if child.error is not None:
            return "crashed", culprit(child.error["error"], child.error["traceback"], step=child.step)
        return of_death(
            exit_code,
            server=child.server,
            oom=oom_kills() > oom_before,
            step=child.step,
            end_of_log=child.read_log_end(),
            stacks=child.read_stacks(),
        )

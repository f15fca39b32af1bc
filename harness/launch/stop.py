"""Ctrl-C once, twice, SIGTERM, and a terminal that closes."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Stop:
    """Counts requests to stop while it is entered: 1 asks the trials to checkpoint, 2 ends them now.

    A closed terminal is no request: the run goes on. Outside the main thread nothing is caught.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._count)
            self._old[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._old.clear()

    def _count(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requests += 1

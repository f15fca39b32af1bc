"""What a run shows of itself: rich bars on a terminal, one plain line a trial elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol, TextIO

_NOT_YET = ("lost", "preempted", "stopped")


class Progress(Protocol):
    """What the launcher tells while it runs."""

    def begin(self, what: str, count: int) -> None:
        """Start a part of the run: `count` trials or timings."""
        ...

    def message(self, label: str, message: Mapping[str, Any]) -> None:
        """Take a child's message."""
        ...

    def finished(self, label: str, status: str, seconds: float, detail: str = "") -> None:
        """One has ended."""
        ...

    def say(self, text: str) -> None:
        """Show a line."""
        ...

    def close(self) -> None:
        """Stop showing."""
        ...


def duration(seconds: float) -> str:
    """Return a duration as a person reads it: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Lines:
    """One plain line for each that ends, with the time that is left.

    A terminal that was closed takes no more lines; that ends the lines and not the run.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._began = time.monotonic()
        self._done = 0
        self._count = 0

    def begin(self, what: str, count: int) -> None:
        """Start a part of the run."""
        self._began, self._done, self._count = time.monotonic(), 0, count
        self.say(f"{what}: {count} to run")

    def message(self, label: str, message: Mapping[str, Any]) -> None:
        """Show nothing: a log has no use for steps."""

    def finished(self, label: str, status: str, seconds: float, detail: str = "") -> None:
        """Show one line with the count and the time that is left."""
        self._done += status not in _NOT_YET
        elapsed = time.monotonic() - self._began
        left = elapsed / max(self._done, 1) * max(self._count - self._done, 0)
        tail = f": {detail}" if detail else ""
        self.say(
            f"[{self._done}/{self._count}] {label} {status} in {seconds:.1f} s, {duration(left)} left{tail}"
        )

    def say(self, text: str) -> None:
        """Show a line, its control characters made visible."""
        try:
            print(printable(text), file=self._stream, flush=True)
        except (OSError, ValueError):
            # What else is said, and what the stream still holds when the interpreter ends, goes nowhere as well: it
            # would end the run with an exit code of its own.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._stream = _Nowhere()

    def close(self) -> None:
        """Nothing is left open."""


class Bars:
    """A bar for the run with its time left and rate, and one for each trial that is under way."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bars = RichProgress(
            *columns, console=Console(stderr=True), transient=True, refresh_per_second=4
        )
        self._rows: dict[str, Any] = {}
        self._all: Any = None
        self._began = time.monotonic()
        self._done = 0

    def begin(self, what: str, count: int) -> None:
        """Show the bar of a part of the run."""
        if self._all is not None:
            self._bars.remove_task(self._all)
        self._bars.start()
        self._began, self._done = time.monotonic(), 0
        self._all = self._bars.add_task(what, total=count, rate="")

    def message(self, label: str, message: Mapping[str, Any]) -> None:
        """Move the bar of one trial."""
        if label not in self._rows:
            self._rows[label] = self._bars.add_task(f"  {printable(label)}", total=None, rate="")
        row = self._rows[label]
        if message.get("kind") == "step":
            self._bars.update(row, completed=message["step"], total=message["total"])
        elif message.get("kind") == "phase":
            self._bars.update(row, rate=printable(str(message["name"])))

    def finished(self, label: str, status: str, seconds: float, detail: str = "") -> None:
        """Take its bar away; say a line where it did not go well."""
        if label in self._rows:
            self._bars.remove_task(self._rows.pop(label))
        self._done += status not in _NOT_YET
        rate = self._done / max(time.monotonic() - self._began, 1e-9) * 60
        self._bars.update(self._all, completed=self._done, rate=f"{rate:.1f}/min")
        if status != "completed":
            self.say(f"{label} {status} after {seconds:.1f} s" + (f": {detail}" if detail else ""))

    def say(self, text: str) -> None:
        """Show a line above the bars."""
        self._bars.console.print(printable(text), markup=False, highlight=False)

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()


class _Nowhere:
    """Takes what can no longer be shown."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def printable(text: str) -> str:
    """Return the text with control characters (terminal escapes in a plugin's message) made visible."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)

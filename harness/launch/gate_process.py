"""Runs `gate_driver` in fresh processes of a side, and takes their answers."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.launch.gate_build import Side

DRIVER = Path(__file__).with_name("gate_driver.py")
_LOG_BYTES = 4000

Json = dict[str, Any]
Heard = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Question:
    """What one process is asked.

    Attributes:
        side: Whose code answers.
        label: What progress calls it.
        request: As `gate_driver` reads it.
        log: The file that takes what it prints.
    """

    side: Side
    label: str
    request: Json
    log: Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        value: The answer; None where there is none.
        failure: Why not, in one text; None where there is one.
        exit_code: The exit code that the side's own error asks for; None where it was no such error.
        seconds: From start to end.
    """

    value: Json | None
    failure: str | None
    exit_code: int | None
    seconds: float


def ask(questions: Sequence[Question], *, width: int, timeout_seconds: float, heard: Heard) -> list[Answer]:
    """Ask every question in a process of its own, `width` at a time, and return the answers in their order.

    However it is left, no process of it is.

    Args:
        questions: What to ask, in the order of asking.
        width: Processes at a time; 1 for whatever is timed.
        timeout_seconds: A process that says nothing for so long is ended; 0 waits for ever.
        heard: Gets the label and each message on the way.
    """
    answers: dict[int, Answer] = {}
    waiting = deque(enumerate(questions))
    live: dict[int, _Child] = {}
    selector = selectors.DefaultSelector()
    try:
        while waiting or live:
            while waiting and len(live) < width:
                number, question = waiting.popleft()
                live[number] = _Child(question)
                selector.register(live[number].output, selectors.EVENT_READ, number)
            for key, _ in selector.select(_patience(live, timeout_seconds)):
                live[key.data].read(heard)
            for number, child in list(live.items()):
                if child.is_over(timeout_seconds):
                    selector.unregister(child.output)
                    child.end()
                    answers[number] = child.answer(timeout_seconds)
                    del live[number]
    finally:
        for child in live.values():
            child.end()
        selector.close()
    return [answers[number] for number in range(len(questions))]


def ask_in_turns(questions: Sequence[Question], *, timeout_seconds: float, heard: Heard) -> list[Answer]:
    """Ask all at a time, but let them work in turns; return the answers in their order.

    They build side by side, and then each goes on alone until it waits at its next edge (see `gate_driver`):
    first, second, second, first, and so on. A request has to ask for `turns`.
    """
    children: list[_Child] = []
    try:
        children += [_Child(question) for question in questions]
        working = list(children)
        for child in working:
            child.wait_for_edge(timeout_seconds, heard)
        while working:
            for child in working:
                if not child.is_over(timeout_seconds):
                    child.give_turn()
                    child.wait_for_edge(timeout_seconds, heard)
            working = [child for child in reversed(working) if not child.is_over(timeout_seconds)]
    finally:
        for child in children:
            child.end()
    return [child.answer(timeout_seconds) for child in children]


def _patience(live: Mapping[int, _Child], timeout_seconds: float) -> float | None:
    # Nothing wakes up in between: a core of the machine that is being measured would do it.
    if not timeout_seconds:
        return None
    oldest = min(child.heard_at for child in live.values())
    return max(0.0, oldest + timeout_seconds - time.monotonic()) + 0.01


class _Child:
    """One process, and what it has said so far."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._buffer = b""
        self._last: Json | None = None
        self._is_closed = self._waits = False
        self._began = self.heard_at = time.monotonic()
        question.log.parent.mkdir(parents=True, exist_ok=True)
        side = question.side
        with question.log.open("wb") as log:
            self._process = subprocess.Popen(
                # -P: the driver's own folder stays off the import path.
                [str(side.python), "-P", str(DRIVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=side.tree,
                env=side.environment(),
                start_new_session=True,
            )
        with suppress(BrokenPipeError):
            self._input.write(json.dumps(question.request).encode() + b"\n")
            self._input.flush()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # for the type checker: it was asked for
        return self._process.stdin

    @property
    def output(self) -> IO[bytes]:
        """Where its messages come from."""
        assert self._process.stdout is not None
        return self._process.stdout

    def read(self, heard: Heard) -> None:
        """Take what it says; called when there is something, or when it has closed its end."""
        data = os.read(self.output.fileno(), 1 << 16)
        self._is_closed = not data
        self.heard_at = time.monotonic()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            message = _parsed(line)
            if message.get("kind") in ("answer", "error"):
                self._last = message
            elif message.get("kind") == "waits":
                self._waits = True
            else:
                heard(self._question.label, message)

    def give_turn(self) -> None:
        """Let it go on from the edge at which it waits."""
        self._waits = False
        self.heard_at = time.monotonic()
        with suppress(BrokenPipeError):
            self._input.write(b"\n")
            self._input.flush()

    def wait_for_edge(self, timeout_seconds: float, heard: Heard) -> None:
        """Return when it waits for its turn, or is over."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            while not self._waits and not self._has_ended():
                # What it said while another was listened to is read before its silence is counted.
                if selector.select(_patience({0: self}, timeout_seconds)):
                    self.read(heard)
                elif self.is_over(timeout_seconds):
                    return

    def is_over(self, timeout_seconds: float) -> bool:
        """Return whether it has answered, has gone, or has been silent for too long.

        One that waits for its turn is not silent: it has nothing to say until the turn comes.
        """
        if self._has_ended():
            return True
        is_silent = bool(timeout_seconds) and time.monotonic() - self.heard_at > timeout_seconds
        return is_silent and not self._waits

    def _has_ended(self) -> bool:
        return self._last is not None or self._is_closed

    def end(self) -> None:
        """End it with its whole group, and leave nothing open."""
        if self._is_closed and self._last is None:
            # It is about to end by itself: its exit code tells more than a kill of ours.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5.0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.output.close()
        with suppress(OSError):
            self._input.close()

    def answer(self, timeout_seconds: float) -> Answer:
        """Return what it came to, once it has been ended."""
        seconds = time.monotonic() - self._began
        last = self._last
        if last is not None and last["kind"] == "answer":
            return Answer(last, None, None, seconds)
        if last is not None:
            return Answer(None, last["error"], last["exit_code"], seconds)
        if not self._is_closed:
            return Answer(None, f"no word for {timeout_seconds:g} s: ended", None, seconds)
        code = self._process.returncode
        how = f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
        end = self._question.log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
        return Answer(None, f"{how} without an answer" + (f"\n{end}" if end else ""), None, seconds)


def _parsed(line: bytes) -> Json:
    value = json.loads(line)  # not orjson: a measure that is NaN has to arrive as one
    return value if isinstance(value, dict) else {}

"""What a second process tells comes whole and in order, whatever becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.record.halves import beside

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="one process alone does it elsewhere")
PARTS = [(number, b"x" * size) for number, size in enumerate([0, 1, 5, 9_000, 70_000, 3_000_000, 0, 2])]


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let this process fork (xdist's workers have threads, a machine may have one core); return whom it forked."""
    monkeypatch.setattr("threading.active_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    found: list[int] = []
    fork = os.fork

    def noted() -> int:
        child = fork()
        if child:
            found.append(child)
        return child

    monkeypatch.setattr(os, "fork", noted)
    return found


def bytes_in(pipe: int) -> int:
    """Return how much a pipe holds that nobody has read."""
    import fcntl
    import termios

    count = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(count, sys.byteorder)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def in_the_child(at: int, does: Callable[[], object]) -> Callable[[], Iterator[Any]]:
    """Return work that does something before a part, in the second process alone."""
    here = os.getpid()

    def work() -> Iterator[Any]:
        for number, part in enumerate(PARTS):
            if number == at and os.getpid() != here:
                does()
            yield part

    return work


def test_parts_come_in_order_whether_they_are_asked_for_or_come_by_themselves() -> None:
    with beside(in_the_child(-1, list), is_worth_it=True) as told:
        assert list(told) == PARTS
        assert next(told, None) is None
    with beside(in_the_child(-1, list), is_worth_it=True) as told:
        found: list[Any] = []
        while len(found) < len(PARTS):
            found += told.come()
        assert found + list(told) == PARTS
    with beside(in_the_child(-1, list), is_worth_it=False) as told:
        assert list(told.come()) == [] and list(told) == PARTS


def test_nothing_is_waited_for_by_what_has_come(forked: list[int]) -> None:
    with beside(in_the_child(1, lambda: time.sleep(30)), is_worth_it=True) as told:
        assert next(told) == PARTS[0]
        assert list(told.come()) == []  # and not all the others, half a minute later
        os.kill(forked[0], 9)
        assert list(told) == PARTS[1:]


@pytest.mark.parametrize("at", range(len(PARTS)))
def test_what_a_process_that_dies_did_not_come_to_is_done_here(at: int) -> None:
    with beside(in_the_child(at, lambda: os._exit(1)), is_worth_it=True) as told:
        assert list(told) == PARTS


def test_a_part_that_was_half_written_is_made_again(
    forked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second process is killed in the midst of three megabytes, of which a pipe holds one at the most."""
    ends: list[int] = []
    pipe = os.pipe

    def noted() -> tuple[int, int]:
        ends[:] = pipe()
        return ends[0], ends[1]

    monkeypatch.setattr(os, "pipe", noted)
    with beside(in_the_child(-1, list), is_worth_it=True) as told:
        found = [next(told) for _ in range(5)]
        # A length is eight bytes: whatever else is in the pipe by now is of the part that nobody has asked for.
        wait_until(lambda: bytes_in(ends[0]) > 8)
        os.kill(forked[0], 9)
        assert found + list(told) == PARTS


def test_an_error_is_met_here_as_well() -> None:
    def work() -> Iterator[Any]:
        yield PARTS[0]
        raise ValueError("torn")

    with beside(work, is_worth_it=True) as told:
        assert next(told) == PARTS[0]
        with pytest.raises(ValueError, match="torn"):
            next(told)


def test_a_process_whose_reader_has_left_ends_too(forked: list[int]) -> None:
    """It would wait for room in the pipe for ever, and this one for it."""
    with pytest.raises(KeyError), beside(in_the_child(-1, list), is_worth_it=True) as told:
        next(told)
        raise KeyError
    with pytest.raises(ChildProcessError):  # it has ended, and been waited for
        os.waitpid(forked[0], os.WNOHANG)


@pytest.mark.parametrize("why", ["threads", "one core", "another system", "too little to do"])
def test_there_is_no_second_process_where_forking_is_not_safe_or_does_not_pay(
    why: str, forked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "threads":
        monkeypatch.setattr("threading.active_count", lambda: 2)
    elif why == "one core":
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    elif why == "another system":
        monkeypatch.setattr(sys, "platform", "darwin")
    with beside(in_the_child(-1, list), is_worth_it=why != "too little to do") as told:
        assert list(told) == PARTS
    assert forked == []


def test_nothing_of_this_process_runs_in_the_second() -> None:
    """No handlers at its end, no buffers written twice, none of the code that stands behind the block."""
    code = f"""
    import atexit, os, sys, threading
    sys.path[:0] = {sys.path!r}
    from harness.record.halves import beside
    threading.active_count = lambda: 1
    os.sched_getaffinity = lambda _: {{0, 1}}
    here = os.getpid()
    atexit.register(lambda: print("handled"))
    print("held back", end=" ")
    with beside(lambda: iter([os.getpid() != here]), is_worth_it=True) as told:
        print(list(told), end=" ")
    print("behind")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "held back [True] behind\nhandled\n"

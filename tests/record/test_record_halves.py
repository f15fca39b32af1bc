"""What a second process tells comes whole and in order, whatever becomes of it."""

from __future__ import annotations

import os
import sys
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


def test_a_part_that_was_half_written_is_made_again(forked: list[int]) -> None:
    """The second process is killed while it waits for room in the pipe, in the midst of three megabytes."""
    with beside(in_the_child(-1, list), is_worth_it=True) as told:
        found = [next(told) for _ in range(5)]
        time.sleep(0.2)
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

"""What a child runs: one trial or one timing, and then its record.

The child writes its record itself, durably, and only then says so. It is the head of a process group of its
own; when the launcher's pipe closes, for whatever reason, the whole group ends.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson

from harness.errors import StoreError
from harness.launch import room
from harness.record import lock
from harness.record.record import timing_record, told_parents, trial_record
from harness.record.store import Store
from harness.suite.plan import Job

_PR_SET_PDEATHSIG = 1
_LOCK_PATIENCE_SECONDS = 10.0
"""A killed launcher's child takes a moment to end; the next run's child waits for it that long."""


def main(task_bytes: bytes, connection: Connection, output: Connection) -> None:
    """Run a task, write its record, say so, and wait to be ended with the whole group.

    Args:
        task_bytes: A `process.Task`, as JSON.
        connection: To the launcher: messages out, `stop` in.
        output: Where standard output and error go; the launcher caps it.
    """
    task = orjson.loads(task_bytes)
    stop = threading.Event()
    _settle(output, Path(task["stacks"]), stop)
    threading.Thread(target=_watch, args=(connection, stop), daemon=True, name="launcher-watch").start()

    def send(message: Mapping[str, Any]) -> None:
        connection.send_bytes(orjson.dumps(message))

    send({"kind": "hello", "server": os.getppid()})
    try:
        with ExitStack() as locks:
            for member in task["members"]:
                path = Path(member["lock"])
                locks.enter_context(
                    lock.hold(path, "a trial of harness", patience_seconds=_LOCK_PATIENCE_SECONDS)
                )
            _work(task, send, stop.is_set)
    except StoreError as error:
        send({"kind": "store_error", "text": str(error)})
    except Exception as error:
        traceback.print_exc()
        send(
            {
                "kind": "error",
                "error": f"{type(error).__name__}: {error}",
                "traceback": traceback.format_exc()[-8000:],
            }
        )
        _flush()
        os._exit(1)
    _flush()
    send({"kind": "done"})
    # The launcher ends the group from outside, with this process still its head: what a plugin has leaked
    # goes too, and no number of a process that is gone can be hit.
    while True:
        time.sleep(60)


def _work(
    task: Mapping[str, Any], send: Callable[[Mapping[str, Any]], None], stop: Callable[[], bool]
) -> None:
    first_step: list[float] = []

    def report(message: Mapping[str, Any]) -> None:
        if message.get("kind") == "first_step":
            # The monotonic clock is one for all processes of a machine.
            first_step.append(time.monotonic() - task["submitted"])
        send(message)

    module, _, name = task["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    jobs = [Job.from_json(member["job"]) for member in task["members"]]
    started_at = now()

    def hand_in(number: int, outcome: Mapping[str, Any]) -> None:
        send({"kind": "room", **room.needs(outcome, jobs[number].device)})
        _write_trial(task, number, outcome, first_step[0] if first_step else None, started_at)

    report({"kind": "phase", "name": "build"})
    if task["kind"] == "timing":
        _write_timing(task, function(jobs[0], report=report), started_at)
    elif task["kind"] == "together":
        function(jobs, mode=task["mode"], report=report, stop=stop, finished=hand_in)
    else:
        hand_in(0, {**function(jobs[0], report=report, stop=stop), "mode": task["mode"]})


def _write_timing(task: Mapping[str, Any], timing: Mapping[str, Any], started_at: str) -> None:
    (member,) = task["members"]
    record = timing_record(
        timing, heading=member["heading"], refs=member["refs"], started_at=started_at, finished_at=now()
    )
    Store(Path(task["store"])).write_timing(record)


def _write_trial(
    task: Mapping[str, Any],
    number: int,
    outcome: Mapping[str, Any],
    to_first_step: float | None,
    started_at: str,
) -> None:
    store, member = Store(Path(task["store"])), task["members"][number]
    seconds = {**(outcome.get("seconds") or {}), "submission_to_first_step": to_first_step}
    refs = {**member["refs"], "initial_parameters": None, "pipeline": None}
    for key in ("initial_parameters", "pipeline"):
        if outcome.get(key) is not None:
            refs[key] = store.share(outcome[key])
    if outcome["status"] == "oom" and task["is_shared"]:
        outcome = {**outcome, **_for_want_of_room(outcome)}
    record = trial_record(
        {**outcome, "seconds": seconds, **told_parents(member["job"].get("parents") or {})},
        heading=member["heading"],
        refs=refs,
        started_at=started_at,
        finished_at=now(),
    )
    store.write_trial(record)


def _for_want_of_room(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return status and culprit of a trial that may have run out of memory by its neighbours' fault."""
    culprit = outcome["culprit"] or {}
    error = f"while it shared its device (it is run again alone): {culprit.get('error')}"
    return {"status": "lost", "culprit": {**culprit, "error": error}}


def now() -> str:
    """Return the time as records hold it: UTC, ISO 8601, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _settle(output: Connection, stacks: Path, stop: threading.Event) -> None:
    os.setsid()
    # Should a plugin hold the interpreter for good, the kernel ends this process with the process server,
    # which ends with the launcher; `_watch` cannot run then.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    for number, name in ((1, "stdout"), (2, "stderr")):
        # The server's own streams may have been closed; text goes out line by line, for a death keeps none.
        setattr(sys, name, open(number, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115
    descriptor = os.open(stacks, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    faulthandler.enable(file=descriptor, all_threads=True)
    faulthandler.register(signal.SIGUSR1, file=descriptor, all_threads=True, chain=False)


def _watch(connection: Connection, stop: threading.Event) -> None:
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            os.killpg(0, signal.SIGKILL)
            os._exit(1)
        if message == b"stop":
            stop.set()


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()

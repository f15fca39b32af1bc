"""Tells trackers what the launcher hears anyway; nothing waits for them but for a stated while at two places."""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract import TrackedTrial, Tracker, TrialTracking
from harness.launch.progress import Progress
from harness.record.fingerprint import secret_values

if TYPE_CHECKING:
    from harness.suite.load import Suite

Call = Callable[[], object]
Json = Mapping[str, Any]
ROOM = 10_000
"""Calls that may wait for a tracker; one that is further behind is left out. Progress is dropped from half of it on."""
WAIT_SECONDS = 30.0
"""How long a run waits for all of its trackers together: once before the timing pass, which has the machine to
itself, and once at its end."""
CURVES = ("train_loss", "validation_loss", "validation_top1", "learning_rate")
_MASK = "(masked)"
_USER_IN_ADDRESS = re.compile(r"://[^/@\s]+@")


def track(
    suite: Suite, folder: Path, progress: Progress, notify: Callable[..., None]
) -> tuple[Progress, Callable[..., None]]:
    """Return progress and hooks with a suite's trackers behind them; those that are given where it has none.

    Args:
        suite: The suite.
        folder: Its results; trackers keep theirs in `<folder>/tracking/<name>`.
        progress: What shows the run.
        notify: Calls the plugins' hooks.
    """
    build = suite.registry.build
    trackers = {normal["name"]: build("tracker", normal) for normal in suite.trackers}
    if not trackers:
        return progress, notify
    tracking = Tracking(trackers, folder / "tracking", progress, notify)
    return tracking, tracking.notify


class Tracking:
    """What a launcher tells, passed on to what shows it and to the trackers.

    It stands in place of the launcher's progress and of its call of hooks, so that the launcher itself knows nothing
    of trackers.

    Args:
        trackers: By name, built.
        folder: Where a tracker may keep something: `<folder>/<name>`.
        progress: What shows the run.
        notify: Calls the plugins' hooks.
        wait_seconds: See `WAIT_SECONDS`.
        room: See `ROOM`.
    """

    def __init__(
        self,
        trackers: Mapping[str, Tracker],
        folder: Path,
        progress: Progress,
        notify: Callable[..., None],
        *,
        wait_seconds: float = WAIT_SECONDS,
        room: int = ROOM,
    ) -> None:
        self._channels = [_Channel(name, one, room, progress.say) for name, one in trackers.items()]
        self._folder = folder
        self._progress = progress
        self._notify = notify
        self._wait_seconds = wait_seconds
        self._plan: Json = {}
        self._trials: dict[str, Any] = {}  # by the label that messages carry
        self._begun: set[str] = set()
        self._secrets = secret_values(os.environ)

    def notify(self, name: str, **arguments: Any) -> None:
        """Call a hook of the plugins, and tell the trackers where it concerns them."""
        self._notify(name, **arguments)
        if name == "harness_suite_started":
            self._plan = arguments["suite"]
            self._trials = {f"{trial.arm} #{trial.replicate}": trial for trial in arguments["trials"]}
        elif name == "harness_trial_finished":
            self._finished(arguments["trial"], arguments["record"])

    def begin(self, what: str, count: int) -> None:
        """Start a part of the run; before the timing pass the trackers' threads come to rest."""
        if what == "timings":
            self._settle()
        self._progress.begin(what, count)

    def message(self, label: str, message: Json) -> None:
        """Take a child's message."""
        self._progress.message(label, message)
        trial = self._trials.get(label)
        if trial is None:
            return
        self._begin(trial)
        if message.get("kind") == "step" and message.get("total"):
            step, values = message["step"], {"progress": message["step"] / message["total"]}
            for channel in self._channels:
                channel.scalars(trial.id, step, values, may_drop=True)

    def finished(self, label: str, status: str, seconds: float, detail: str = "") -> None:
        """One has ended."""
        self._progress.finished(label, status, seconds, detail)

    def say(self, text: str) -> None:
        """Show a line."""
        self._progress.say(text)

    def close(self) -> None:
        """End the trackers, within the time that they have, and stop showing."""
        for channel in self._channels:
            channel.put(channel.tracker.close)
        self._settle()
        for channel in self._channels:
            channel.stop()
        self._progress.close()

    def _begin(self, trial: Any) -> None:
        if trial.id in self._begun:
            return
        self._begun.add(trial.id)
        recipes = {arm["name"]: arm["recipe"] for arm in self._plan.get("arms", ())}
        recipe = mask(recipes.get(trial.arm, {}), self._secrets)
        for channel in self._channels:
            told = TrackedTrial(
                suite=str(self._plan.get("suite")),
                plan=str(self._plan.get("hash")),
                id=trial.id,
                arm=trial.arm,
                replicate=trial.replicate,
                folder=self._folder / channel.name,
            )
            channel.begin(told, recipe)

    def _finished(self, trial: Any, record: Json) -> None:
        self._begin(trial)
        self._begun.discard(trial.id)  # a trial that the machine ended begins anew
        told = mask(record, self._secrets)
        for channel in self._channels:
            for step, values in curve_points(told):
                channel.scalars(trial.id, step, values)
            channel.end(trial.id, told)

    def _settle(self) -> None:
        """Wait until the trackers have done what they were told, no longer than they have together."""
        deadline = time.monotonic() + self._wait_seconds
        waited = [(channel, threading.Event()) for channel in self._channels]
        for channel, event in waited:
            channel.put(event)
        for channel, event in waited:
            if not channel.trouble and not event.wait(max(0.0, deadline - time.monotonic())):
                channel.leave_out(f"it had not caught up after {self._wait_seconds:g} s")


class _Channel:
    """One tracker with its queue and its thread. The thread alone calls the tracker, and ends with the process."""

    def __init__(self, name: str, tracker: Tracker, room: int, tell: Callable[[str], None]) -> None:
        self.name = name
        self.tracker = tracker
        self.trouble = ""
        self._tell = tell
        self._lock = threading.Lock()
        self._following: dict[str, TrialTracking] = {}
        self._queue: queue.Queue[Call | threading.Event | None] = queue.Queue(room)
        self._thread = threading.Thread(target=self._run, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def begin(self, trial: TrackedTrial, recipe: Json) -> None:
        def call() -> None:
            self._following[trial.id] = self.tracker.begin(trial, recipe)

        self.put(call)

    def scalars(self, trial: str, step: int, values: Mapping[str, float], *, may_drop: bool = False) -> None:
        if not (may_drop and self._queue.qsize() > self._queue.maxsize // 2):
            self.put(lambda: self._following[trial].scalars(step, values))

    def end(self, trial: str, record: Json) -> None:
        self.put(lambda: self._following.pop(trial).end(record))

    def put(self, call: Call | threading.Event) -> None:
        """Queue a call, or an event that is set when all before it is done; never wait."""
        if self.trouble:
            return
        try:
            self._queue.put_nowait(call)
        except queue.Full:
            self.leave_out(f"it is {self._queue.maxsize:,} calls behind")

    def stop(self) -> None:
        """Let the thread end once it comes to it; a hanging one ends with the process."""
        self.trouble = self.trouble or "stopped"
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return

    def leave_out(self, why: str) -> None:
        """Call it no more, and say so once."""
        with self._lock:
            if self.trouble:
                return
            self.trouble = why
        shown = _USER_IN_ADDRESS.sub("://", why)
        self._tell(f"tracker {self.name} is left out of the rest of this run: {shown}")

    def _run(self) -> None:
        while (call := self._queue.get()) is not None:
            if isinstance(call, threading.Event):
                call.set()
            elif not self.trouble:
                self._try(call)

    def _try(self, call: Call) -> None:
        try:
            call()
        except BaseException as error:  # a library may call sys.exit, and some panic with a BaseException
            first = (str(error).strip().splitlines() or [""])[0]
            self.leave_out(f"{type(error).__name__}: {first[:300]}")


def curve_points(record: Json) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the step at the end of each epoch of a record's curves, and what was measured there."""
    curves = record.get("curves") or {}
    epochs = curves.get("epoch") or []
    budget = record.get("budget") or {}
    steps, whole = budget.get("steps"), budget.get("epochs")
    for index, epoch in enumerate(epochs):
        values = {name: curves[name][index] for name in CURVES if len(curves.get(name) or ()) > index}
        numbers = {name: float(value) for name, value in values.items() if value is not None}
        if numbers:
            yield round(epoch * steps / whole) if steps and whole else int(epoch), numbers


def mask(value: Any, secrets: Sequence[str]) -> Any:
    """Return JSON in which no text holds a secret, nor a user's name and password in an address."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _MASK)
        return _USER_IN_ADDRESS.sub(f"://{_MASK}@", value)
    if isinstance(value, Mapping):
        return {mask(key, secrets): mask(one, secrets) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(one, secrets) for one in value]
    return value

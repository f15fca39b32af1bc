"""`harness run`: from a suite file to a leaderboard, running only what is missing."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.building import build_board
from harness.cli.disk import disk_bytes, parameter_counts
from harness.cli.output import complain, say, show
from harness.cli.timing_cost import rounds_left
from harness.cli.tuning import search_left, tune_first
from harness.errors import PluginError
from harness.record.fingerprint import code, host
from harness.record.store import Store
from harness.registry.digests import digest_json
from harness.suite.expand import arms_to_run, expand
from harness.suite.load import Suite, load
from harness.suite.prepare import PreparedData, default_cache, prepare
from harness.suite.trackers import missing_libraries

if TYPE_CHECKING:
    from harness.launch.options import RunSummary
    from harness.launch.progress import Progress
    from harness.record.reading import Reading
    from harness.suite.plan import Plan


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of `run` and `plan`, as `harness run --help` describes them."""

    results: Path
    data: Path | None
    arms: str | None
    replicates: int | None
    jobs: int
    device: str
    keep_going: bool
    timeout: float
    jobs_per_device: int | None = None
    allow_mixed: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """A suite that can run.

    Attributes:
        suite: The suite.
        plan: Its plan.
        data: By manifest hash, the folder of the prepared data.
    """

    suite: Suite
    plan: Plan
    data: Mapping[str, Path]


def make_ready(path: Path, settings: Settings) -> Ready:
    """Load a suite, prepare the data of its arms, and expand it."""
    suite = load(path, allow=os.environ.get("HARNESS_PLUGINS"), keep_going=settings.keep_going)
    for line in missing_libraries(suite.trackers, suite.registry):
        complain(f"note: {line}")
    names = (
        [name.strip() for name in settings.arms.split(",") if name.strip()]
        if settings.arms is not None
        else None
    )
    manifests, data = prepare_data(suite, names, settings)
    return Ready(suite, expand(suite, manifests, arms=names, replicates=settings.replicates), data)


def prepare_data(
    suite: Suite, names: Sequence[str] | None, settings: Settings
) -> tuple[dict[str, Mapping[str, Any]], dict[str, Path]]:
    """Prepare the data of the arms to run; return the manifests by arm, and the folders by manifest hash."""
    manifests: dict[str, Mapping[str, Any]] = {}
    data: dict[str, Path] = {}
    wanted = set(arms_to_run(suite, names))
    done: dict[str, PreparedData] = {}  # thousands of arms of a grid share one data set
    for arm in suite.arms.values():
        if arm.failure is None and arm.name in wanted:
            dataset, mode = arm.recipe["dataset"], suite.loader["mode"]
            key = digest_json(dataset)
            if key not in done:
                done[key] = prepare(dataset, suite.registry, settings.data, default_cache(), mode=mode)
                if done[key].notice:
                    complain(f"note: {done[key].notice}")
            prepared = done[key]
            manifests[arm.name] = prepared.manifest
            data[prepared.manifest["hash"]] = prepared.folder
    return manifests, data


def run_suite(path: Path, settings: Settings) -> int:
    """Run what is missing, build the leaderboard, show it, and return the exit code."""
    ready = make_ready(path, settings)
    store = Store(settings.results / ready.suite.name)
    return execute(ready, store, settings, shlex.join(["harness", *sys.argv[1:]]))


def execute(ready: Ready, store: Store, settings: Settings, command: str, *, is_kept: bool = True) -> int:
    """Run what is missing of a suite that is ready, and build and show its board.

    Args:
        ready: The suite.
        store: Its results folder.
        settings: The options.
        command: What a second run on the folder is told.
        is_kept: Whether the folder stays: then its path is shown.
    """
    with store.lock(command, needed_bytes=_room(ready, store, settings.jobs)):
        tuned, exit_code = tune_first(ready, store, lambda one: _launch(one, store, settings))
        if tuned is None:
            return exit_code
        ready = tuned
        plan = ready.plan.to_json()
        store.write_plan(plan)
        reading = store.read(plan)
        for line in _reused(reading):
            complain(line)
        exit_code = _launch(ready, store, settings).exit_code
        reading = store.read(plan)
        board, paths = build_board(plan, reading, store.root, allow_mixed=settings.allow_mixed)
        ready.suite.registry.hooks.harness_board_built(board=board)
    from harness.board.render_terminal import terminal

    show(terminal(board))
    if is_kept:
        say(f"\n{next(path for path in paths if path.suffix == '.html')}")
    return exit_code


def _room(ready: Ready, store: Store, jobs: int) -> int:
    """Return roughly the bytes that a run will write, its search included."""
    plan = ready.plan
    reading = store.read(plan.to_json())
    good = reading.good()
    rounds, parameters = rounds_left(plan, reading.timings), parameter_counts(plan, good)
    return disk_bytes(plan, good, rounds, jobs, parameters, search_left(ready, store))


def _launch(ready: Ready, store: Store, settings: Settings) -> RunSummary:
    from harness.launch.launcher import run
    from harness.launch.options import Options
    from harness.launch.tracking import track

    hooks = ready.suite.registry.hooks

    def call_hook(name: str, **arguments: Any) -> None:
        getattr(hooks, name)(**arguments)

    progress, notify = track(ready.suite, store.root, _progress(), call_hook)

    options = Options(
        jobs=settings.jobs,
        jobs_per_device=settings.jobs_per_device,
        device=settings.device,
        timeout_seconds=settings.timeout,
        data_root=settings.data,
        plugins=tuple(ready.suite.plugins.values()),
        weights={name: file.path for name, file in ready.suite.weights.items()},
        preload=tuple(sorted(set(_preloads(ready)))),
    )
    try:
        summary = run(ready.plan, store, data=ready.data, options=options, progress=progress, notify=notify)
    finally:
        progress.close()
    complain(
        f"{summary.done} trials run, {summary.reused} had a record"
        + (f", {summary.failed} failed" if summary.failed else "")
        + ("; interrupted, the same command goes on from here" if summary.interrupted else "")
    )
    return summary


def _progress() -> Progress:
    from harness.launch.progress import Bars, Lines

    return Bars() if sys.stderr.isatty() else Lines()


def _preloads(ready: Ready) -> Iterator[str]:
    registry = ready.suite.registry
    for arm in ready.plan.arms:
        for component in arm.components:
            try:
                yield from registry.find(component["kind"], component["name"]).preload
            except PluginError:
                continue


def _reused(reading: Reading[dict[str, Any]]) -> Iterator[str]:
    """Say where records that are about to be reused were made with other libraries or another engine."""
    counts: dict[str, int] = {}
    for record in reading.good().values():
        made_by = (reading.shared.get(record["refs"].get("code") or "") or {}).get("engine")
        if made_by not in (None, code()["engine"]):
            counts["another state of the harness's engine"] = (
                counts.get("another state of the harness's engine", 0) + 1
            )
        made_on = (reading.shared.get(record["refs"].get("host") or "") or {}).get("accuracy") or {}
        for text in _differences(made_on, host()["accuracy"]):
            counts[text] = counts.get(text, 0) + 1
    for text, count in counts.items():
        yield f"note: {count} records that are reused were made with {text}"


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if not then:
        return
    for name in sorted({*then.get("libraries", {}), *now["libraries"]}):
        old, new = then.get("libraries", {}).get(name), now["libraries"].get(name)
        if old != new:
            yield f"{name} {old or 'absent'}, now {new or 'absent'}"
    for name in ("python", "cpu", "gpu"):
        if then.get(name) != now[name]:
            yield f"{name} {then.get(name)}, now {now[name]}"

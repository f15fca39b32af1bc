"""`harness gate`: two commits side by side, two stored results, or the history of this kind of machine."""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from harness.board import gate_history
from harness.board.gate import exit_code, judge, needs_again, rounds_wanted
from harness.board.gate_picture import render_history_svg
from harness.board.gate_ranks import needed_samples
from harness.board.gate_render import render_json, render_junit, render_markdown, render_text
from harness.board.gate_rules import EXIT_NOTHING, GateRules
from harness.board.gate_sources import read_stored
from harness.cli.output import complain, say
from harness.cli.tuning import note_own_settings
from harness.errors import HarnessError
from harness.launch.gate_build import GateRefused, open_sides
from harness.launch.gate_measures import arm_of
from harness.launch.gate_open import Sampling
from harness.launch.gate_sample import Bench
from harness.launch.progress import Bars, Lines, duration
from harness.record.files import make_folder, write_over

if TYPE_CHECKING:
    from harness.launch.progress import Progress

Json = dict[str, Any]

INTERRUPTED = 130
_STDOUT = Path("-")
_RECENT_POINTS = 20
"""A drift is named with each report until so many have come since; the history itself shows the older ones."""

_FORMS = """give one of
  harness gate SUITE --base REVISION       two commits, measured side by side on this machine
  harness gate BASE CANDIDATE              two result folders, or two pytest-benchmark JSON files
  harness gate --history FOLDER            what gates on this kind of machine have measured"""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of `gate`, as `harness gate --help` describes them."""

    base: str | None
    candidate: str | None
    rounds: int | None
    arms: str | None
    accuracy: int
    margin: float | None
    data: Path | None
    device: str
    timeout: float
    history: Path | None
    json: Path | None
    junit: Path | None
    markdown: Path | None


def gate(paths: Sequence[Path], settings: Settings) -> int:
    """Do what the paths ask for, and return the exit code."""
    _check_outputs(settings, measures=bool(paths))
    if len(paths) == 1 and settings.base is not None:
        return gate_commits(paths[0], settings)
    if len(paths) == 2 and settings.base is None:
        samples = read_stored(paths[0], paths[1])
        return _conclude(judge(samples, _rules(settings)), samples["candidate"].get("host"), settings)
    if not paths and settings.base is None and settings.history is not None:
        return show_history(settings.history)
    raise GateRefused(_FORMS)


def _arms(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise GateRefused(f'--arms "{text}" names no arm')
    return names


def gate_commits(suite: Path, settings: Settings) -> int:
    """Measure two states of the code side by side, and judge them."""
    arms, rules = _arms(settings.arms), _rules(settings)
    note_own_settings(suite, "measures both commits")
    sampling = Sampling(
        arms=arms,
        replicates=settings.accuracy,
        margin=settings.margin,
        data=settings.data,
        device=settings.device,
        timeout_seconds=settings.timeout,
    )
    progress: Progress = Bars() if sys.stderr.isatty() else Lines()
    began = datetime.now(UTC)
    try:
        with (
            _interrupts_once(),
            open_sides(suite, settings.base or "", settings.candidate, progress) as sides,
        ):
            bench = Bench(*sides, sampling, progress)
            bench.warm_up()
            measure(bench, rules)
            bench.train()
            samples = bench.samples()
    except KeyboardInterrupt:
        complain("interrupted: nothing was judged, and nothing is left behind")
        return INTERRUPTED
    finally:
        progress.close()
    complain(f"measured in {duration((datetime.now(UTC) - began).total_seconds())}")
    return _conclude(judge(samples, rules), samples["candidate"]["host"], settings)


def measure(bench: Bench, rules: GateRules) -> None:
    """Take rounds until every verdict stands, a hit a second time, or the rules allow no more.

    Each measurement is looked at after as many rounds as the rules say and at no other time, for every look is
    one more chance to err: what a neighbour of the same arm still needs, it does not get.
    """
    bench.take(rules.looks[0])
    report = judge(bench.samples(), rules)
    due = rounds_wanted(report)
    left: dict[str, int] = {}
    while due := {name: rounds for name, rounds in due.items() if arm_of(name) in bench.arms}:
        # One that is between two of its looks may seem a hit by then; it is not asked.
        bench.begin_again([name for name in needs_again(report) if not left.get(name)])
        rounds = min(due.values())
        bench.take(rounds, due)
        report = judge(bench.samples(), rules)
        wanted = rounds_wanted(report)
        left = {name: more - rounds for name, more in due.items()}
        due = {name: more or wanted.get(name, 0) for name, more in left.items() if more or name in wanted}


def show_history(path: Path) -> int:
    """Show the histories in a folder, or one file, and draw each beside it."""
    if path.is_file() and path.suffix != ".jsonl":
        raise GateRefused(f"{path}: is no history; a gate writes them as FOLDER/<kind of machine>.jsonl")
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    files = [file for file in files if file.is_file()]
    if not files:
        raise GateRefused(f"{path}: no history yet; harness gate SUITE --base REVISION --history {path}", 3)
    entries = 0
    for file in files:
        summary = gate_history.summarize(gate_history.read(file))
        entries += summary["entries"]
        say(gate_history.render_history_text(summary))
        if picture := _draw(file, summary):
            say(str(picture))
    return 0 if entries else EXIT_NOTHING


def _rules(settings: Settings) -> GateRules:
    rules = GateRules()
    if settings.rounds is not None:
        needed = max(rules.samples, needed_samples(rules.alpha, paired=True))
        if settings.rounds < needed:
            raise GateRefused(
                f"--rounds {settings.rounds}: with fewer than {needed} the exact test can never find a regression"
            )
        rules = dataclasses.replace(rules, looks=(settings.rounds,))
    if 0 < settings.accuracy < rules.accuracy_replicates:
        raise GateRefused(
            f"--accuracy {settings.accuracy}: at least {rules.accuracy_replicates} paired replicates are needed"
        )
    return rules


def _check_outputs(settings: Settings, *, measures: bool) -> None:
    """Refuse before anything is measured what would lose a report afterwards.

    Args:
        settings: Where the reports go.
        measures: Whether there will be one.

    Raises:
        GateRefused: Two reports go to one place, or one to what is no file; the history goes into a file.
    """
    taken: dict[Path, str] = {}
    for option, path in _report_paths(settings).items():
        place = path if path == _STDOUT else path.resolve()
        if place in taken:
            raise GateRefused(f"{taken[place]} and {option} both go to {path}: give each a file of its own")
        taken[place] = option
        if path != _STDOUT and path.exists() and not path.is_file():
            raise GateRefused(f"{option} {path}: is no file; give one, or - for standard output")
    if measures and settings.history is not None and settings.history.is_file():
        raise GateRefused(f"--history {settings.history}: is a file; a report is entered into a folder")


def _report_paths(settings: Settings) -> dict[str, Path]:
    """Return where each report that was asked for goes, by its option."""
    asked = {"--json": settings.json, "--junit": settings.junit, "--markdown": settings.markdown}
    return {option: path for option, path in asked.items() if path is not None}


def _conclude(report: Json, host: Any, settings: Settings) -> int:
    """Show and write the report, enter it into the history, and return the exit code.

    The text comes first, and a place that cannot be written is warned of: by then hours may have been measured.
    """
    paths = _report_paths(settings)
    text = render_text(report).rstrip("\n")
    if _STDOUT in paths.values():
        complain(text)
    else:
        say(text)
    for option, path in paths.items():
        rendered = _RENDERERS[option](report)
        if path == _STDOUT:
            say(rendered.rstrip("\n"))
        else:
            _write(path, rendered)
    if settings.history is not None:
        try:
            _remember(report, host, settings.history)
        except HarnessError as error:
            complain(f"warning: not entered into the history: {error}")
    return exit_code(report)


_RENDERERS = {"--json": render_json, "--junit": render_junit, "--markdown": render_markdown}


def _remember(report: Json, host: Any, folder: Path) -> None:
    path = gate_history.history_path(folder, host)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if not gate_history.append(path, report, host, at):
        complain(f"{path}: nothing was measured that could be entered")
        return
    summary = gate_history.summarize(gate_history.read(path))
    older = 0
    for series in summary["series"]:
        # What this report had no part in was named with the reports that had.
        if series["points"][-1]["at"] != at:
            continue
        for step in series["steps"]:
            if len(series["points"]) - step["index"] <= _RECENT_POINTS:
                complain(f"drift: {series['name']}: {gate_history.describe_step(series, step)}")
            else:
                older += 1
    more = f", older drifts: {older} (harness gate --history {folder})" if older else ""
    complain(f"history: {summary['entries']} reports{more}, {_draw(path, summary) or path}")


def _draw(path: Path, summary: Json) -> Path | None:
    picture = path.with_suffix(".svg")
    return picture if _write(picture, render_history_svg(summary)) else None


def _write(path: Path, text: str) -> bool:
    """Write a file; where that cannot be, warn and return False."""
    try:
        make_folder(path.parent)
        write_over(path, text.encode())
    except HarnessError as error:
        complain(f"warning: not written: {error}")
        return False
    return True


@contextmanager
def _interrupts_once() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal interrupt, once: what cleans up after that is not interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        del number, frame
        if not is_interrupted:
            is_interrupted = True
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    old = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)

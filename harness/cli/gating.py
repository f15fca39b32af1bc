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
from harness.launch.gate_build import GateRefused, open_sides
from harness.launch.gate_measures import arm_of
from harness.launch.gate_sample import Bench, Sampling
from harness.launch.progress import Bars, Lines, duration
from harness.record.files import make_folder, write_over

if TYPE_CHECKING:
    from harness.launch.progress import Progress

Json = dict[str, Any]

INTERRUPTED = 130
_STDOUT = Path("-")
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
    if len(paths) == 1 and settings.base is not None:
        return gate_commits(paths[0], settings)
    if len(paths) == 2 and settings.base is None:
        samples = read_stored(paths[0], paths[1])
        return _conclude(judge(samples, _rules(settings)), samples["candidate"].get("host"), settings)
    if not paths and settings.base is None and settings.history is not None:
        return show_history(settings.history)
    raise GateRefused(_FORMS)


def gate_commits(suite: Path, settings: Settings) -> int:
    """Measure two states of the code side by side, and judge them."""
    rules = _rules(settings)
    sampling = Sampling(
        arms=tuple(name.strip() for name in settings.arms.split(",") if name.strip())
        if settings.arms
        else None,
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
    while due := {name: rounds for name, rounds in due.items() if arm_of(name) in bench.arms}:
        bench.begin_again(needs_again(report))
        rounds = min(due.values())
        bench.take(rounds, due)
        report = judge(bench.samples(), rules)
        wanted = rounds_wanted(report)
        left = {name: more - rounds for name, more in due.items()}
        due = {name: more or wanted.get(name, 0) for name, more in left.items() if more or name in wanted}


def show_history(path: Path) -> int:
    """Show the histories in a folder, or one file, and draw each beside it."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    files = [file for file in files if file.is_file()]
    if not files:
        raise GateRefused(f"{path}: no history yet; harness gate SUITE --base REVISION --history {path}", 3)
    entries = 0
    for file in files:
        summary = gate_history.summarize(gate_history.read(file))
        entries += summary["entries"]
        say(gate_history.render_history_text(summary))
        say(f"{_draw(file, summary)}")
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


def _conclude(report: Json, host: Any, settings: Settings) -> int:
    """Show and write the report, enter it into the history, and return the exit code."""
    asked = {
        settings.json: render_json,
        settings.junit: render_junit,
        settings.markdown: render_markdown,
    }
    for path, render in asked.items():
        if path == _STDOUT:
            say(render(report).rstrip("\n"))
        elif path is not None:
            _write(path, render(report))
    text = render_text(report).rstrip("\n")
    if _STDOUT in asked:
        complain(text)
    else:
        say(text)
    if settings.history is not None:
        _remember(report, host, settings.history)
    return exit_code(report)


def _remember(report: Json, host: Any, folder: Path) -> None:
    path = gate_history.history_path(folder, host)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if not gate_history.append(path, report, host, at):
        complain(f"{path}: nothing was measured that could be entered")
        return
    summary = gate_history.summarize(gate_history.read(path))
    for series in summary["series"]:
        for step in series["steps"]:
            complain(f"drift: {series['name']}: {gate_history.describe_step(series, step)}")
    complain(f"history: {summary['entries']} reports, {_draw(path, summary)}")


def _draw(path: Path, summary: Json) -> Path:
    picture = path.with_suffix(".svg")
    _write(picture, render_history_svg(summary))
    return picture


def _write(path: Path, text: str) -> None:
    make_folder(path.parent)
    write_over(path, text.encode())


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

"""`harness compare`: two result folders, or a suite at two commits, with the verdicts of a board."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.compare_floor import floor_note, foresee, with_absolute_folders
from harness.cli.output import complain, say, say_json
from harness.errors import HarnessError, StoreError

if TYPE_CHECKING:
    from harness.board.compare import Given
    from harness.launch.gate_build import Side

NOTHING_TO_COMPARE = 3
_SOME_FAILED = 5
_INTERRUPTED = 130
_FORMS = """give one of
  harness compare BASE CANDIDATE                                 two result folders
  harness compare SUITE --base REVISION [--candidate REVISION]   a suite, run at two commits"""


class CompareRefused(HarnessError):
    """A comparison that cannot be made as it was asked for."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Settings:
    """How a suite is run at two commits."""

    results: Path
    data: Path | None
    arms: str | None
    replicates: int | None
    jobs: int
    device: str


def compare(
    paths: Sequence[Path], base: str | None, candidate: str | None, settings: Settings, written: str
) -> int:
    """Compare two folders, or a suite's results at two commits, and print the report.

    Args:
        paths: Two folders of results, or one suite file.
        base: The commit to compare a suite with; None for folders.
        candidate: The commit to judge; None for the working tree.
        settings: How a suite is run.
        written: "terminal", "markdown" or "json".

    Returns:
        The exit code.

    Raises:
        CompareRefused: Where there is nothing to compare, or the words fit neither form.
    """
    if len(paths) == 2 and base is None and candidate is None:
        sides: Sequence[Given] = [_read(path) for path in paths]
    elif len(paths) == 1 and base is not None:
        sides = _run_commits(paths[0], base, candidate, settings)
    else:
        raise CompareRefused(_FORMS)
    return _conclude(sides[0], sides[1], written)


def _conclude(base: Given, candidate: Given, written: str) -> int:
    from harness.board.compare import compare_results, has_compared
    from harness.board.compare_render import render_markdown, render_text

    report = compare_results(base, candidate)
    if written == "json":
        say_json(report)
    elif written == "markdown":
        say(render_markdown(report).rstrip("\n"))
    else:
        say(render_text(report, shutil.get_terminal_size((120, 24)).columns).rstrip("\n"))
    return 0 if has_compared(report) else NOTHING_TO_COMPARE


def _read(folder: Path, label: str | None = None, commit: str | None = None) -> Given:
    from harness.board.compare import Given
    from harness.record.history import history_of
    from harness.record.store import Store

    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise CompareRefused(f"{folder}: {what}; expected a folder results/SUITE\n{_FORMS}")
    store = Store(folder)
    try:
        plan = store.read_plan()
    except StoreError as error:
        raise CompareRefused(str(error), NOTHING_TO_COMPARE) from error
    reading = store.read_flat(plan)
    return Given(
        label or str(folder),
        plan,
        reading.records,
        reading.timings,
        reading.shared,
        reading.set_aside,
        commit,
        history_of(folder, plan["hash"]),
    )


def _run_commits(suite: Path, base: str, head: str | None, settings: Settings) -> list[Given]:
    """Run a suite at two commits, each by its own code in an environment that serves it, and read what came out."""
    from harness.launch.gate_build import open_sides
    from harness.launch.progress import Lines

    progress = Lines()
    try:
        with open_sides(suite, base, head, progress, "compare") as sides:
            if note := floor_note([foresee(side, _choice(settings)) for side in sides]):
                complain(note)
            folders = [_run(side, settings) for side in sides]
            return [
                _read(folder, f"{side.label} ({side.commit[:12]})", side.commit)
                for side, folder in zip(sides, folders, strict=True)
            ]
    except KeyboardInterrupt:
        raise CompareRefused("interrupted; the same command goes on from here", _INTERRUPTED) from None
    finally:
        progress.close()


def _run(side: Side, settings: Settings) -> Path:
    """Run the suite of one side, and return the folder of its results.

    Raises:
        CompareRefused: Where the run came to nothing; failed trials are results.
    """
    from harness.registry.digests import digest_json
    from harness.registry.source_digests import text_digest

    results = settings.results.resolve() / "compare" / side.commit[:12]
    if side.name == "candidate" and side.label == "working tree":
        # Its files are what it is: an edit that no trial id shows (of the engine) begins anew.
        sources = sorted(path for root in ("harness", "plugins") for path in (side.tree / root).rglob("*.py"))
        digests = {str(path.relative_to(side.tree)): text_digest(path.read_bytes()) for path in sources}
        results = results.with_name(f"{results.name}-{digest_json(digests)[:12]}")
    command = [str(side.python), "-m", "harness", "run", str(side.suite), "--results", str(results)]
    command += ["--jobs", str(settings.jobs), "--device", settings.device, *_choice(settings)]
    complain(f"{side.name} ({side.label}): harness run, into {results}")
    # In its own tree: the interpreter looks for `harness` in the current folder first. Its board is not ours to show.
    environment = with_absolute_folders(side.environment())
    done = subprocess.run(command, cwd=side.tree, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode == _INTERRUPTED:
        raise CompareRefused("interrupted; the same command goes on from here", _INTERRUPTED)
    if done.returncode not in (0, _SOME_FAILED):
        raise CompareRefused(
            f"{side.name} ({side.label}): harness run ended with {done.returncode}; its message stands above"
        )
    found = sorted(path.parent for path in results.glob("*/plans"))
    named = [folder for folder in found if folder.name == _suite_name(side.suite)]
    return (named or found or [results])[0]


def _choice(settings: Settings) -> list[str]:
    """Return the options of `harness run` and `harness plan` that say what of a suite is run."""
    told = [] if settings.data is None else ["--data", str(settings.data.resolve())]
    told += [] if settings.arms is None else ["--arms", settings.arms]
    return told if settings.replicates is None else [*told, "--replicates", str(settings.replicates)]


def _suite_name(suite: Path) -> str:
    from harness.suite.read import read_toml

    return str(read_toml(suite)[1].get("name"))

"""`harness aa`: the baseline of a suite against copies of itself. Does the harness call any of them different?"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from harness.cli.output import say
from harness.cli.running import Ready, Settings, execute, prepare_data
from harness.cli.tuning import note_own_settings
from harness.errors import Problem, SuiteError
from harness.record.store import Store
from harness.suite.copies import SUFFIX
from harness.suite.expand import expand
from harness.suite.load import load
from harness.suite.plan import needed_replicates
from harness.suite.settings import identifier_problem

_NO = 1
_NOTHING_TO_COMPARE = 3


def calibrate(path: Path, settings: Settings, copies: int, rounds: int | None) -> int:
    """Run copies of a suite's baseline beside it, print what came of them, and return the exit code.

    Args:
        path: The suite file.
        settings: The options of `run`; `arms` is not looked at.
        copies: How many copies.
        rounds: Rounds of the timing pass, or None for the suite's own.

    Returns:
        0 where the copies and the splits of the runs show nothing, 1 where they do, 3 where nothing can be said, or
        what `run` ends with where trials fail.
    """
    ready = plan_copies(path, settings, copies, rounds)
    note_own_settings(path, "copies the baseline")
    store = Store(settings.results / ready.suite.name)
    exit_code = execute(ready, store, settings, shlex.join(["harness", *sys.argv[1:]]))
    if exit_code:
        return exit_code
    board = orjson.loads((store.root / "leaderboard.json").read_bytes())
    say("")
    for line in report(board):
        say(line)
    verdict = board["calibration"]["verdict"]
    return _NOTHING_TO_COMPARE if verdict is None else 0 if verdict == "calibrated" else _NO


def plan_copies(path: Path, settings: Settings, copies: int, rounds: int | None) -> Ready:
    """Return the baseline of a suite and copies of it as a suite of their own, `<suite>-aa`.

    Raises:
        SuiteError: Where the suite is wrong, or so few replicates could tell nothing.
    """
    suite = load(path, allow=os.environ.get("HARNESS_PLUGINS"))
    name = f"{suite.name}{SUFFIX}"
    if identifier_problem(name):
        message = f"has no room for {SUFFIX} behind it: a name has 64 characters at most"
        raise SuiteError(str(path), [Problem("name", message)])
    timing = {**suite.timing, **({} if rounds is None else {"rounds": rounds})}
    # What the suite says of its other arms has no place here.
    suite = replace(suite, name=name, verdicts=True, timing=timing, claims=(), tuning={})
    arms = [suite.baseline]
    manifests, data = prepare_data(suite, arms, settings)
    plan = expand(suite, manifests, arms=arms, replicates=settings.replicates, copies=copies)
    if not plan.verdicts:
        needed = needed_replicates(copies, suite.alpha)
        message = f"{plan.verdicts_reason}; give --replicates {needed}, or fewer --copies"
        raise SuiteError(str(path), [Problem("replicates", message)])
    return Ready(suite, plan, data)


def report(board: Mapping[str, Any]) -> Iterator[str]:
    """Yield what came of the copies, line by line."""
    from harness.board.band import binomial_end
    from harness.board.wording import decimal, plain

    told, alpha = board["calibration"], board["settings"]["alpha"]
    copies = told["copies"]
    count = len(copies)
    noun = "copy" if count == 1 else "copies"
    yield f"{count} {noun} of {plain(board['baseline'])}, {board['settings']['replicates']} replicates each"
    for kind, words in (("accuracy", "better or worse"), ("speed", "faster or slower")):
        if counted := told[kind]:
            many = counted["copies"]
            yield f"{words}, each judged by itself at alpha {alpha:g}: {_of(counted['beyond'], many)}"
            yield f"  may be: up to {_of(counted['band'], many)}, for they share one baseline's luck"
            yield f"  (binomial band, had each a baseline of its own: up to {_of(binomial_end(many, alpha), many)})"
    called = sum(one["verdict"] in ("better", "worse") for one in copies)
    yield f"better or worse on the board, after Holm over all of them: {_of(called, count)}"
    if told["resolution_points"] is not None:
        yield f"resolution: {decimal(told['resolution_points'])} points, the median over the copies"
    for split in told["splits"]:
        means = ", ".join(
            f"{plain(one['name'])} {one['mean']:+.3g} ({one['count']})" for one in split["groups"]
        )
        p = "" if split["p"] is None else f"p = {split['p']:.3g}"
        words = "; ".join(filter(None, (p, plain(split["reason"]))))
        yield f"split by {split['by']}: {words}" + (f" [{means}]" if split["p"] is not None else "")
    yield f"{told['verdict'] or 'nothing can be said'}: {plain(told['reason'])}"


def _of(number: int, count: int) -> str:
    return f"{number} of {count} ({100 * number / count:.1f} %)"

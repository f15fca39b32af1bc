"""What `run` and `plan` do of a suite that tunes: the search first, then the plan with its winners."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from harness.cli.output import complain
from harness.errors import StoreError

if TYPE_CHECKING:
    from harness.cli.disk import Searched
    from harness.cli.running import Ready
    from harness.launch.options import RunSummary
    from harness.record.store import Store
    from harness.suite.plan import Plan

Json = dict[str, Any]


def tune_first(ready: Ready, store: Store, launch: Callable[[Ready], RunSummary]) -> tuple[Ready | None, int]:
    """Run what is missing of a suite's search; a suite that does not tune is returned as it is.

    Args:
        ready: The suite, its plan with every arm at its own setting.
        store: Its results folder, locked.
        launch: Runs what is missing of a plan.

    Returns:
        The suite with the plan that the search leads to, and 0; or None and the exit code.
    """
    if not ready.suite.tuning.get("trials"):
        return ready, 0
    from harness.launch.tuning import tune

    def launch_plan(plan: Plan) -> RunSummary:
        return launch(replace(ready, plan=plan))

    plan, exit_code = tune(ready.suite, ready.plan, store, launch_plan, complain)
    return (None if plan is None else replace(ready, plan=plan)), exit_code


def outlook(ready: Ready, store: Store) -> tuple[Ready, Json | None]:
    """Return the suite with the plan that its search leads to, as far as it has been run, and what is left of it.

    Returns:
        The suite, with the winners where the search is over; and `{trials, method, replicates, arms, total, reused,
        missing}`, or None for a suite that does not tune.
    """
    if not ready.suite.tuning.get("trials"):
        return ready, None
    from harness.launch.tuning import Search

    search = Search(ready.suite, ready.plan, store)
    missing = search.missing_of_all()
    told = {
        **{key: ready.suite.tuning[key] for key in ("trials", "method", "replicates")},
        "arms": search.arms(),
        "total": search.count(),
        "reused": search.count() - missing,
        "missing": missing,
    }
    return (ready if missing else replace(ready, plan=search.final())), told


def search_left(ready: Ready, store: Store) -> Searched | None:
    """Return what is left of a suite's search, for the disk that it takes; None where it is over or there is none."""
    if not ready.suite.tuning.get("trials"):
        return None
    from harness.cli.disk import Searched
    from harness.launch.tuning import Search

    search = Search(ready.suite, ready.plan, store)
    plan, later = search.known()
    records = {one.id: record for one in plan.trials if (record := store.good(one.id)) is not None}
    is_over = not later and all(trial.id in records for trial in plan.trials)
    return None if is_over else Searched(plan, records, later)


def with_hours(told: Json | None, summary: Mapping[str, Any]) -> Json | None:
    """Return what `outlook` says of a search with the hours that are left of it; None for a suite that does not tune.

    Args:
        told: What `outlook` says.
        summary: The summary of the suite's plan. A trial of the search is taken to cost what one of its arm does,
            and those that are left to be spread evenly over the arms.
    """
    if told is None:
        return None
    costs = [arm["cost"]["seconds"] for arm in summary["arms"] if arm["cost"] and arm["name"] in told["arms"]]
    seconds = told["missing"] * fmean(costs) if costs else None if told["missing"] else 0.0
    return {**told, "hours": None if seconds is None else seconds / summary["jobs"] / 3600}


def outlook_line(told: Mapping[str, Any]) -> str:
    """Return what is left of a search, in words: what `with_hours` returns."""
    from harness.cli.forecast import hours_words

    replicates = f" × {told['replicates']} replicates" if told["replicates"] > 1 else ""
    counts = f"{len(told['arms'])} arms × {told['trials']} settings{replicates} = {told['total']} trials"
    then = (
        "the arms below are at their own settings"
        if told["missing"]
        else "the arms below are at those that won"
    )
    takes = f" in about {hours_words(told['hours'])}" if told["missing"] and told["hours"] is not None else ""
    left = f"{told['reused']} reused, {told['missing']} to run{takes}"
    return f"tuning first ({told['method']}): {counts}, {left}; {then}"


def preview_words(told: Mapping[str, Any]) -> str:
    """Return at which settings the arms of a suite that tunes are shown."""
    if told["missing"]:
        return "tuning: the arms are shown at their own settings; preview again when the search is over"
    return "tuning: the arms are shown at the settings that won"


def note_own_settings(path: Path, what: str) -> None:
    """Say of a suite that tunes that a command which does not search takes what the suite writes.

    Args:
        path: The suite file. What is wrong with it is said by whoever resolves it.
        what: What the command does, for a person: "copies the baseline".
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if "tuning" in document:
        complain(
            f"note: the suite tunes, and this searches nothing: it {what} at the settings that the suite writes"
        )


def refuse_search(plan: Mapping[str, Any]) -> None:
    """Refuse a board of a search's own plan: settings are chosen on validation, and a board would show test results.

    Raises:
        StoreError: Where it is one.
    """
    if (plan.get("tuning") or {}).get("is_search"):
        raise StoreError(
            f"the tuning of suite {plan.get('suite')} is not over, so there is nothing to compare yet: "
            "run the suite again to go on with it"
        )

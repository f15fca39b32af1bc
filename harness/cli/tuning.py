"""What `run` and `plan` do of a suite that tunes: the search first, then the plan with its winners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cli.output import complain
from harness.errors import StoreError

if TYPE_CHECKING:
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


def outlook_line(told: Mapping[str, Any]) -> str:
    """Return what is left of a search, in words."""
    replicates = f" × {told['replicates']} replicates" if told["replicates"] > 1 else ""
    counts = f"{len(told['arms'])} arms × {told['trials']} settings{replicates} = {told['total']} trials"
    then = (
        "the arms below are at their own settings"
        if told["missing"]
        else "the arms below are at those that won"
    )
    return f"tuning first ({told['method']}): {counts}, {told['reused']} reused, {told['missing']} to run; {then}"


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

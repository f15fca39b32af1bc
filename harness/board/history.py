"""What a board says where its rules are younger than its trials: the facts of `record.history`, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.other_plans import others_stamps
from harness.board.verdict import rules_of
from harness.board.wording import counted
from harness.record.history import claim_keys

Json = dict[str, Any]

STATED_LATE = "; stated after the run: its trials were there when a plan first made this claim"


def past_of(
    plan: Mapping[str, Any], history: Mapping[str, Any] | None, others: Mapping[str, Any] | None = None
) -> Json:
    """Return what a board says of the age of its rules, by its key; empty where there is nothing to say.

    Args:
        plan: The board's plan.
        history: What `record.history.history_of` found of it.
        others: What `other_plans.run_under_others` found of its trials.
    """
    told = {
        "rules_fixed_late": late_rules(history),
        "compared_before": looks_before(plan, history),
        "run_under_other_plans": others,
    }
    return {key: value for key, value in told.items() if value is not None}


def past_stamps(past: Mapping[str, Any]) -> list[str]:
    """Return the stamps of what `past_of` found, a line each."""
    return [
        *late_stamps(past.get("rules_fixed_late")),
        *before_stamps(past.get("compared_before")),
        *others_stamps(past.get("run_under_other_plans")),
    ]


def late_rules(history: Mapping[str, Any] | None) -> Json | None:
    """Return the board's `rules_fixed_late`; None where no arm that is compared had been run, or nothing is known.

    Trials of a baseline alone show no difference.

    Args:
        history: What `record.history.history_of` found of the board's plan.
    """
    if history is None or not history["judged_there"]:
        return None
    return {key: history[key] for key in ("at", "trials", "there", "judged", "judged_there", "earlier")}


def late_stamps(late: Mapping[str, Any] | None) -> list[str]:
    """Return the stamp of such a board, in one line; none for any other."""
    if late is None:
        return []
    told = (
        f"rules fixed late: {late['there']:,} of {counted(late['trials'], 'trial')} had been run when this plan "
        "(its arms, replicates, level, margins and claims) was stored"
    )
    if (earlier := late["earlier"]) is None:
        return [f"{told}; no earlier plan of this folder judges any of them"]
    return [
        f"{told}; {counted(earlier['plans'], 'earlier plan')} of this folder "
        f"{'judges' if earlier['plans'] == 1 else 'judge'} some of them ("
        f"family of {_span(earlier['family'], 'arm')}, α {_span(earlier['alpha'])}, "
        f"margin {_span(earlier['margin_points'], 'point')}, {_span(earlier['replicates'], 'replicate')})"
    ]


def looks_before(plan: Mapping[str, Any], history: Mapping[str, Any] | None) -> Json | None:
    """Return the board's `compared_before`; None where the log knows of no look beside those that its plan counts."""
    if history is None or not (history.get("other_arms") or history.get("other_seeds")):
        return None
    return {
        "other_arms": history["other_arms"],
        "other_seeds": history["other_seeds"],
        "family": rules_of(plan, 0).family,
    }


def before_stamps(before: Mapping[str, Any] | None) -> list[str]:
    """Return the stamps of such a board; none for any other."""
    if before is None:
        return []
    arms, seeds = before["other_arms"], before["other_seeds"]
    were = "arm of this folder was" if arms == 1 else "arms of this folder were"
    by_arms = (
        f"compared before: {arms:,} other {were} compared with the same baseline trials before this plan was "
        f"stored; the family here is {counted(before['family'], 'arm')}"
    )
    by_seeds = (
        "run before with another seed: arms of these recipes were compared in this folder with "
        f"{counted(seeds, 'other seed')} before this plan was stored"
    )
    return [by_arms] * bool(arms) + [by_seeds] * bool(seeds)


def say_what_came_late(
    claims: Sequence[Json], plan: Mapping[str, Any], history: Mapping[str, Any] | None
) -> None:
    """Add to the reasons of a plan's claims, in its order, that were made when their trials were there."""
    if history is None or not (late := set(history["late_claims"])):
        return
    for claim, key in zip(claims, claim_keys(plan), strict=True):
        if key in late:
            claim["reason"] = f"{claim['reason']}{STATED_LATE}"


def _span(ends: Sequence[float], noun: str = "") -> str:
    low, high = (f"{end:,}" if isinstance(end, int) else f"{end:.3g}" for end in ends)
    text = low if low == high else f"{low} to {high}"
    return f"{text} {noun}{'' if low == high == '1' else 's'}" if noun else text

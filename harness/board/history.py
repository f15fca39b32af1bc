"""What a board says where its rules are younger than its trials: the facts of `record.history`, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.wording import counted
from harness.record.history import claim_key

Json = dict[str, Any]

STATED_LATE = "; stated after the run: its trials were there when a plan first made this claim"


def late_rules(history: Mapping[str, Any] | None) -> Json | None:
    """Return the board's `rules_fixed_late`; None where no arm that is compared had been run, or nothing is known.

    Trials of a baseline alone show no difference: an arm may be added beside them.

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


def say_what_came_late(claims: Sequence[Json], history: Mapping[str, Any] | None) -> None:
    """Add to the reasons of claims that were made when their trials were there."""
    late = set(history["late_claims"]) if history is not None else set()
    for claim in claims:
        if late and claim_key(claim) in late:
            claim["reason"] = f"{claim['reason']}{STATED_LATE}"


def _span(ends: Sequence[float], noun: str = "") -> str:
    low, high = (f"{end:,}" if isinstance(end, int) else f"{end:.3g}" for end in ends)
    text = low if low == high else f"{low} to {high}"
    return f"{text} {noun}{'' if low == high == '1' else 's'}" if noun else text

"""Ranks as people read them: a tie is shown as a tie, wherever a rank stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.board import wording

Json = Mapping[str, Any]


def open_ranks(row: Json) -> str:
    """Return the ranks that an arm may have as well, `1–4`; empty where there is but its own, or no interval."""
    interval = row.get("rank_interval")
    if not interval or row["rank"] is None or interval[0] == interval[1]:
        return ""
    return f"{interval[0]}–{interval[1]}"


def rank(row: Json) -> str:
    """Return `2 (1–4)`: the rank by the mean, and those that the tests leave open."""
    beside = open_ranks(row)
    return f"{wording.rank(row)} ({beside})" if beside else wording.rank(row)


def ranks_note(board: Json) -> str:
    """Return what the ranks rest on, in a sentence; empty where there is nothing to rank."""
    ranks = board.get("ranks")
    if not ranks or sum(row["rank"] is not None for row in board["rows"]) < 2:
        return ""
    if ranks.get("reason"):
        return f"Ranks go by the mean alone, and neighbours may be ties: {wording.plain(ranks['reason'])}."
    return "Ranks from–to: those that all pairs of arms leave open, after Holm; rows stand by the mean."

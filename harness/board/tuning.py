"""What a board says of tuning: the setting that won, what the search cost, whether it came to the end of a range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.board.wording import count, decimal, duration, plain

Json = dict[str, Any]

_OUTCOME = ("k", "setting", "status", "validation_top1", "train_seconds", "training_flops")


def tuned_of(arm: Mapping[str, Any], row: Mapping[str, Any]) -> Json:
    """Return what a row says of its arm's tuning; nothing where there was none.

    Args:
        arm: The plan's arm.
        row: Its row so far.

    Returns:
        `tuned`: as the plan has it, and `trainings`: the FLOPs of the whole search in those of one trial of the arm,
        None where either is unknown. A setting that costs more than another counts as more.
    """
    tuned = arm.get("tuned")
    if not tuned:
        return {}
    spent, one = tuned.get("training_flops"), row.get("training_flops")
    return {"tuned": {**tuned, "trainings": spent / one if spent is not None and one else None}}


def stamps_of(arm: Mapping[str, Any]) -> list[str]:
    """Return what a reader has to know of an arm's tuning before believing its row."""
    tuned = arm.get("tuned") or {}
    stamps = []
    if edge := tuned.get("edge"):
        paths = ", ".join(map(str, edge))
        stamps.append(f"tuning: the best {paths} lies at the end of what was searched")
    if tuned and tuned.get("validation_top1") is None:
        stamps.append(f"tuning: all {tuned['trials']} trials failed; the arm runs at its own setting")
    return stamps


def tuning_of(plan: Mapping[str, Any]) -> Json | None:
    """Return every trial of every arm's search, in the plan's order; None where nothing was tuned."""
    tuning = plan.get("tuning") or {}
    if not tuning.get("arms"):
        return None
    order = [str(arm["name"]) for arm in plan.get("arms", [])]
    return {
        **{key: tuning.get(key) for key in ("trials", "method", "replicates", "metric", "plan", "space")},
        "arms": {
            name: [{key: one.get(key) for key in _OUTCOME} for one in tuning["arms"][name]]
            for name in order
            if name in tuning["arms"]
        },
    }


def setting_words(setting: Mapping[str, Any]) -> str:
    """Return a setting in words: `optimizer.lr = 0.1, schedule.warmup = 0.05`."""
    return ", ".join(f"{plain(path)} = {value_words(value)}" for path, value in setting.items())


def space_words(space: Mapping[str, Any]) -> str:
    """Return what was searched in words: `optimizer.lr from 0.01 to 1 (logarithmic), schedule.warmup 0 or 0.1`."""
    return ", ".join(f"{plain(path)} {_domain(domain)}" for path, domain in space.items())


def tuned_words(row: Mapping[str, Any]) -> str:
    """Return what won for an arm and what the search cost, in one phrase; empty where nothing was tuned."""
    tuned = row.get("tuned")
    if not tuned:
        return ""
    where = (
        "its own setting" if tuned.get("k") == 0 else f"the {_ordinal(tuned['k'] + 1)} of {tuned['trials']}"
    )
    score = tuned["validation_top1"]
    seen = "" if score is None else f", {decimal(score)} % on validation"
    cost = "" if tuned.get("trainings") is None else f", for the FLOPs of {tuned['trainings']:.3g} trainings"
    return f"tuned: {setting_words(tuned['setting'])} ({where}{seen}{cost})"


def tuning_line(board: Mapping[str, Any]) -> str:
    """Return how the arms were tuned and what it took in all, in one line; empty where nothing was tuned."""
    tuning = board.get("tuning")
    if not tuning:
        return ""
    # A copy of the baseline has its setting, and no search of its own.
    rows = [row["tuned"] for row in board["rows"] if row.get("tuned") and row["arm"] in tuning["arms"]]
    each = f"{tuning['trials']} settings of each arm, its own first ({plain(tuning['method'])})"
    if tuning["replicates"] > 1:
        each += f", each on {tuning['replicates']} replicates"
    flops, seconds = (_total(rows, key) for key in ("training_flops", "train_seconds"))
    cost = [f"{count(flops)} FLOPs"] if flops else []
    cost += [f"{duration(seconds)} of training"] if seconds else []
    spent = f"; {' and '.join(cost)} in all" if cost else ""
    return f"Tuning: {each}, chosen on the validation split, run anew on fresh replicates{spent}."


def _total(rows: list[Json], key: str) -> float | None:
    known = [row[key] for row in rows if row.get(key) is not None]
    return sum(known) if known else None


def _domain(domain: Any) -> str:
    if not isinstance(domain, Mapping):
        return " or ".join(map(value_words, domain))
    scale = " (logarithmic)" if domain.get("log") else ""
    step = f" in steps of {value_words(domain['step'])}" if domain.get("step") is not None else ""
    return f"from {value_words(domain['low'])} to {value_words(domain['high'])}{scale}{step}"


def value_words(value: Any) -> str:
    """Return a value of a setting as a reader of a suite file knows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"

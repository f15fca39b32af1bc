"""When a plan was stored in a results folder, and what had been run by then: `plans/log.jsonl`, one line a plan.

A plan fixes its rules before the first trial only where it was there before the first trial. The log says so in facts:
how many of a plan's trials had a record when it was stored for the first time, which earlier plans of the folder judge
the same trials, which of its claims none of them made, and what the others compared beside (`other_looks`). It is only
ever added to. Lines that are torn or not of this form say nothing, and a plan without a line (a folder older than the
log) has no history.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from harness.errors import StoreError
from harness.record import files
from harness.record.other_looks import count_other_arms, count_other_seeds
from harness.record.plans import misfit_of, read_plan
from harness.registry.digests import digest_json

Json = dict[str, Any]

_COUNTS = ("trials", "there", "judged", "judged_there")
_LATER_COUNTS = ("other_arms", "other_seeds")
"""What lines of before these were counted lack; it is 0 there."""
_RULES = ("family", "alpha", "margin_points", "replicates")


def note_plan(root: Path, plan: Mapping[str, Any]) -> None:
    """Add the line of a plan that is about to be stored for the first time; one that has a line keeps it.

    What a search stores is not noted, nor what contradicts itself: no board is made of it.

    Args:
        root: The results folder of one suite.
        plan: The plan as JSON; its file is not there yet.

    Raises:
        StoreError: Where the disk refuses.
    """
    if misfit_of(plan) or _is_search(plan) or any(line["plan"] == plan["hash"] for line in _lines(root)):
        return
    files.append_line(_path(root), orjson.dumps(_line(root, plan)))


def history_of(root: Path, plan: str) -> Json | None:
    """Return what the log says of a plan, or None.

    Of several lines (those of merged folders) the one counts by which most had been run; of `other_arms` and
    `other_seeds` the largest.

    Args:
        root: The results folder of one suite.
        plan: The plan's hash.

    Returns:
        `{plan, at, trials, there, judged, judged_there, earlier, late_claims, other_arms, other_seeds}`: the plan's
        hash; when it was stored (UTC); how many trials it has and how many had a record then; the same of arms that are
        compared with another; `earlier`, null or `{plans, family, alpha, margin_points, replicates}` of the earlier
        plans that judge trials of this one, each rule as `[smallest, largest]`; the keys (`claim_keys`) of claims that
        none of these made before; how many other arms the earlier plans beside them compared with the same baseline
        trials; and with how many other seeds they compared arms of the same recipes.
    """
    lines = [line for line in _lines(root) if line["plan"] == plan]
    if not lines:
        return None
    most = max(lines, key=lambda line: int(line["judged_there"]))
    return most | {key: max(line.get(key, 0) for line in lines) for key in _LATER_COUNTS}


def carry_history(sources: Iterable[Path], into: Path) -> None:
    """Add to a folder's log what the logs of others say and its own does not.

    Raises:
        StoreError: Where the disk refuses.
    """
    known = list(_lines(into))
    for source in sources:
        for line in _lines(source):
            if line not in known:
                known.append(line)
                files.append_line(_path(into), orjson.dumps(line))


def claim_keys(plan: Mapping[str, Any]) -> list[str]:
    """Return what makes two claims the same, for each of a plan: what its arms are, metric and effect.

    An arm is its first trial. Names do not tell: in a grid whose cells were put in another order they stand for others.
    """
    if not (claims := plan.get("claims")):
        return []
    trials = sorted(plan.get("trials", []), key=lambda trial: int(trial["replicate"]), reverse=True)
    first = {trial["arm"]: trial["id"] for trial in trials}
    return [
        digest_json(
            [first.get(claim.get(side)) for side in ("arm", "against")]
            + [claim.get(key) for key in ("metric", "claimed")]
        )
        for claim in claims
    ]


def _path(root: Path) -> Path:
    return root / "plans" / "log.jsonl"


def _lines(root: Path) -> Iterator[Json]:
    try:
        data = _path(root).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StoreError(f"{_path(root)}: cannot be read: {error.strerror}") from error
    for text in data.split(b"\n"):
        try:
            line = orjson.loads(text)
        except ValueError:
            continue
        if _is_line(line):
            yield line


def _is_line(line: Any) -> bool:
    if not isinstance(line, dict) or not all(isinstance(line.get(key), str) for key in ("plan", "at")):
        return False
    earlier, claims = line.get("earlier"), line.get("late_claims")
    return (
        all(type(line.get(key)) is int for key in _COUNTS)
        and all(type(line.get(key, 0)) is int for key in _LATER_COUNTS)
        and (earlier is None or _is_earlier(earlier))
        and isinstance(claims, list)
        and all(isinstance(one, str) for one in claims)
    )


def _is_earlier(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("plans")) is int
        and all(
            isinstance(ends := value.get(key), list)
            and len(ends) == 2
            and all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
            for key in _RULES
        )
    )


def _line(root: Path, plan: Mapping[str, Any]) -> Json:
    trials = {trial["id"] for trial in plan["trials"]}
    judged = _judged(plan)
    there = _recorded(root, trials)
    seen = there & judged
    others = list(_others(root, plan))
    earlier = [one for one in others if seen and not _judged(one).isdisjoint(trials)]
    told = {one["hash"] for one in earlier}
    apart = [one for one in others if one["hash"] not in told]
    recorded = _recorded(root, {trial["id"] for one in apart for trial in one["trials"]})
    arms_there = {trial["arm"] for trial in plan["trials"] if trial["id"] in there}
    late = {line["plan"]: line["late_claims"] for line in _lines(root)}
    stated = {key for one in earlier for key in claim_keys(one) if key not in late.get(one["hash"], ())}
    return {
        "plan": plan["hash"],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "trials": len(trials),
        "there": len(there),
        "judged": len(judged),
        "judged_there": len(seen),
        "earlier": _ranges(earlier),
        "late_claims": [
            key
            for claim, key in zip(plan.get("claims") or [], claim_keys(plan), strict=True)
            if {claim.get("arm"), claim.get("against")} <= arms_there and key not in stated
        ],
        "other_arms": count_other_arms(plan, apart, recorded),
        "other_seeds": count_other_seeds(plan, apart, recorded),
    }


def _judged(plan: Mapping[str, Any]) -> set[str]:
    """Return the trials of the arms that a plan compares with another."""
    arms = set(_compared(plan))
    return {trial["id"] for trial in plan["trials"] if trial["arm"] in arms}


def _compared(plan: Mapping[str, Any]) -> list[str]:
    return [
        arm["name"]
        for arm in plan["arms"]
        if arm.get("compared", True) and arm["name"] != (arm.get("against") or plan.get("baseline"))
    ]


def _recorded(root: Path, trials: Iterable[str]) -> set[str]:
    """Return those of the trials that have a record, whatever it says; a checkpoint alone shows nobody a result."""
    folder = f"{root}/trials"
    try:
        names = set(os.listdir(folder))  # noqa: PTH208 - a hundred thousand names
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:  # nobody may say that nothing had been run
        raise StoreError(f"{folder}: cannot be read: {error.strerror}") from error
    return {
        trial
        for trial in names.intersection(trials)
        if os.path.exists(f"{folder}/{trial}/0.json")  # noqa: PTH110 - as many as there are trials
        or any(Path(folder, trial).glob("*.json"))
    }


def _others(root: Path, plan: Mapping[str, Any]) -> Iterator[Json]:
    """Yield the other plans of the folder that a board is made of."""
    for path in sorted((root / "plans").glob("*.json")):
        try:
            one = read_plan(path)
        except StoreError:
            continue
        if one["hash"] != plan["hash"] and not _is_search(one):
            yield one


def _ranges(plans: Sequence[Mapping[str, Any]]) -> Json | None:
    """Return of how many plans what their rules span; None of none."""
    if not plans:
        return None
    values = {key: [one.get(key) or 0 for one in plans] for key in _RULES if key != "family"}
    values["family"] = [len(_compared(one)) for one in plans]
    return {"plans": len(plans), **{key: [min(values[key]), max(values[key])] for key in _RULES}}


def _is_search(plan: Mapping[str, Any]) -> bool:
    return bool((plan.get("tuning") or {}).get("is_search"))

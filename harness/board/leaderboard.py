"""The board: a pure function of plan, records and timings. No clock, no host, no environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from harness.board import measures, rows, speed
from harness.board.curves import curves_of
from harness.board.environment import accuracy_stamps, shared_of, speed_hosts
from harness.board.parents import parents_of
from harness.board.previews import previews_of
from harness.board.select import ArmTrials, Record, number_at, select, value_at
from harness.board.verdict import Comparison, Rules, compare, rules_of

SCHEMA = 1
Json = dict[str, Any]


def build(
    plan: Mapping[str, Any],
    records: Sequence[Record],
    timings: Sequence[Record],
    set_aside: Sequence[Any] = (),
    *,
    shared: Mapping[str, Any] | None = None,
    preview: Mapping[str, Any] | None = None,
) -> Json:
    """Return the board as JSON: equal input gives equal output, whatever the order of the records.

    Args:
        plan: The plan as JSON.
        records: Trial records; every attempt of a trial may be among them.
        timings: Timing records.
        set_aside: What the store could not read, shown as it is.
        shared: By hash, what the records' `refs` stand for; what is absent is not shown.
        preview: What `previews.read_preview` found; one of another plan is left out, and a note says so.
    """
    shared = shared or {}
    arms: dict[str, Json] = {str(arm["name"]): arm for arm in plan.get("arms", [])}
    name = str(plan.get("baseline"))
    trials, notes = select(plan, records)
    baseline = trials.get(name, ArmTrials(name, ()))
    rules = rules_of(plan, _test_count(plan, arms.get(name, {})))
    chances = {arm: _chance(plan, arms[arm], trials[arm]) for arm in arms}
    board_rows = {arm: rows.row_of(arms[arm], trials[arm], chances[arm], rules.alpha) for arm in arms}
    stamps = {arm: rows.stamps_of(arms[arm], board_rows[arm], trials[arm], baseline) for arm in arms}
    for arm in arms:
        if not arms[arm].get("compared", True):
            board_rows[arm]["compared"] = False
        elif arms[arm].get("data") != arms.get(name, {}).get("data") and _other_test(
            plan, arms[arm], arms.get(name, {})
        ):
            stamps[arm].append("not comparable: test data")
    comparisons = compare(
        {
            arm: rows.paired(trials[arm], baseline, chances[arm], chances.get(name, 0.0))
            for arm in arms
            if arm != name and arms[arm].get("compared", True)
        },
        _refusals(plan, name, board_rows, stamps),
        rules,
    )
    counted = [record for arm in trials.values() for record in arm.counted.values()]
    notes += accuracy_stamps(counted, shared)
    rounds = speed.rounds_of(timings)
    if speed_hosts((timing for arm in rounds.values() for timing in arm.values()), shared) > 1:
        notes.append("speed not shown: the timings come from different machines")
        rounds = {}
    previews, left_out = previews_of(plan, preview)
    notes += left_out
    for arm, row in board_rows.items():
        row |= {"baseline": arm == name, **_compared(comparisons.get(arm))}
        if not row.get("compared", True):
            row["reason"] = "not compared: trained for other arms, neither ranked nor tested"
        row |= parents_of(arm, arms, trials[arm], board_rows)
        row |= speed.speed_of(rounds.get(arm, {}), rounds.get(name, {}))
        if noisy := speed.noisy_rounds(rounds.get(arm, {})):
            stamps[arm].append(f"noisy: {noisy} of {row['timing_rounds']} timing rounds")
        row |= measures.timed(rounds.get(arm, {}))
        row |= measures.trained(trials[arm], number_at(plan, "measure", "target_top1"))
        stamps[arm] += measures.stamps_of(trials[arm], rounds.get(arm, {}))
        for column in ("training_flops", "train_seconds"):
            row[f"{column}_ratio"] = _ratio(row[column], board_rows.get(name, {}).get(column))
            if cost := row.get("parents_cost"):
                cost[f"{column}_ratio"] = _ratio(cost[column], board_rows.get(name, {}).get(column))
        row["stamps"] = stamps[arm]
    return {
        "schema": SCHEMA,
        "protocol": plan.get("protocol"),
        "suite": plan.get("suite"),
        "plan": plan.get("hash"),
        "baseline": name,
        "settings": _settings(plan, rules),
        "verdicts": bool(plan.get("verdicts")),
        "verdicts_reason": str(plan.get("verdicts_reason") or ""),
        "stamps": notes,
        "data": _data(plan, arms),
        "rows": _ranked(board_rows),
        "curves": {arm: curves_of(trials[arm].good.values()) for arm in arms},
        "failures": [failure for arm in arms for failure in rows.failures_of(trials[arm])],
        "set_aside": sorted(
            set_aside, key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS, default=str)
        ),
        "pipelines": {arm: _pipeline(trials[arm], shared) for arm in arms},
        "hosts": _known(shared_of([*counted, *timings], "host", shared)),
        "code": _known(shared_of(counted, "code", shared)),
        "reproduce": _reproduce(plan, counted, shared),
        **({"previews": previews} if previews else {}),
    }


def _refusals(
    plan: Mapping[str, Any], baseline: str, board_rows: Mapping[str, Json], stamps: Json
) -> dict[str, str]:
    """Say for each arm why it gets no verdict, where that does not hang on its differences."""
    general = None
    if not plan.get("verdicts"):
        general = f"no verdict: {plan.get('verdicts_reason') or 'the plan asks for none'}"
    elif baseline not in board_rows or not board_rows[baseline]["replicates"]["good"]:
        general = f'no verdict: the baseline "{baseline}" has no result'
    elif rows.is_unstable(board_rows[baseline]):
        general = f'no verdict: the baseline "{baseline}" is unstable'
    refusals = {}
    for arm, row in board_rows.items():
        own = next((f"no verdict: {stamp}" for stamp in stamps[arm] if stamp.startswith(_NO_VERDICT)), None)
        if row["top1"] is None:
            own = own or "no verdict: no replicate has a result"
        if reason := own or general:
            refusals[arm] = reason
    return refusals


_NO_VERDICT = ("not run", "failed", "not comparable")


def _ranked(board_rows: Mapping[str, Json]) -> list[Json]:
    """Return the rows by mean accuracy with their ranks, equal means sharing one; what cannot be ranked comes last."""

    def is_ranked(row: Json) -> bool:
        if row["top1"] is None or not row.get("compared", True):
            return False
        return not any(stamp.startswith(_NO_VERDICT) for stamp in row["stamps"])

    ranked = sorted(
        filter(is_ranked, board_rows.values()), key=lambda row: (-row["top1"]["mean"], row["arm"])
    )
    for position, row in enumerate(ranked, start=1):
        above = ranked[position - 2] if position > 1 else None
        tied = above is not None and above["top1"]["mean"] == row["top1"]["mean"]
        row["rank"] = above["rank"] if above is not None and tied else position
    rest = sorted((row for row in board_rows.values() if not is_ranked(row)), key=lambda row: row["arm"])
    return [*ranked, *({**row, "rank": None} for row in rest)]


def _compared(comparison: Comparison | None) -> Json:
    if comparison is None:
        return {"difference": None, "verdict": None, "reason": "the baseline"}
    told = asdict(comparison)
    numbers = {key: told[key] for key in ("nonzero", "p", "p_holm", "p_equal", "detectable")}
    difference = rows.shown(comparison.difference)
    return {
        "difference": None if difference is None else {**difference, **numbers},
        "verdict": comparison.verdict,
        "reason": comparison.reason,
    }


def _settings(plan: Mapping[str, Any], rules: Rules) -> Json:
    return {
        "alpha": rules.alpha,
        "margin_points": rules.margin,
        "equal_margin_points": rules.equal_margin,
        "family": rules.family,
        "needed_replicates": rules.needed,
        "replicates": plan.get("replicates"),
        "seed": plan.get("seed"),
        "timing_rounds": value_at(plan.get("timing"), "rounds"),
    }


def _manifest(plan: Mapping[str, Any], arm: Json) -> Json:
    return (plan.get("manifests") or {}).get(arm.get("data")) or {}


def _classes(manifest: Json) -> int:
    classes = manifest.get("classes")
    return len(classes) if isinstance(classes, list) else int(classes or 0)


def _test_count(plan: Mapping[str, Any], arm: Json) -> int:
    return int(number_at(_manifest(plan, arm), "splits", "test", "count") or 0)


def _other_test(plan: Mapping[str, Any], arm: Json, baseline: Json) -> bool:
    own, other = (value_at(_manifest(plan, one), "splits", "test", "digest") for one in (arm, baseline))
    return own is None or own != other


def _chance(plan: Mapping[str, Any], arm: Json, trials: ArmTrials) -> float:
    """Return the accuracy of guessing, in points: from the manifest, else from what a record says of it."""
    if classes := _classes(_manifest(plan, arm)):
        return 100.0 / classes
    told = (number_at(record, "chance_top1") for record in trials.counted.values())
    return next((value for value in told if value is not None), 0.0)


def _data(plan: Mapping[str, Any], arms: Mapping[str, Json]) -> list[Json]:
    users = {str(arm["data"]): arm for arm in arms.values() if arm.get("data")}
    manifests = plan.get("manifests") or {}
    found = [(digest, manifests.get(digest) or {}) for digest in sorted(users)]
    return [
        {
            "hash": digest,
            "dataset": _dataset_name(value_at(users[digest], "recipe", "dataset")) or manifest.get("dataset"),
            "classes": _classes(manifest),
            "licence": manifest.get("licence"),
            "train": value_at(manifest, "splits", "train", "count"),
            "test": value_at(manifest, "splits", "test", "count"),
        }
        for digest, manifest in found
    ]


def _dataset_name(normal: Any) -> str:
    """Return a dataset as people say it: `subset of digits`."""
    if not isinstance(normal, dict):
        return ""
    inner = next(
        (v for v in (normal.get("params") or {}).values() if isinstance(v, dict) and "name" in v), None
    )
    name = str(normal.get("name") or "")
    return f"{name} of {_dataset_name(inner)}" if inner else name


def _ratio(own: float | None, other: float | None) -> float | None:
    return own / other if own is not None and other else None


def _pipeline(trials: ArmTrials, shared: Mapping[str, Any]) -> str | None:
    texts = shared_of(trials.counted.values(), "pipeline", shared).values()
    return next((text for text in texts if isinstance(text, str)), None)


def _known(values: Json) -> list[Any]:
    return [value for value in values.values() if value is not None]


def _reproduce(plan: Mapping[str, Any], counted: Sequence[Record], shared: Mapping[str, Any]) -> list[str]:
    """Return the commands that lead here: the code's commit where it is known, then how the run was started."""
    commits = {value_at(code, "commit") for code in shared_of(counted, "code", shared).values()} - {None}
    commands = {
        value_at(session, "command") for session in shared_of(counted, "session", shared).values()
    } - {None}
    checkout = [f"git checkout {commit}" for commit in sorted(map(str, commits))] if len(commits) == 1 else []
    return [*checkout, *(sorted(map(str, commands)) or [f"harness run {plan.get('suite')}.toml"])]

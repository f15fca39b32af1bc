"""The board: a pure function of plan, records and timings. No clock, no host, no environment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from harness.board import in_seconds, measures, rows, speed, tuning
from harness.board.aggregate import aggregate_of
from harness.board.by_class import by_class_of
from harness.board.calibration import calibration_of, splits_of
from harness.board.claims import Measured, claims_family, claims_of
from harness.board.comparability import comparability_of, comparable_records, comparable_timings
from harness.board.curves import curves_of
from harness.board.data import chance_of, data_of, test_count_of
from harness.board.environment import environment_stamps, origin_stamps, shared_of
from harness.board.equal_compute import equal_compute_of
from harness.board.history import past_of, past_stamps, say_what_came_late
from harness.board.interim import not_timed, rounds_measured, waits_by_arm
from harness.board.other_plans import run_under_others
from harness.board.parents import parents_of
from harness.board.pareto import copies_of, with_pareto
from harness.board.previews import previews_of
from harness.board.ranks import rank_intervals, ranked
from harness.board.refusals import alike_of, refusals_of, stamps_by_arm, why_no_verdicts
from harness.board.reproduce import reproduce_of
from harness.board.select import ArmTrials, Record, number_at, placed_in, rests_of, select, value_at
from harness.board.set_aside import stamps_of as set_aside_stamps
from harness.board.speed_verdict import MARGIN as SPEED_MARGIN
from harness.board.speed_verdict import MEMORY_MARGIN, speed_verdicts
from harness.board.time_split import time_split_of, trials_of
from harness.board.two_level import two_level_of
from harness.board.verdict import Comparison, Rules, against_of, compare, rules_of
from harness.record.attempt import Attempt, attempts_of
from harness.record.halves import beside
from harness.suite.plan import NON_INFERIORITY_POINTS

SCHEMA = 1
MANY = 5000
"""Records from which a second process and numpy pay."""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Study:
    """What a board is made from, in order: the plan, what counts under it, and what is compared with what.

    Attributes:
        plan: The plan as JSON.
        arms: Of the plan, by name.
        trials: By arm, the records that count.
        rounds: By arm and round, the timings that do.
        waits: By arm, why its rounds are not judged yet.
        chances: By arm, the accuracy of guessing, in points.
        against: By arm, what it is compared with; the baseline of a cell names itself.
        rules: What the plan fixed.
    """

    plan: Mapping[str, Any]
    arms: Mapping[str, Json]
    trials: Mapping[str, ArmTrials]
    rounds: Mapping[str, Mapping[int, Record]]
    waits: Mapping[str, str]
    chances: Mapping[str, float]
    against: Mapping[str, str]
    rules: Rules


def build(
    plan: Mapping[str, Any],
    records: Iterable[Mapping[str, Any] | Attempt],
    timings: Sequence[Record],
    set_aside: Sequence[Any] = (),
    *,
    shared: Mapping[str, Any] | None = None,
    preview: Mapping[str, Any] | None = None,
    history: Mapping[str, Any] | None = None,
    allow_mixed: bool = False,
) -> Json:
    """Return the board as JSON: equal input gives equal output, whatever the order of the records.

    Args:
        plan: The plan as JSON.
        records: Trial records, as JSON or flat; every attempt of a trial may be among them.
        timings: Timing records.
        set_aside: What the store could not read, shown as it is.
        shared: By hash, what the records' `refs` stand for; what is absent is not shown.
        preview: What `previews.read_preview` found; one of another plan is left out, and a note says so.
        history: What `record.history.history_of` found of the plan; without it nothing is said of its age.
        allow_mixed: Pool what may not be compared, and say so.
    """
    shared, attempts = shared or {}, attempts_of(records)
    if len(attempts) >= MANY:
        import numpy  # noqa: F401 - from here on `columns` uses it, in both processes
    arms: dict[str, Json] = {str(arm["name"]): arm for arm in plan.get("arms", [])}
    name = str(plan.get("baseline"))
    accuracy = comparable_records(plan, placed_in(plan, attempts), shared, allow_mixed=allow_mixed)
    pace = comparable_timings(plan, timings, shared, allow_mixed=allow_mixed)
    timings = pace.members
    trials, notes = select(plan, accuracy.members)
    rules = rules_of(plan, test_count_of(plan, arms.get(name, {})))
    against = {arm: against_of(plan, arms[arm]) for arm in arms}
    chances = {arm: chance_of(plan, arms[arm], trials[arm]) for arm in arms}
    rounds, measured = speed.rounds_of(timings), rounds_measured(timings)
    waits = waits_by_arm(plan, arms, against, measured, rounds)
    study = Study(plan, arms, trials, rounds, waits, chances, against, rules)
    with beside(lambda: _apart(study), is_worth_it=len(attempts) >= MANY) as apart:
        board_rows = _judged(study)
        ranks, intervals = rank_intervals(board_rows, trials, chances, against, rules, why_no_verdicts(plan))
        curves = curves_of({arm: trials[arm] for arm in arms}, rules.alpha)
        extents, by_class, splits = next(apart)
    for arm, row in board_rows.items():
        row["rank_interval"] = intervals.get(arm)
        row["two_level"], of_difference = extents[arm]
        if row["difference"] is not None:
            row["difference"]["two_level"] = of_difference
        row["equal_compute"] = _equal_compute(row, board_rows, curves)
    counts = rests_of(trials.values())
    counted = [rest for rest, _ in counts]
    notes += [*accuracy.notes, *in_seconds.notes_of(plan), *environment_stamps(counted, timings, shared)]
    notes += [*origin_stamps(counts, timings, shared), *pace.notes, *not_timed(plan, measured)]
    previews, left_out = previews_of(plan, preview)
    notes += [*left_out, *set_aside_stamps(set_aside, shared)]
    claims = claims_of(plan, Measured(arms, board_rows, trials, chances, rounds, measured), rules)
    say_what_came_late(claims, plan, history)
    past = past_of(plan, history, run_under_others(plan, trials, against, history))
    return {
        "schema": SCHEMA,
        "protocol": plan.get("protocol"),
        "suite": plan.get("suite"),
        "plan": plan.get("hash"),
        "baseline": name,
        "settings": _settings(plan, rules),
        "verdicts": bool(plan.get("verdicts")),
        "verdicts_reason": str(plan.get("verdicts_reason") or ""),
        "comparability": comparability_of(accuracy, pace),
        "stamps": [*past_stamps(past), *notes],
        **past,
        "data": data_of(plan, arms),
        "rows": with_pareto(ranked(board_rows, against), rounds, rules.alpha, copies_of(plan)),
        "ranks": ranks,
        "aggregate": aggregate_of(plan, arms, board_rows, trials, chances, against, rules.alpha),
        "curves": curves,
        "failures": [failure for arm in arms for failure in rows.failures_of(trials[arm])],
        "set_aside": sorted(
            set_aside, key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS, default=str)
        ),
        "pipelines": {arm: _pipeline(trials[arm], shared) for arm in arms},
        "hosts": _known(shared_of([*counted, *timings], "host", shared)),
        "code": _known(shared_of([*counted, *timings], "code", shared)),
        "reproduce": reproduce_of(plan, counted, timings, shared),
        "by_class": by_class,
        "calibration": calibration_of(plan, splits, board_rows, rounds, rules),
        **({"previews": previews} if previews else {}),
        **({"claims": claims} if claims else {}),
        **({"tuning": tuned} if (tuned := tuning.tuning_of(plan)) else {}),
    }


def _apart(study: Study) -> Iterator[Any]:
    """Yield the intervals over test examples, the classes and the splits: no verdict hangs on them."""
    alike, alpha = alike_of(study.plan, study.arms, study.against), study.rules.alpha
    # All at once: a part that waits to be read would keep the next from being begun.
    yield (
        two_level_of(study.trials, alike, alpha, alpha / study.rules.family),
        by_class_of(study.plan, study.trials, study.rules.alpha),
        splits_of(study.trials, study.rounds, study.rules.seed),
    )


def _judged(study: Study) -> dict[str, Json]:
    """Return the rows by arm, each compared with its baseline in accuracy, speed, memory and cost."""
    rules, arms, trials, rounds = study.rules, study.arms, study.trials, study.rounds
    board_rows = {arm: rows.row_of(arms[arm], trials[arm], study.chances[arm], rules.alpha) for arm in arms}
    baselines = {one: trials.get(one, ArmTrials(one, ())) for one in study.against.values()}
    stamps = stamps_by_arm(study.plan, arms, board_rows, trials, baselines)
    pairs = {
        # Nothing lies apart where one side has no result at all.
        arm: rows.paired(trials[arm], baselines[base], study.chances[arm], study.chances.get(base, 0.0))
        if trials[arm].good and baselines[base].good
        else []
        for arm, base in study.against.items()
        if arm != base and arms[arm].get("compared", True)
    }
    refusals = refusals_of(study.plan, study.against, board_rows, stamps)
    comparisons = compare(pairs, refusals, rules)
    margin = number_at(study.plan, "non_inferiority_points")
    paces = speed_verdicts(
        rounds,
        study.against,
        pairs,
        refusals,
        rules,
        NON_INFERIORITY_POINTS if margin is None else margin,
        study.waits,
        number_at(study.plan, "timing", "seconds"),
    )
    speeds = {
        arm: speed.speed_of(rounds.get(arm, {}), rounds.get(base, {})) for arm, base in study.against.items()
    }
    for arm, row in board_rows.items():
        base = study.against[arm]
        row |= {"baseline": arm == base, "against": base, **_compared(comparisons.get(arm))}
        row |= {"two_level": None, "p_better": None}
        row |= parents_of(arm, arms, trials[arm], board_rows)
        if pairs.get(arm) and base in arms:
            row["p_better"] = _p_better(study, arm)
        if not row.get("compared", True):
            row["reason"] = "not compared: trained for other arms, neither ranked nor tested"
        row |= speeds[arm] | paces[arm]
        if noisy := speed.noisy_rounds(rounds.get(arm, {})):
            stamps[arm].append(f"noisy: {noisy} of {row['timing_rounds']} timing rounds")
        row |= measures.timed(rounds.get(arm, {}))
        row |= measures.trained(trials[arm], number_at(study.plan, "measure", "target_top1"))
        row |= in_seconds.trained_of(arms[arm], trials[arm])
        stamps[arm] += in_seconds.stamps_of(arms[arm], row)
        stamps[arm] += measures.stamps_of(trials[arm], rounds.get(arm, {}))
        for column in ("training_flops", "train_seconds"):
            row[f"{column}_ratio"] = _ratio(row[column], board_rows.get(base, {}).get(column))
            if cost := row.get("parents_cost"):
                cost[f"{column}_ratio"] = _ratio(cost[column], board_rows.get(base, {}).get(column))
        stamps[arm] += speed.ratio_stamps(row, speeds.get(base, {}))
        row |= {"time_split": time_split_of(trials[arm]), "trials": trials_of(trials[arm])}
        row |= {key: arms[arm][key] for key in ("cell",) if arms[arm].get(key)}
        row |= tuning.tuned_of(arms[arm], row)
        stamps[arm] += tuning.stamps_of(arms[arm])
        row["stamps"] = stamps[arm]
    return board_rows


def _p_better(study: Study, arm: str) -> Json | None:
    """Return the odds that a replicate of an arm is more accurate than one of its baseline."""
    other = study.against[arm]
    return rows.better_of(
        study.trials[arm],
        study.trials[other],
        study.chances[arm],
        study.chances[other],
        study.rules.alpha / study.rules.family,
    )


def _equal_compute(row: Json, board_rows: Mapping[str, Json], curves: Mapping[str, Json]) -> Json | None:
    """Return accuracy at equal compute of an arm that is compared with another; else None."""
    arm, base = row["arm"], row["against"]
    if row["difference"] is None or base not in board_rows:
        return None
    return equal_compute_of(row, board_rows[base], curves[arm], curves[base])


def _compared(comparison: Comparison | None) -> Json:
    if comparison is None:
        return {"difference": None, "verdict": None, "reason": "the baseline"}
    told = asdict(comparison)
    numbers = {key: told[key] for key in ("nonzero", "p", "p_holm", "p_equal", "detectable")}
    difference = rows.shown(comparison.difference)
    return {
        "difference": None if difference is None else {**difference, **numbers, "two_level": None},
        "verdict": comparison.verdict,
        "reason": comparison.reason,
    }


def _settings(plan: Mapping[str, Any], rules: Rules) -> Json:
    return {
        "alpha": rules.alpha,
        "margin_points": rules.margin,
        "speed_margin": SPEED_MARGIN,
        "memory_margin": MEMORY_MARGIN,
        "non_inferiority_points": plan.get("non_inferiority_points", NON_INFERIORITY_POINTS),
        "equal_margin_points": rules.equal_margin,
        "family": rules.family,
        "needed_replicates": rules.needed,
        "replicates": plan.get("replicates"),
        "seed": plan.get("seed"),
        "timing_rounds": value_at(plan.get("timing"), "rounds"),
        **({"claims_family": claims_family(plan)} if plan.get("claims") else {}),
    }


def _ratio(own: float | None, other: float | None) -> float | None:
    return own / other if own is not None and other else None


def _pipeline(trials: ArmTrials, shared: Mapping[str, Any]) -> str | None:
    texts = shared_of([rest for rest, _ in trials.counted_rests], "pipeline", shared).values()
    return next((text for text in texts if isinstance(text, str)), None)


def _known(values: Json) -> list[Any]:
    return [value for value in values.values() if value is not None]

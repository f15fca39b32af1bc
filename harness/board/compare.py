"""Two results of a suite, or of two suites, arm by arm: what `harness compare` says.

Arms are matched by name, those of two grids by name and cell. Accuracy is judged with the verdicts of a board, the
base in the baseline's place: the family is the arms that both sides have, the level and the margins are the stricter
ones of the two plans. Replicates are pairs where both sides drew them from one seed and saw the samples in one order
(then the test is the sign-flip test of a board); else the two samples are compared as such, by the permutation test of
Welch's t and his interval, and the row says so.

Speed and memory are shown side by side where both sides were timed on one kind of machine, and get no verdict: the two
timing passes were not interleaved, and a slow drift of a machine between them looks like an effect (PROTOCOL.md calls
comparing two stored results advisory). `harness gate SUITE --base REVISION` measures two commits side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.board import rows
from harness.board.comparability import (
    accuracy_entries,
    comparable_records,
    comparable_timings,
    differing,
)
from harness.board.compare_arms import cell_of, labels_of
from harness.board.compare_speed import compare_speed
from harness.board.compare_verdict import Row, Rules, judge_all, too_few
from harness.board.environment import shared_of
from harness.board.history import past_of, past_stamps
from harness.board.host_words import apart_in_words
from harness.board.in_seconds import continues, notes_of
from harness.board.interim import wait_for_planned
from harness.board.select import ArmTrials, Record, number_at, placed_in, rests_of, select, value_at
from harness.board.set_aside import set_aside_words
from harness.board.statistics import estimate
from harness.board.verdict import rules_of
from harness.record.attempt import Attempt, attempts_of
from harness.record.unlike import unlike_arms

SCHEMA = 1
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """One side: a plan with what was read of it.

    Attributes:
        label: As a person names it: a folder, or a revision.
        plan: The plan as JSON.
        records: Its trial records, as JSON or flat.
        timings: Its timings.
        shared: By hash, what they refer to.
        set_aside: What could not be read.
        commit: Of the code, where the records do not know it.
        history: What `record.history.history_of` found of the plan.
    """

    label: str
    plan: Mapping[str, Any]
    records: Sequence[Mapping[str, Any] | Attempt]
    timings: Sequence[Record]
    shared: Mapping[str, Any]
    set_aside: Sequence[Any] = ()
    commit: str | None = None
    history: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Side:
    """One side, with what counts of it."""

    given: Given
    arms: Mapping[str, Json]
    trials: Mapping[str, ArmTrials]
    timings: Sequence[Record]
    notes: list[str]


def compare_results(base: Given, candidate: Given) -> Json:
    """Return base against candidate, arm by arm, as JSON; pure, whatever the order of the records."""
    labels = labels_of(base.plan.get("arms", []), candidate.plan.get("arms", []))
    sides = (_side(base, labels[0]), _side(candidate, labels[1]))
    names = [name for name in sides[1].arms if name in sides[0].arms]
    rules = _rules(sides, names)
    judged = judge_all([_row(name, sides, rules) for name in names], rules)
    return {
        "schema": SCHEMA,
        "base": _head(sides[0]),
        "candidate": _head(sides[1]),
        "settings": {
            "alpha": rules.alpha,
            "margin_points": rules.margin,
            "equal_margin_points": rules.equal_margin,
            "family": rules.family,
        },
        "arms": [
            {
                "arm": row.arm,
                **cell_of(sides[0].arms[row.arm], sides[1].arms[row.arm]),
                "changed": unlike_arms(sides[0].arms[row.arm], sides[1].arms[row.arm]),
                "accuracy": row.told,
                **compare_speed(
                    row.arm,
                    [side.arms[row.arm] for side in sides],
                    [side.timings for side in sides],
                    [side.given.shared for side in sides],
                    [side.given.plan for side in sides],
                ),
            }
            for row in judged
        ],
        "only_base": [name for name in sides[0].arms if name not in sides[1].arms],
        "only_candidate": [name for name in sides[1].arms if name not in sides[0].arms],
        "notes": _notes(sides),
    }


def has_compared(report: Mapping[str, Any]) -> bool:
    """Return whether the accuracy of any arm could be compared: speeds of two passes are shown and never judged."""
    return any(row["accuracy"]["difference"] is not None for row in report["arms"])


def _side(given: Given, labels: Mapping[str, str]) -> _Side:
    accuracy = comparable_records(given.plan, placed_in(given.plan, attempts_of(given.records)), given.shared)
    pace = comparable_timings(given.plan, given.timings, given.shared)
    trials, notes = select(given.plan, accuracy.members)
    notes = [*past_stamps(past_of(given.plan, given.history)), *notes, *notes_of(given.plan)]
    notes += [*accuracy.notes, *pace.notes]
    if given.set_aside:
        notes.append(set_aside_words(given.set_aside))
    arms = {labels[str(arm["name"])]: arm for arm in given.plan.get("arms", [])}
    timings = [{**one, "arm": labels[arm]} for one in pace.members if (arm := str(one.get("arm"))) in labels]
    return _Side(given, arms, {labels[arm]: own for arm, own in trials.items()}, timings, notes)


def _rules(sides: Sequence[_Side], names: Sequence[str]) -> Rules:
    """Return the stricter of what both plans fixed before their runs."""
    own = [rules_of(side.given.plan, 0) for side in sides]
    compared = [name for name in names if all(side.arms[name].get("compared", True) for side in sides)]
    return Rules(
        alpha=min(rules.alpha for rules in own),
        margin=max(rules.margin for rules in own),
        equal_margin=min(rules.equal_margin for rules in own),
        family=max(1, len(compared)),
        seed=own[0].seed,
    )


def _row(name: str, sides: Sequence[_Side], rules: Rules) -> Row:
    trials = [side.trials.get(name, ArmTrials(name, ())) for side in sides]
    values = tuple(_top1(side, name, own) for side, own in zip(sides, trials, strict=True))
    differs = _unlike(name, sides)
    pairs, unpaired = _pairs(name, sides, trials, (values[0], values[1]))
    refusal = ""
    if differs:
        refusal = f"not comparable: {', '.join(differs)}"
    elif not values[0] or not values[1]:
        refusal = f"no verdict: no result on the {'base' if not values[0] else 'candidate'}'s side"
    elif not all(side.arms[name].get("compared", True) for side in sides):
        refusal = "not compared: trained for other arms, neither ranked nor tested"
    elif unstable := _unstable(trials[0]):
        refusal = f"no verdict: the base is unstable, {unstable}"
    elif not trials[1].good:
        refusal = f"no verdict: the candidate failed in all {len(trials[1].counted)} replicates"
    elif short := too_few(pairs, len(values[0]), len(values[1]), rules):
        refusal = short
    elif waits := next(filter(None, map(wait_for_planned, trials)), None):
        refusal = waits
    # Chance against chance is no measurement: of a side without a good replicate no number is shown.
    known = [value if own.good else {} for value, own in zip(values, trials, strict=True)]
    row = Row(name, differs, (known[0], known[1]), pairs if all(known) else [], unpaired, refusal)
    row.told = {
        "comparable": not differs,
        "differs": differs,
        "stamps": _stamps(trials),
        "bit_equal": _bit_equal(trials),
        "base": rows.shown(estimate(row.samples()[0], rules.alpha)),
        "candidate": rows.shown(estimate(row.samples()[1], rules.alpha)),
    }
    return row


def _top1(side: _Side, name: str, trials: ArmTrials) -> dict[int, float]:
    """Return accuracy by replicate; what failed by the arm's own doing has chance, what a plugin changed is out."""
    manifest = (side.given.plan.get("manifests") or {}).get(side.arms[name].get("data")) or {}
    classes = manifest.get("classes")
    count = len(classes) if isinstance(classes, list) else int(classes or 0)
    found = (number_at(one.rest, "chance_top1") for one in trials.counted.values())
    chance = 100.0 / count if count else next((value for value in found if value is not None), 0.0)
    top1 = rows.test_top1(trials, chance)
    changed = trials.changed
    return {at: value for at, value in top1.items() if at not in changed}


def _unlike(name: str, sides: Sequence[_Side]) -> list[str]:
    """Return what keeps the accuracy of an arm from being compared."""
    entries = []
    for side in sides:
        arm = side.arms[name]
        manifest = (side.given.plan.get("manifests") or {}).get(arm.get("data")) or {}
        told = accuracy_entries(arm.get("recipe") or {}, manifest)
        told |= {key: side.given.plan.get(key) for key in ("schema", "protocol")}
        entries.append(told)
    return differing(*entries)


def _pairs(
    name: str,
    sides: Sequence[_Side],
    trials: Sequence[ArmTrials],
    values: tuple[dict[int, float], dict[int, float]],
) -> tuple[list[int] | None, str]:
    """Return the replicates that are pairs; None, and why, where the sides do not share their draws."""
    if sides[0].given.plan.get("seed") != sides[1].given.plan.get("seed"):
        return None, "the suites' seeds differ"
    if (sides[0].arms[name].get("salt") or "") != (sides[1].arms[name].get("salt") or ""):
        return None, "their salts differ"
    for at in sorted(trials[0].good.keys() & trials[1].good.keys()):
        one, other = (own.good[at].order for own in trials)
        if one is None or other is None:
            return None, "nothing shows that both saw the samples in one order"
        if one != other and not continues(one, other):
            return None, "the order of the samples differs"
    return sorted(values[0].keys() & values[1].keys()), ""


def _unstable(trials: ArmTrials) -> str:
    failed = len(trials.counted) - len(trials.good)
    return f"{failed} of {len(trials.counted)} failed" if failed > rows.UNSTABLE * len(trials.counted) else ""


def _stamps(trials: Sequence[ArmTrials]) -> list[str]:
    stamps = []
    for word, own in zip(("base", "candidate"), trials, strict=True):
        if missing := len(own.planned) - len(own.counted):
            stamps.append(f"{word}: {len(own.planned) - missing} of {len(own.planned)} replicates")
        if failed := len(own.counted) - len(own.good):
            stamps.append(f"{word}: {failed} of {len(own.counted)} failed")
        if changed := len(own.changed):
            stamps.append(f"{word}: {changed} replicates changed global state, and take no part")
    return stamps


def _bit_equal(trials: Sequence[ArmTrials]) -> Json | None:
    """Return of how many common replicates weights and outputs are equal, bit for bit; None where none tells."""
    equal = told = 0
    for at in trials[0].good.keys() & trials[1].good.keys():
        digests = [[own.good[at].final_weights, own.good[at].evaluation_outputs] for own in trials]
        if None not in (*digests[0], *digests[1]):
            told += 1
            equal += digests[0] == digests[1]
    return {"equal": equal, "of": told} if told else None


def _head(side: _Side) -> Json:
    counted = [rest for rest, _ in rests_of(side.trials.values())]
    states = shared_of(counted, "code", side.given.shared).values()
    commits = sorted({str(commit) for state in states if (commit := value_at(state, "commit"))})
    return {
        "label": side.given.label,
        "suite": side.given.plan.get("suite"),
        "plan": side.given.plan.get("hash"),
        "commits": commits or ([side.given.commit] if side.given.commit else []),
        "uncommitted": any(value_at(state, "dirty") is True for state in states),
        "hosts": len(shared_of(counted, "host", side.given.shared)),
    }


def _notes(sides: Sequence[_Side]) -> list[str]:
    notes = [
        f"{word}: {note}"
        for word, side in zip(("base", "candidate"), sides, strict=True)
        for note in side.notes
    ]
    base, candidate = (_hosts(side) for side in sides)
    if apart := apart_in_words(base, candidate):
        notes.append(
            "the sides ran in different environments: equal arms need not be equal bit for bit, "
            f"and a difference may be the environment's: {apart}"
        )
    return notes


def _hosts(side: _Side) -> list[Json]:
    counted = [rest for rest, _ in rests_of(side.trials.values())]
    return [host for host in shared_of(counted, "host", side.given.shared).values() if host is not None]

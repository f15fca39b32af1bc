"""The gate: whether a candidate is slower, larger or less accurate than its base, from samples alone.

    Samples (JSON): schema, source "commits" | "results" | "pytest-benchmark", advisory,
        suite (optional; what tells equal names apart in a history),
        base, candidate {label, commit, host},
        notes [] (optional; what has to be known of the whole),
        measurements [{name, kind "time" | "memory" | "accuracy", unit, base [], candidate [],
            again null | {base [], candidate []}, margin (points, accuracy alone), failures [], differs []}]

Samples of commits are paired: the i-th of both sides was taken in one round, a fresh process each. Those of two
stored files are not, have nobody to take them again, and are advisory. A side that is empty has no such benchmark:
vanished from the candidate, or new in it. `differs` names what the protocol wants equal and is not. A host that
differs keeps stored files apart; two commits ran on one machine, and a Python or a library that their environments
differ in is a part of the change: noted, and measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.gate_hosts import differing, is_software
from harness.board.gate_rows import Finding, find_growth, find_loss, is_number
from harness.board.gate_rules import EXIT_NOTHING, SCHEMA, VERDICTS, GateRules
from harness.board.statistics import median_of
from harness.errors import HarnessError

Json = Mapping[str, Any]

PAIRED = "commits"
SOURCES = (PAIRED, "results", "pytest-benchmark")
KINDS = ("time", "memory", "accuracy")


class GateError(HarnessError):
    """Samples that cannot be judged at all."""


class NothingMeasured(GateError):
    """A source that holds nothing to compare: never a pass."""

    exit_code = EXIT_NOTHING


def judge(samples: Json, rules: GateRules | None = None) -> dict[str, Any]:
    """Judge every measurement and return the report, as JSON; equal input gives an equal report.

    Returns:
        `schema, source, suite, advisory, base, candidate, rules, notes, rows, vanished, new, verdict, exit_code`; a
        row holds `name, kind, unit, verdict, reason, ratio, difference, threshold, p, base_median,
        candidate_median, base_count, candidate_count, noise, sample_noise, confirmed, needs_again,
        rounds_wanted`, null where absent. `noise` is the A/A MAD, `confirmed` whether the second measurement of a
        hit was one too.

    Raises:
        GateError: Where the samples are not in this format.
    """
    rules = rules or GateRules()
    measurements = _checked(samples)
    compared = [measurement for measurement in measurements if not _is_new(measurement)]
    hosts, noted = _host_difference(samples)
    rows = [_row(measurement, samples, hosts, rules) for measurement in compared]
    verdict = min((row["verdict"] for row in rows), key=list(VERDICTS).index, default="not measured")
    return {
        "schema": SCHEMA,
        "source": samples["source"],
        "suite": samples.get("suite"),
        "advisory": bool(samples.get("advisory")) or samples["source"] != PAIRED,
        "base": dict(samples["base"]),
        "candidate": dict(samples["candidate"]),
        "rules": rules.to_json(),
        "notes": [*map(str, samples.get("notes", ())), *noted],
        "rows": rows,
        "vanished": [row["name"] for row in rows if _vanished(row)],
        "new": [measurement["name"] for measurement in measurements if measurement not in compared],
        "verdict": verdict,
        "exit_code": VERDICTS[verdict],
    }


def exit_code(report: Json) -> int:
    """Return what the process exits with: 0, 1, 3, 4 or 5 (PROTOCOL.md)."""
    return int(report["exit_code"])


def needs_again(report: Json) -> list[str]:
    """Return the measurements whose hit was not measured a second time yet: fill their `again` and judge anew."""
    return [row["name"] for row in report["rows"] if row["needs_again"]]


def rounds_wanted(report: Json) -> dict[str, int]:
    """Return by name how many more rounds the series in progress asks for: `again` where there is one.

    Empty when every verdict stands. One that `needs_again` asks for the first rounds of its second series.
    """
    return {row["name"]: row["rounds_wanted"] for row in report["rows"] if row["rounds_wanted"]}


def _checked(samples: Json) -> list[Json]:
    """Return the measurements in order of name.

    Raises:
        GateError: Naming what is not as the format has it.
    """
    if samples.get("schema") != SCHEMA:
        raise GateError(f"samples of schema {samples.get('schema')!r}: this gate reads schema {SCHEMA}")
    if samples.get("source") not in SOURCES:
        raise GateError(f"samples from {samples.get('source')!r}: expected one of {', '.join(SOURCES)}")
    measurements = sorted(samples["measurements"], key=lambda measurement: str(measurement["name"]))
    names = [measurement["name"] for measurement in measurements]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise GateError(f"measured under one name twice: {', '.join(twice)}")
    for measurement in measurements:
        if measurement["kind"] not in KINDS:
            raise GateError(
                f"{measurement['name']}: kind {measurement['kind']!r}, not one of {', '.join(KINDS)}"
            )
        margin = measurement.get("margin")
        if margin is not None and not (is_number(margin) and margin >= 0):
            raise GateError(f"{measurement['name']}: margin {margin!r}; expected points, 0 or more")
    return measurements


def _is_new(measurement: Json) -> bool:
    """Return whether there is nothing to compare with; what failed is no news but a failure."""
    return bool(measurement["candidate"]) and not measurement["base"] and not measurement.get("failures")


def _host_difference(samples: Json) -> tuple[list[str], list[str]]:
    """Return in what the sides' machines differ, and what has to be noted instead."""
    base, candidate = samples["base"].get("host"), samples["candidate"].get("host")
    if samples["source"] != PAIRED:
        return (
            ["host (not known)"] if base is None and candidate is None else differing(base, candidate)
        ), []
    # One machine: what only one side's version can tell of it is no difference.
    keys = differing(base, candidate, shared=True)
    changed = [key for key in keys if is_software(key)]
    note = f"the environments of the sides differ in {', '.join(changed)}: the ratios hold that as well"
    return [key for key in keys if key not in changed], [note] if changed else []


def _row(measurement: Json, samples: Json, hosts: Sequence[str], rules: GateRules) -> dict[str, Any]:
    verdict, reason, finding, more = _decide(measurement, samples, hosts, rules)
    base, candidate = measurement["base"], measurement["candidate"]
    return {
        "name": measurement["name"],
        "kind": measurement["kind"],
        "unit": measurement["unit"],
        "verdict": verdict,
        "reason": reason,
        "ratio": finding.ratio,
        "difference": None,
        "threshold": finding.threshold,
        "p": finding.p,
        "base_median": _median(base),
        "candidate_median": _median(candidate),
        "base_count": len(base),
        "candidate_count": len(candidate),
        "noise": finding.spread.ratio if finding.spread else None,
        "sample_noise": finding.spread.sample if finding.spread else None,
        "confirmed": None,
        "needs_again": False,
        "rounds_wanted": 0,
        **more,
    }


def _decide(
    measurement: Json, samples: Json, hosts: Sequence[str], rules: GateRules
) -> tuple[str, str, Finding, dict[str, Any]]:
    """Return verdict, reason, what the first series says and what else the row holds."""
    nothing = Finding("not measured", "")
    if failures := measurement.get("failures"):
        return "failed", "; ".join(map(str, failures)), nothing, {}
    if not measurement["candidate"]:
        where = "vanished: the base has it" if measurement["base"] else "no sample on either side"
        return "not measured", where, nothing, {}
    accuracy = measurement["kind"] == "accuracy"
    unequal = [*measurement.get("differs", ()), *(() if accuracy else hosts)]
    if unequal:
        return "not comparable", f"the sides differ in {', '.join(unequal)}", nothing, {}
    if accuracy:
        margin = measurement.get("margin")
        finding, difference = find_loss(
            measurement, rules.accuracy_margin_points if margin is None else float(margin), rules
        )
        return _WORDS[finding.state], finding.reason, finding, {"difference": difference}
    paired = samples["source"] == PAIRED
    finding = find_growth(measurement, measurement["kind"], rules, paired=paired)
    if finding.state == "hit" and paired:
        return _confirm(finding, measurement, rules)
    return _WORDS[finding.state], finding.reason, finding, {"rounds_wanted": finding.rounds_wanted}


_WORDS = {
    "hit": "regression",
    "better": "improvement",
    "fine": "fine",
    "open": "too noisy",
    "not measured": "not measured",
}


def _confirm(first: Finding, measurement: Json, rules: GateRules) -> tuple[str, str, Finding, dict[str, Any]]:
    """Judge a hit by its second measurement, which shares no sample with the first."""
    again = measurement.get("again")
    if again is None:
        reason = f"{first.reason}; not measured a second time yet"
        more = {"confirmed": False, "needs_again": True, "rounds_wanted": rules.looks[0]}
        return "regression", reason, first, more
    second = find_growth(again, measurement["kind"], rules, paired=True)
    more = {"confirmed": second.state == "hit", "rounds_wanted": second.rounds_wanted}
    reason = f"{first.reason}; measured again: {second.reason}"
    verdict = "fine" if second.state == "better" else _WORDS[second.state]
    return verdict, reason, first, more


def _vanished(row: Json) -> bool:
    return bool(row["base_count"]) and not row["candidate_count"] and row["verdict"] == "not measured"


def _median(values: Sequence[Any]) -> float | None:
    numbers = [float(value) for value in values if is_number(value)]
    return median_of(numbers) if numbers and len(numbers) == len(values) else None

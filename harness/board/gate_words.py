"""A gate's report in words; the same ones in every format, none of them escaped yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.board import wording
from harness.board.gate_rules import VERDICTS

Json = Mapping[str, Any]

MARKS = {
    "failed": "✗",
    "regression": "▼",
    "not measured": "?",
    "not comparable": "≠",
    "too noisy": "~",
    "improvement": "▲",
    "fine": "✓",
}


def marked(verdict: str) -> str:
    """Return a verdict with its mark, which does not lean on colour."""
    return f"{MARKS[verdict]} {verdict}"


def by_gravity(report: Json) -> list[Json]:
    """Return the rows, the gravest first, those alike by name."""
    order = list(VERDICTS)
    return sorted(report["rows"], key=lambda row: (order.index(row["verdict"]), row["name"]))


def reasons(rows: Sequence[Json]) -> Iterator[tuple[list[str], list[str]]]:
    """Give names and the lines of their reason, in the order of `rows`; what failed of one cause comes as one.

    An arm that fails does so under all of its names, and its log's end is long.
    """
    failed: dict[str, list[str]] = {}
    for row in rows:
        if row["verdict"] == "failed":
            failed.setdefault(row["reason"], []).append(row["name"])
    for row in rows:
        names = failed.pop(row["reason"], None) if row["verdict"] == "failed" else [row["name"]]
        if names:
            yield names, row["reason"].split("\n")


def heading(report: Json) -> str:
    """Return what was compared with what."""
    return f"candidate {_side(report['candidate'])} against base {_side(report['base'])}"


def _side(side: Json) -> str:
    commit, label = str(side.get("commit") or ""), str(side.get("label"))
    return f"{label} ({commit[:10]})" if commit and not label.startswith(commit[:7]) else label


def conclusion(report: Json) -> str:
    """Return the whole's verdict, how many rows came out as what, and the exit code."""
    counts = [
        f"{number} {verdict}"
        for verdict in VERDICTS
        if (number := sum(row["verdict"] == verdict for row in report["rows"]))
    ]
    return f"{report['verdict']} (exit code {report['exit_code']}): {', '.join(counts) or 'nothing was compared'}"


def notices(report: Json) -> list[str]:
    """Return what has to be known of the report as a whole."""
    lines = []
    if report["advisory"]:
        lines.append(
            "advisory: two stored measurements, not taken side by side and not measured again; "
            "a drift of the machine between them looks like a change of the code"
        )
    lines += report["notes"]
    if report["vanished"]:
        lines.append(f"vanished from the candidate: {', '.join(report['vanished'])}")
    if report["new"]:
        lines.append(f"new in the candidate, nothing to compare with: {', '.join(report['new'])}")
    return lines


def amount(row: Json, side: str) -> str:
    """Return a side's median in the unit that suits it."""
    value = row[f"{side}_median"]
    if value is None:
        return wording.ABSENT
    if row["unit"] == "s":
        return _seconds(value)
    if row["unit"] == "bytes":
        return wording.memory(value)
    return f"{wording.decimal(value)} {row['unit']}"


def _seconds(value: float) -> str:
    return f"{value * 1e6:.3g} µs" if abs(value) < 1e-3 else wording.duration(value)


def change(row: Json) -> str:
    """Return candidate over base, or their difference in points."""
    if row["difference"] is not None:
        return wording.signed(row["difference"])
    return wording.ABSENT if row["ratio"] is None else f"{row['ratio']:.3f}×"


def limit(row: Json) -> str:
    """Return from what change on it counts as worse."""
    if row["threshold"] is None:
        return wording.ABSENT
    if row["kind"] == "accuracy":
        return wording.signed(-row["threshold"])
    return f"{1 + row['threshold']:.3f}×"


def noise(row: Json) -> str:
    """Return the A/A MAD of the ratio."""
    return wording.ABSENT if row["noise"] is None else f"{100 * row['noise']:.1f} %"


def probability(row: Json) -> str:
    """Return the p-value in two digits."""
    return wording.ABSENT if row["p"] is None else f"{row['p']:.2g}"


def counts(row: Json) -> str:
    """Return the samples of base and candidate: `10 + 10`."""
    return f"{row['base_count']} + {row['candidate_count']}"


def cells(row: Json) -> Sequence[str]:
    """Return what a table shows of a row after verdict and name, in the order of `COLUMNS`."""
    return (
        amount(row, "base"),
        amount(row, "candidate"),
        change(row),
        limit(row),
        probability(row),
        noise(row),
        counts(row),
    )


COLUMNS = ("base", "candidate", "change", "limit", "p", "A/A MAD", "samples")


def method(report: Json) -> str:
    """Return how the verdicts came about, in one line."""
    rules = report["rules"]
    return (
        f"A regression is a median ratio beyond the larger of {100 * rules['time_threshold']:g} % and "
        f"{rules['noise_factor']:g} A/A MADs of that ratio with p < {rules['alpha']:g} by an exact one-sided rank "
        f"test, found twice where it can be measured again; of memory, beyond the larger of "
        f"{100 * rules['memory_threshold']:g} % and {rules['memory_bytes'] / 2**20:g} MiB. Accuracy must be "
        "non-inferior at the margin: its change is the mean over paired replicates; base and candidate are medians."
    )

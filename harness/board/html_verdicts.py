"""What a board says beside its ranking: claims, speed and memory, its own calibration, what it did not pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board import aggregate_words, wording
from harness.board.chart_profile import profiles
from harness.board.claim_words import at_cell, claim_cells, family_note
from harness.board.host_words import entries_in_words
from harness.board.html_table import anchor
from harness.board.markup import EMPTY, tag

Json = Mapping[str, Any]

KINDS = {
    "reproduced": "better",
    "faster": "better",
    "smaller": "better",
    "calibrated": "better",
    "contradicted": "worse",
    "slower": "worse",
    "larger": "worse",
    "not calibrated": "worse",
    "weaker": "equal",
    "equal": "equal",
    "better": "better",
    "worse": "worse",
}
"""The class of a verdict's badge: its word stands in it, so that colour says nothing alone."""


_NOT_CHECKED = "not checked"


def simple_table(headings: Sequence[str], rows: Sequence[Sequence[object]], label: str) -> Markup:
    """Return a table whose first column names its rows; it scrolls by itself where the screen is narrow."""
    head = [
        tag("th", name, scope="col", class_="arm" if index == 0 else None)
        for index, name in enumerate(headings)
    ]
    body = [
        tag("tr", tag("th", row[0], scope="row", class_="arm"), *(tag("td", one) for one in row[1:]))
        for row in rows
    ]
    whole = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_="words")
    return tag("div", whole, class_="scroll framed", tabindex="0", role="region", aria_label=label)


def word_badge(verdict: str | None) -> Markup:
    """Return a verdict of any kind as a badge."""
    kind = KINDS.get(verdict or "", "not-resolved" if verdict else "none")
    return tag("span", verdict or "no verdict", class_=f"badge {kind}")


def claims(board: Json) -> Markup:
    """Return the table of claims: what was claimed, what was measured, and what follows."""
    if not board.get("claims"):
        return EMPTY
    rows = []
    for claim in board["claims"]:
        name, _, metric, claimed, measured, _ = claim_cells(claim)
        against = f"against {claim['against']}{at_cell(claim)}, " if claim.get("against") else ""
        source = tag("span", claim.get("source") or "", class_="faint below")
        rows.append(
            (
                tag("span", name, source, class_="long"),
                tag(
                    "span",
                    claim["arm"] or wording.ABSENT,
                    tag("span", against + metric, class_="faint below"),
                ),
                claimed,
                measured,
                word_badge(claim.get("verdict")),
                tag("span", claim.get("reason") or "", class_="long"),
            )
        )
    headings = ("claim", "arm", "claimed", "measured", "verdict", "why")
    note = tag("p", family_note(board), class_="note")
    return simple_table(headings, rows, "Claims") + note


_INSIDE_A_SCHEDULE = (
    " At equal FLOPs one of the two is read inside its schedule: a run that is cut off half-way is below one that was "
    "planned for half as long. So the pair flatters the arm that was trained to its end; it is shown, and not tested."
)


def costs(board: Json) -> Markup:
    """Return the verdicts on speed and memory, with the ratios that they rest on and what was equal compute."""
    rows = []
    for row in board["rows"]:
        speed, memory = row.get("speed_verdict"), row.get("memory_verdict")
        if not row["baseline"] and (speed or memory):
            rows.append((_link(row), *_cost(speed), *_cost(memory), _compute(row.get("equal_compute"))))
    if not rows:
        return EMPTY
    headings = ["arm", "speed", "ratio", "memory", "ratio", "validation top-1 at equal FLOPs, arm : baseline"]
    used = any(row[-1] != wording.ABSENT for row in rows)
    kept = rows if used else [row[:-1] for row in rows]
    note = tag(
        "p",
        "Ratios to the baseline by timing round, with intervals. An arm is said to be faster or smaller only where its "
        "accuracy is shown to be no worse than the margin of non-inferiority. Open a verdict for its reason; it "
        "stands in the arm's card, too." + (_INSIDE_A_SCHEDULE if used else ""),
        class_="note",
    )
    return simple_table(headings if used else headings[:-1], kept, "Speed and memory") + note


def _cost(verdict: Json | None) -> tuple[Markup, str]:
    if not verdict:
        return tag("span", wording.ABSENT, class_="faint"), wording.ABSENT
    badge = word_badge(verdict.get("verdict"))
    if reason := verdict.get("reason"):
        # Not a title: that is for a mouse alone.
        badge = tag("details", tag("summary", badge), tag("span", reason, class_="long"), class_="why")
    ratio = verdict.get("ratio")
    if not ratio or ratio.get("mean") is None:
        return badge, wording.ABSENT
    text = wording.times(ratio["mean"])
    if ratio.get("low") is not None and ratio.get("high") is not None:
        text += f" [{wording.times_bound(ratio['low'])}, {wording.times_bound(ratio['high'])}]"
    return badge, text


def _compute(value: Json | None) -> str:
    """Return both accuracies at the arm's training FLOPs, else at the baseline's; a dash where no curve reaches."""
    for name, whose in (("at_arm", "its own FLOPs"), ("at_baseline", "the baseline's FLOPs")):
        if at := (value or {}).get(name):
            return f"{wording.decimal(at['arm'])} : {wording.decimal(at['baseline'])} at {whose}"
    return wording.ABSENT


def calibration(board: Json) -> Markup:
    """Return what the board says of itself: its copies, its splits, and what difference it can find."""
    told = board.get("calibration")
    if not told or not (told.get("copies") or told.get("verdict") or told.get("splits")):
        return EMPTY
    verdict, reason = told.get("verdict"), str(told.get("reason") or "")
    if reason.startswith(_NOT_CHECKED):
        verdict, reason = _NOT_CHECKED, reason.removeprefix(f"{_NOT_CHECKED}: ")
    first = [word_badge(verdict), " ", tag("span", reason)]
    parts = [tag("p", *first)]
    if (resolution := told.get("resolution_points")) is not None:
        parts.append(
            tag("p", f"In 4 of 5 such runs it finds a difference of {wording.decimal(resolution)} points.")
        )
    if copies := told.get("copies"):
        rows = [
            (
                copy["arm"],
                word_badge(copy.get("verdict")),
                wording.signed(copy.get("difference")),
                _p(copy.get("p")),
            )
            for copy in copies
        ]
        parts.append(simple_table(("copy of the baseline", "verdict", "Δ, points", "p"), rows, "Copies"))
    if splits := told.get("splits"):
        found = [
            (
                f"by {split['by']}",
                _groups(split.get("groups")),
                _p(split.get("p")),
                str(split.get("reason") or _differs(split)),
            )
            for split in splits
        ]
        headings = ("runs split", "groups: mean residual (count)", "p", "found")
        parts.append(simple_table(headings, found, "Splits of the runs"))
    return tag("div", *parts, class_="stack")


def _differs(split: Json) -> str:
    return {True: "they differ", False: "no difference", None: "too few to tell"}[split.get("differs")]


def _groups(groups: Any) -> str:
    if not isinstance(groups, list):
        return wording.ABSENT if groups is None else str(groups)
    shown = [
        f"{one['name']} {wording.signed(one['mean'], 3)} ({one['count']})"
        if isinstance(one, Mapping)
        else str(one)
        for one in groups[:8]
    ]
    return ", ".join(shown) + (f" and {len(groups) - 8} more" if len(groups) > 8 else "") or wording.ABSENT


def comparability(board: Json) -> Markup:
    """Return which records may be compared with each other, where they are of more than one kind."""
    told = board.get("comparability")
    if not told or not (told.get("left_out") or told.get("mixed")):
        return EMPTY
    rows = [
        (
            what,
            tag("span", entries_in_words(group["differs"]) or "all alike", class_="long"),
            str(group.get("trials", group.get("timings", wording.ABSENT))),
            "shown" if group.get("shown") else "left out",
        )
        for what in ("accuracy", "speed")
        for group in told.get(what) or ()
    ]
    return simple_table(("what", "conditions", "records", "on this board"), rows, "Comparability")


def aggregate(board: Json) -> Markup:
    """Return what holds over all data sets: interquartile mean and mean rank by arm, and the performance profiles."""
    told = board.get("aggregate") or {}
    if not told:
        return EMPTY
    title = aggregate_words.aggregate_title(board)
    notes = [tag("p", line, class_="note") for line in aggregate_words.aggregate_notes(board)]
    if not told.get("arms"):
        return tag("div", *notes)
    table = simple_table(aggregate_words.HEADINGS, aggregate_words.aggregate_rows(board), title)
    beside = tag("div", tag("div", profiles(board)), tag("div", *notes), class_="pair")
    return tag("div", table, beside, class_="stack")


def _link(row: Json) -> Markup:
    return tag("a", row["arm"], href=f"#{anchor(row)}")


def _p(value: float | None) -> str:
    return wording.ABSENT if value is None else f"{value:.3g}"

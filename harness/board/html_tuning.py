"""The searches of a suite that tunes: what was chosen for each arm, what it cost, and every setting that was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board import wording
from harness.board.chart_searched import value_chart
from harness.board.chart_tuning import search_curves
from harness.board.charts import legend
from harness.board.html_table import anchor
from harness.board.markup import EMPTY, tag
from harness.board.tuning import setting_words, space_words, tuning_line, value_words

Json = Mapping[str, Any]

MOST_SETTINGS = 2_500
"""Settings of all arms together that a page shows; of more, the best of each arm, for a page has two megabytes."""

_LEAST_SETTINGS = 10

_HEADINGS = (
    ("arm", "arm", "The configuration; the link leads to its card", None),
    (
        "chosen",
        "chosen",
        "The setting with the highest validation accuracy, at which the board's trials ran",
        None,
    ),
    ("which", "which", "Its number among those tried; the first is the one that the suite writes", None),
    ("best", "validation, %", "Validation accuracy of the chosen setting, in the search", "descending"),
    ("gain", "over its own", "Points of validation accuracy above the arm's own setting", "descending"),
    ("time", "training time", "Of all trials of the arm's search", None),
    ("flops", "FLOPs", "Training FLOPs of all trials of the arm's search", None),
    ("trainings", "in trainings", "The search's FLOPs in those of one trial at the chosen setting", None),
)


def tuning(board: Json) -> Markup:
    """Return the section on tuning; empty where nothing was tuned.

    Args:
        board: The board. A copy of the baseline has the baseline's setting and no search: it has no row here.
    """
    searches = (board.get("tuning") or {}).get("arms") or {}
    rows = [row for row in board["rows"] if row["arm"] in searches and row.get("tuned")]
    if not rows:
        return EMPTY
    most = max(_LEAST_SETTINGS, MOST_SETTINGS // len(rows))
    note = (
        f"The chosen setting is the best of {board['tuning']['trials']} on the validation split, so its accuracy "
        "there is lucky by the choice itself; no verdict rests on it. Verdicts rest on the test results of the fresh "
        "replicates above."
    )
    parts = [
        tag("p", tuning_line(board)),
        _charts(board),
        _table(_HEADINGS, [_summary(row, searches[row["arm"]]) for row in rows], "Tuning", "words sortable"),
        tag("div", note, class_="note"),
        tag("div", *(_search(board, row, searches[row["arm"]], most) for row in rows), class_="searches"),
    ]
    return tag("div", *parts, class_="stack")


def _charts(board: Json) -> Markup:
    drawn = [chart for chart in (search_curves(board), value_chart(board)) if chart]
    return tag("div", tag("div", *drawn, class_="pair"), legend(board)) if drawn else EMPTY


def _summary(row: Json, outcomes: Sequence[Json]) -> Markup:
    tuned, own = row["tuned"], outcomes[0]["validation_top1"]
    best = tuned["validation_top1"]
    gain = None if best is None or own is None else best - own
    which = f"{tuned['k'] + 1} of {len(outcomes)}" + (", its own" if tuned["k"] == 0 else "")
    trainings = tuned.get("trainings")
    return tag(
        "tr",
        tag("th", tag("a", row["arm"], href=f"#{anchor(row)}"), scope="row", class_="arm"),
        tag(
            "td",
            *(
                tag("span", setting_words({path: value}), class_="setting")
                for path, value in tuned["setting"].items()
            ),
        ),
        _number(which, tuned["k"]),
        _number(wording.decimal(best), best),
        _number(wording.signed(gain), gain),
        _number(wording.duration(tuned["train_seconds"]), tuned["train_seconds"]),
        _number(wording.count(tuned["training_flops"]), tuned["training_flops"]),
        _number(wording.ABSENT if trainings is None else f"{trainings:.3g}", trainings),
    )


def _search(board: Json, row: Json, outcomes: Sequence[Json], most: int) -> Markup:
    """Return every setting that was tried for an arm, folded; of very many the best."""
    chosen = row["tuned"]["k"]
    shown = _best(outcomes, most)
    paths = list(outcomes[0]["setting"])
    has_flops = len({one["training_flops"] for one in outcomes}) > 1
    headings = [
        ("which", "#", "In the order in which they were tried; the first is the arm's own", None),
        *(("value", path, None, None) for path in paths),
        ("best", "validation, %", "Mean over the replicates of the search", "descending"),
        ("time", "training, s", "Of all replicates of the setting", None),
        *([("flops", "FLOPs", "Of all replicates of the setting", None)] if has_flops else []),
        ("status", "status", None, None),
    ]
    body = [_trial(one, paths, has_flops, one["k"] == chosen) for one in shown]
    left_out = len(outcomes) - len(shown)
    failed = sum(one["status"] != "completed" for one in outcomes)
    heading = tag(
        "summary",
        tag("h3", row["arm"]),
        tag("span", f"{len(outcomes)} settings" + (f", {failed} failed" if failed else ""), class_="figure"),
    )
    searched = space_words((board["tuning"].get("space") or {}).get(row["arm"]) or {})
    return tag(
        "details",
        heading,
        tag("p", f"Searched: {searched}.", class_="note") if searched else EMPTY,
        _table(headings, body, f"Settings tried for {wording.plain(row['arm'])}", "sortable"),
        tag("p", f"The best {len(shown)}; {left_out} more in leaderboard.json.", class_="note")
        if left_out
        else EMPTY,
        class_="card search",
    )


def _best(outcomes: Sequence[Json], most: int) -> list[Json]:
    """Return at most so many settings, the best by validation accuracy, in the order in which they were tried."""
    ordered = sorted(outcomes, key=lambda one: (-(one["validation_top1"] or 0.0), one["k"]))
    return sorted(ordered[:most], key=lambda one: one["k"])


def _trial(one: Json, paths: Sequence[str], has_flops: bool, is_chosen: bool) -> Markup:
    """Return a row of few bytes, for there may be thousands: what it is sorted by is what stands in it."""
    seconds, flops = one["train_seconds"], one["training_flops"]
    status = (
        one["status"] if one["status"] == "completed" else tag("span", one["status"], class_="badge failed")
    )
    cells = [
        tag("th", one["k"] + 1, scope="row"),
        *(tag("td", value_words(one["setting"].get(path))) for path in paths),
        tag(
            "td",
            tag("b", wording.decimal(one["validation_top1"]))
            if is_chosen
            else wording.decimal(one["validation_top1"]),
        ),
        tag("td", wording.ABSENT if seconds is None else f"{seconds:.1f}"),
        *([tag("td", wording.ABSENT if flops is None else f"{flops:.3g}")] if has_flops else []),
        tag("td", status, " ", tag("span", "chosen", class_="badge baseline"))
        if is_chosen
        else tag("td", status),
    ]
    return tag("tr", *cells, class_="chosen" if is_chosen else None)


def _table(
    headings: Sequence[tuple[str, str, str | None, str | None]],
    body: Sequence[Markup],
    label: str,
    class_: str,
) -> Markup:
    head = [
        tag("th", name, scope="col", class_=key, title=title, data_first=first)
        for key, name, title, first in headings
    ]
    whole = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_=class_)
    return tag("div", whole, class_="scroll framed", tabindex="0", role="region", aria_label=label)


def _number(content: str, value: float | None) -> Markup:
    return tag("td", content, data_value="" if value is None else repr(value))

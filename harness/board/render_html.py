"""The board as one HTML file that needs nothing else: no remote asset, no style or script but its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from harness.board import html_tuning, html_verdicts, method_words, wording
from harness.board.axes import SLIM
from harness.board.cells import with_cells_in_words
from harness.board.chart_cells import cell_by_cell
from harness.board.chart_curves import CHARTS, learning_curves
from harness.board.chart_forest import forest
from harness.board.chart_key import curves_note, drawn_arms, key
from harness.board.chart_reliability import calibration_errors, reliability, reliable_arms
from harness.board.chart_scatter import MEMORY, SPEED, scatter
from harness.board.chart_time import time_split
from harness.board.charts import by_screen
from harness.board.html_arms import card, cut
from harness.board.html_classes import class_tables, confusions
from harness.board.html_preview import gallery, hash_of
from harness.board.html_provenance import provenance
from harness.board.html_table import measures_table, table
from harness.board.markup import EMPTY, join, tag
from harness.board.rank_words import ranks_note

Json = Mapping[str, Any]

MOST_FAILURES = 100
MOST_BYTES = 1_900_000
"""A page, in bytes: pictures get what is left of it."""

_TEMPLATES = Path(__file__).parent / "templates"


def html(board: Json, pictures: Mapping[str, bytes] = MappingProxyType({})) -> str:
    """Return the whole page. Styles and script are allowed by their hashes alone.

    Args:
        board: The board.
        pictures: Those of its previews, WebP by digest; what is absent is not shown.
    """
    board = with_cells_in_words(_in_order(board))
    style = (_TEMPLATES / "board.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "board.js").read_text(encoding="utf-8")
    page = Markup((_TEMPLATES / "board.html").read_text(encoding="utf-8"))
    images = "img-src data:; " if board.get("previews") else ""
    sections = _parts(board)
    drawn = join([_section(title, content, name) for name, title, content in sections])
    arms = join([card(board, row) for row in board["rows"]])
    whole, failures = table(board), _failures(board)
    taken = sum(map(len, (style, script, drawn, arms, whole, failures)))
    whole_page = page.format(
        policy=f"default-src 'none'; {images}style-src '{hash_of(style)}'; script-src '{hash_of(script)}'; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        suite=wording.plain(board["suite"]),
        subtitle=wording.summary(board),
        tally=_tally(board),
        navigation=_navigation(sections, board),
        notices=_notices(board),
        table=whole,
        method=f"{method_words.method(board)} {ranks_note(board)}".strip(),
        charts=drawn,
        previews=_previews(board, pictures, MOST_BYTES - taken),
        arms=arms,
        failures=failures,
        provenance=provenance(board),
    )
    # Plain text from here on: what is added to Markup would be escaped.
    return str(whole_page)


_NESTS = frozenset({dict, list, tuple})


def _in_order(value: Any) -> Any:
    """Return a board with the keys of all tables sorted: one that was just built and its JSON give the same page.

    Trials are left as they are: there may be a hundred thousand, and each is shown key by key.
    """
    if isinstance(value, dict):
        return {key: one if key == "trials" else _in_order(one) for key, one in sorted(value.items())}
    if isinstance(value, (list, tuple)) and not _NESTS.isdisjoint(map(type, value)):
        return [_in_order(one) for one in value]
    return value


def _previews(board: Json, pictures: Mapping[str, bytes], room: int) -> Markup:
    """Return the gallery, its pictures as far as the page has room for them: base64 makes 4 characters of 3 bytes."""
    if not (previews := board.get("previews")):
        return EMPTY
    content = gallery(previews, pictures, max(0, room * 3 // 4))
    return _section("What the augmentations do", content, "augmentations")


def _tally(board: Json) -> Markup:
    counts = {name: sum(1 for row in board["rows"] if row["verdict"] == name) for name in wording.MARKS}
    others = [row for row in board["rows"] if not row["baseline"] and row.get("compared", True)]
    none = sum(1 for row in others if row["verdict"] is None)
    items = [
        tag("li", tag("b", number), f" {name}", class_=name.replace(" ", "-"))
        for name, number in counts.items()
        if number
    ]
    if none:
        items.append(tag("li", tag("b", none), " without a verdict", class_="none"))
    return tag("ul", *items, class_="tally")


def _notices(board: Json) -> Markup:
    notices = wording.notices(board)
    return tag("ul", *(tag("li", notice) for notice in notices), class_="notices") if notices else EMPTY


def _parts(board: Json) -> list[tuple[str, str, Markup]]:
    """Return the sections between table and arms: name, title, content; empty ones are left out."""
    against = [
        by_screen(drawn, scatter(board, cost, width=SLIM))
        for cost in (SPEED, MEMORY)
        if (drawn := scatter(board, cost))
    ]
    differences = by_screen(forest(board), forest(board, is_slim=True))
    found = [
        ("claims", "Claims", html_verdicts.claims(board)),
        ("forest", "Differences from the baseline", differences),
        ("aggregate", "Over all data sets", html_verdicts.aggregate(board)),
        ("costs", "Speed and memory", html_verdicts.costs(board)),
        ("speed", "Accuracy and its price", tag("div", *against, class_="stack") if against else EMPTY),
        ("curves", "Learning curves", cell_by_cell(board, lambda arms: _curves(board, arms))),
        ("classes", "Class by class", class_tables(board)),
        ("confusion", "What is taken for what", confusions(board)),
        (
            "reliability",
            "Is the confidence earned?",
            cell_by_cell(board, lambda arms: _confidence(board, arms)),
        ),
        ("time", "Where the time goes", time_split(board)),
        ("measures", "What the arms take", measures_table(board)),
        ("tuning", "Tuning", html_tuning.tuning(board)),
        ("calibration", "Can this board be believed?", html_verdicts.calibration(board)),
        ("comparability", "What may be compared", html_verdicts.comparability(board)),
    ]
    return [part for part in found if part[2]]


def _curves(board: Json, arms: Sequence[str]) -> Markup:
    drawn = [one for name, label in CHARTS if (one := learning_curves(board, name, label, arms))]
    return _side_by_side(drawn, key(board, drawn_arms(board, arms)), curves_note(board, arms))


def _confidence(board: Json, arms: Sequence[str]) -> Markup:
    drawn = [one for draw in (reliability, calibration_errors) if (one := draw(board, arms))]
    return _side_by_side(drawn, key(board, reliable_arms(board, arms)))


def _side_by_side(drawn: list[Markup], below: Markup, note: str = "") -> Markup:
    told = tag("p", note, class_="note") if note else EMPTY
    return tag("div", *drawn, class_="pair") + below + told if drawn else EMPTY


def _section(title: str, content: Markup, name: str) -> Markup:
    return tag("section", tag("h2", title), content, id=f"section-{name}")


def _navigation(parts: Sequence[tuple[str, str, Markup]], board: Json) -> Markup:
    """Return links to the sections, those of the page's frame included."""
    named = [(name, title) for name, title, _ in parts]
    if board.get("previews"):
        named.append(("augmentations", "What the augmentations do"))
    named.append(("arms", "Arms"))
    if board["failures"] or board["set_aside"]:
        named.append(("failures", "Failures"))
    named.append(("provenance", "How this board was made"))
    links = [tag("li", tag("a", title, href=f"#section-{name}")) for name, title in named]
    return tag("nav", tag("ul", *links), aria_label="Sections")


def _failures(board: Json) -> Markup:
    if not board["failures"] and not board["set_aside"]:
        return EMPTY
    shown = board["failures"][:MOST_FAILURES]
    items = [tag("li", *_failure(failure)) for failure in shown]
    if len(board["failures"]) > len(shown):
        items.append(tag("li", f"and {len(board['failures']) - len(shown)} more, in leaderboard.json"))
    aside = [
        tag("li", "Set aside: ", tag("code", _line(entry))) for entry in board["set_aside"][:MOST_FAILURES]
    ]
    return _section(
        "Failures and what was set aside", tag("ul", *items, *aside, class_="failures"), "failures"
    )


def _failure(failure: Json) -> list[Markup]:
    culprit = failure["culprit"] or {}
    where = [f"{key} {culprit[key]}" for key in ("plugin", "slot", "step") if culprit.get(key) is not None]
    note = "" if failure["counted"] else " (the machine's doing, not held against the arm)"
    parts = [
        tag("span", failure["status"], class_="badge failed" if failure["counted"] else "badge none"),
        tag("b", failure["arm"]),
        tag("span", f" replicate {failure['replicate']}, attempt {failure['attempt']}{note}"),
    ]
    if where or culprit.get("error"):
        parts.append(
            tag("p", ", ".join(where), " " if where else "", tag("code", culprit.get("error") or ""))
        )
    if culprit.get("traceback"):
        parts.append(
            tag("details", tag("summary", "traceback"), tag("pre", cut(culprit["traceback"]), tabindex="0"))
        )
    return parts


def _line(value: Any) -> str:
    """Return nested JSON as one readable line: `libraries.torch 2.9.0, cpu …`."""
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {_line(entry)}" for key, entry in value.items() if entry not in (None, [], {})
        )
    return ", ".join(map(_line, value)) if isinstance(value, list) else str(value)

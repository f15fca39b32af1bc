"""The board as one HTML file that needs nothing else: no remote asset, no style or script but its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
from markupsafe import Markup

from harness.board import charts, wording
from harness.board.chart_norms import gradient_norms
from harness.board.html_preview import gallery, hash_of
from harness.board.html_table import anchor, badge, measures_table, table
from harness.board.markup import EMPTY, join, tag

Json = Mapping[str, Any]

MOST_FAILURES = 100
LONGEST_TEXT = 8_000

_TEMPLATES = Path(__file__).parent / "templates"


def html(board: Json, pictures: Mapping[str, bytes] = MappingProxyType({})) -> str:
    """Return the whole page. Styles and script are allowed by their hashes alone.

    Args:
        board: The board.
        pictures: Those of its previews, WebP by digest; what is absent is not shown.
    """
    style = (_TEMPLATES / "board.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "board.js").read_text(encoding="utf-8")
    page = Markup((_TEMPLATES / "board.html").read_text(encoding="utf-8"))
    images = "img-src data:; " if board.get("previews") else ""
    return page.format(
        policy=f"default-src 'none'; {images}style-src '{hash_of(style)}'; script-src '{hash_of(script)}'; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        suite=wording.plain(board["suite"]),
        subtitle=wording.summary(board),
        tally=_tally(board),
        notices=_notices(board),
        table=table(board),
        method=wording.method(board),
        charts=_charts(board, pictures),
        arms=join([_arm(board, row) for row in board["rows"]]),
        failures=_failures(board),
        provenance=_provenance(board),
    )


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


def _charts(board: Json, pictures: Mapping[str, bytes]) -> Markup:
    forest = charts.forest(board)
    curves = [
        charts.learning_curves(board, "validation_top1", "Validation top-1, %"),
        charts.learning_curves(board, "train_loss", "Training loss"),
    ]
    parts = [_section("Differences from the baseline", forest, "forest")] if forest else []
    drawn = [curve for curve in curves if curve]
    if drawn:
        parts.append(
            _section("Learning curves", tag("div", *drawn, class_="pair") + charts.legend(board), "curves")
        )
    if plot := charts.scatter(board):
        parts.append(_section("Accuracy and speed", plot, "speed"))
    if measures := measures_table(board):
        parts.append(_section("What the arms take", measures, "measures"))
    if previews := board.get("previews"):
        parts.append(_section("What the augmentations do", gallery(previews, pictures), "augmentations"))
    return join(parts)


def _section(title: str, content: Markup, name: str) -> Markup:
    return tag("section", tag("h2", title), content, id=f"section-{name}")


def _arm(board: Json, row: Json) -> Markup:
    stamps = (
        tag("ul", *(tag("li", stamp) for stamp in row["stamps"]), class_="stamps") if row["stamps"] else EMPTY
    )
    pipeline, recipe = board["pipelines"].get(row["arm"]), row["recipe"]
    parts = [stamps, tag("dl", *_facts(row))]
    if norms := gradient_norms(board["curves"].get(row["arm"]) or {}):
        parts.append(tag("h4", "Gradient norms") + norms)
    if costs := row.get("augmentations"):
        lines = [tag("li", wording.augmentation_cost(cost)) for cost in costs]
        parts.append(tag("h4", "What its augmentations cost") + tag("ul", *lines, class_="costs"))
    if pipeline:
        parts.append(tag("h4", "Resolved pipeline") + tag("pre", _cut(pipeline), tabindex="0"))
    if recipe:
        written = orjson.dumps(recipe, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
        parts.append(tag("h4", "Recipe") + tag("pre", _cut(written), tabindex="0"))
    heading = tag(
        "summary",
        tag("h3", row["arm"]),
        badge(row),
        tag("span", wording.with_half_width(row["top1"]) + " %", class_="figure"),
        EMPTY if row["baseline"] else tag("p", row["reason"], class_="reason"),
    )
    return tag("details", heading, *parts, id=anchor(row), class_="card")


def _facts(row: Json) -> list[Markup]:
    """Return the numbers that the table has no room for."""
    counts, step = row["replicates"], row["step_seconds"]
    spread = "" if step["iqr"] is None else f", IQR {wording.duration(step['iqr'])}"
    facts = [
        ("Replicates", f"{counts['good']} good of {counts['planned']}, {row['attempts']} attempts"),
        ("How they ended", ", ".join(f"{number} {name}" for name, number in row["statuses"].items())),
        ("Validation top-1", wording.decimal(row["validation_top1"]) + " %"),
        ("Training FLOPs", wording.count(row["training_flops"])),
        ("Training time", wording.duration(row["train_seconds"])),
        ("Step", wording.duration(step["median"]) + spread),
        ("Evaluation", wording.decimal(row["evaluation_images_per_second"], 0) + " images/s"),
    ]
    if row.get("parents"):
        facts.append(("Needs", wording.parents(row)))
    if difference := row["difference"]:
        for name, key in (("Sign-flip p", "p"), ("p after Holm", "p_holm"), ("p of equality", "p_equal")):
            facts.append((name, wording.ABSENT if difference[key] is None else f"{difference[key]:.3g}"))
        facts.append(("Found in 4 of 5 runs", wording.decimal(difference["detectable"]) + " points"))
    facts += [(name, wording.with_half_width(value, 3)) for name, value in row["metrics"].items()]
    facts += [
        (f"{trick}: {value['name']}", f"{value['mean']:.4g}") for trick, value in row["observables"].items()
    ]
    return [
        tag("div", tag("dt", name), tag("dd", value))
        for name, value in facts
        if not value.startswith(wording.ABSENT)
    ]


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
            tag("details", tag("summary", "traceback"), tag("pre", _cut(culprit["traceback"]), tabindex="0"))
        )
    return parts


def _provenance(board: Json) -> Markup:
    data = [
        ", ".join(f"{key} {value}" for key, value in entry.items() if value is not None)
        for entry in board["data"]
    ]
    settings = ", ".join(
        f"{key} {value}" for key, value in sorted(board["settings"].items()) if value is not None
    )
    facts = [
        ("Suite", board["suite"]),
        ("Plan", board["plan"]),
        ("Protocol", board["protocol"]),
        ("Settings", settings),
        *(("Data", entry) for entry in data),
        *(("Harness", _line(entry)) for entry in board["code"]),
        *(("Host", _line(entry)) for entry in board["hosts"]),
    ]
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts if value is not None]
    return (
        tag("dl", *rows, class_="wide")
        + tag("h3", "Reproduce")
        + tag("pre", "\n".join(board["reproduce"]), tabindex="0")
    )


def _line(value: Any) -> str:
    """Return nested JSON as one readable line: `libraries.torch 2.9.0, cpu …`."""
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {_line(entry)}" for key, entry in value.items() if entry not in (None, [], {})
        )
    return ", ".join(map(_line, value)) if isinstance(value, list) else str(value)


def _cut(content: str) -> str:
    return (
        content
        if len(content) <= LONGEST_TEXT
        else content[:LONGEST_TEXT] + "\n… (cut; whole in leaderboard.json)"
    )

"""A card for each arm: what the table has no room for, its pipeline and recipe, and how to run a trial of it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from markupsafe import Markup

from harness.board import wording
from harness.board.chart_norms import gradient_norms
from harness.board.charts import cell_words
from harness.board.html_table import anchor, badge
from harness.board.markup import EMPTY, tag

Json = Mapping[str, Any]

LONGEST_TEXT = 8_000
MOST_TRIALS = 40


def card(board: Json, row: Json) -> Markup:
    """Return an arm's card, closed: its heading says what it is and why its verdict is what it is."""
    pipeline, recipe = board["pipelines"].get(row["arm"]), row["recipe"]
    parts = [_stamps(row), tag("dl", *_facts(board, row))]
    if norms := gradient_norms(board["curves"].get(row["arm"]) or {}):
        parts.append(tag("h4", "Gradient norms") + norms)
    if costs := row.get("augmentations"):
        lines = [tag("li", wording.augmentation_cost(cost)) for cost in costs]
        parts.append(tag("h4", "What its augmentations cost") + tag("ul", *lines, class_="costs"))
    if trials := row.get("trials"):
        parts.append(tag("h4", "Run a trial again") + tag("pre", _trials(trials), tabindex="0"))
    if pipeline:
        parts.append(tag("h4", "Resolved pipeline") + tag("pre", cut(pipeline), tabindex="0"))
    if recipe:
        written = orjson.dumps(recipe, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
        content = tag("h4", "Recipe"), tag("pre", cut(written), tabindex="0")
        parts.append(tag("div", *content, class_="recipe"))
    heading = tag(
        "summary",
        tag("h3", row["arm"]),
        badge(row),
        tag("span", wording.with_half_width(row["top1"]) + " %", class_="figure"),
        EMPTY if row["baseline"] else tag("p", row["reason"], class_="reason"),
    )
    return tag("details", heading, *parts, id=anchor(row), class_="card")


def cut(content: str) -> str:
    """Return a text of at most so many letters, and say where the whole is."""
    if len(content) <= LONGEST_TEXT:
        return content
    return content[:LONGEST_TEXT] + "\n… (cut; whole in leaderboard.json)"


def _stamps(row: Json) -> Markup:
    if not row["stamps"]:
        return EMPTY
    return tag("ul", *(tag("li", stamp) for stamp in row["stamps"]), class_="stamps")


def _trials(trials: list[Json]) -> str:
    """Return a command a replicate, each with what it gave."""
    lines = []
    for trial in trials[:MOST_TRIALS]:
        got = trial.get("status") or ""
        if trial.get("top1") is not None and got in ("", "completed"):
            got = f"{trial['top1']:.2f} %"
        lines.append(f"harness reproduce {trial['id']}  # replicate {trial['replicate']}: {got}")
    if len(trials) > MOST_TRIALS:
        lines.append(f"# and {len(trials) - MOST_TRIALS} more, in leaderboard.json")
    return "\n".join(lines)


def _facts(board: Json, row: Json) -> list[Markup]:
    """Return the numbers that the table has no room for, those that there are."""
    facts = [*_trained(row), *_judged(board, row)]
    facts += [(name, wording.with_half_width(value, 3)) for name, value in row["metrics"].items()]
    facts += [
        (f"{trick}: {value['name']}", f"{value['mean']:.4g}") for trick, value in row["observables"].items()
    ]
    return [
        tag("div", tag("dt", name), tag("dd", value))
        for name, value in facts
        if value and not value.startswith(wording.ABSENT)
    ]


def _trained(row: Json) -> list[tuple[str, str]]:
    counts, step = row["replicates"], row["step_seconds"]
    spread = "" if step["iqr"] is None else f", IQR {wording.duration(step['iqr'])}"
    facts = [
        ("Replicates", f"{counts['good']} good of {counts['planned']}, {row['attempts']} attempts"),
        ("How they ended", ", ".join(f"{number} {name}" for name, number in row["statuses"].items())),
        ("Cell", cell_words(row.get("cell"))),
        ("Compared with", "" if row["baseline"] else str(row.get("against") or "")),
        ("Validation top-1", wording.decimal(row["validation_top1"]) + " %"),
        ("Training FLOPs", wording.count(row["training_flops"])),
        ("Training time", wording.duration(row["train_seconds"])),
        ("Step", wording.duration(step["median"]) + spread),
        ("Evaluation", wording.decimal(row["evaluation_images_per_second"], 0) + " images/s"),
        ("Needs", wording.parents(row)),
    ]
    if tuned := row.get("tuned"):
        setting = ", ".join(f"{key} {value}" for key, value in (tuned.get("setting") or {}).items())
        facts.append(("Tuned to", setting))
        facts.append(("Tuning", _tuning(tuned)))
    return facts


def _tuning(tuned: Json) -> str:
    cost = [f"{tuned['trials']} trials"] if tuned.get("trials") is not None else []
    cost += [wording.duration(tuned["train_seconds"])] if tuned.get("train_seconds") is not None else []
    cost += [f"{wording.count(tuned['training_flops'])} FLOPs"] if tuned.get("training_flops") else []
    return ", ".join(cost)


def _judged(board: Json, row: Json) -> list[tuple[str, str]]:
    facts = []
    if difference := row["difference"]:
        for name, key in (("Sign-flip p", "p"), ("p after Holm", "p_holm"), ("p of equality", "p_equal")):
            facts.append((name, wording.ABSENT if difference[key] is None else f"{difference[key]:.3g}"))
        facts.append(("Found in 4 of 5 runs", wording.decimal(difference["detectable"]) + " points"))
        facts.append(
            ("Difference over seeds and test images", bounds(difference.get("two_level"), " points"))
        )
    if isinstance(better := row.get("p_better"), Mapping):
        facts.append(("P(better than the baseline)", share_with_bounds(better)))
    facts.append(("Accuracy over seeds and test images", bounds(row.get("two_level"), " %")))
    for name, key in (("Speed", "speed_verdict"), ("Memory", "memory_verdict")):
        if told := row.get(key):
            facts.append((name, ": ".join(filter(None, (told.get("verdict"), told.get("reason"))))))
    by_class = ((board.get("by_class") or {}).get("arms") or {}).get(row["arm"]) or {}
    if error := by_class.get("calibration_error"):
        facts.append(("Calibration error", wording.with_half_width(error) + " points"))
    return facts


def bounds(value: Json | None, unit: str = "") -> str:
    """Return `69.31 to 70.12 %`; empty where there is no interval."""
    if not value or value.get("low") is None or value.get("high") is None:
        return ""
    return f"{wording.decimal(value['low'])} to {wording.decimal(value['high'])}{unit}"


def share_with_bounds(value: Json) -> str:
    """Return a probability with its interval, `0.83 [0.61, 0.94]`."""
    middle = next(
        (value[key] for key in ("mean", "p", "value", "estimate") if value.get(key) is not None), None
    )
    if middle is None:
        return ""
    if value.get("low") is None:
        return f"{middle:.2f}"
    return f"{middle:.2f} [{value['low']:.2f}, {value['high']:.2f}]"

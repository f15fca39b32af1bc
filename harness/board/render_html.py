"""The board as one HTML file that needs nothing else: no remote asset, no style or script but its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from markupsafe import Markup

from harness.board import charts, wording
from harness.board.markup import EMPTY, join, tag

Json = Mapping[str, Any]

MOST_FAILURES = 100
LONGEST_TEXT = 8_000

_TEMPLATES = Path(__file__).parent / "templates"
_COLUMNS = (
    ("rank", "#", "Rank by mean test accuracy"),
    ("arm", "arm", "The configuration"),
    ("verdict", "verdict", "Against the baseline; the reason stands with each arm below"),
    ("top1", "top-1, %", "Test accuracy, mean over replicates ± half the t interval"),
    (
        "delta",
        "Δ top-1",
        "Paired difference from the baseline in points, with an interval that holds for all arms at once",
    ),
    ("p", "p (Holm)", "Exact sign-flip test, Holm over all arms"),
    ("nll", "NLL", "Negative log-likelihood on the test set, in nats"),
    ("speed", "images/s", "Training throughput, median over timing rounds, and the ratio to the baseline"),
    ("memory", "memory", "Peak memory of the timing pass: allocated on a GPU, else resident"),
    ("parameters", "params", "Parameters of the model"),
    ("flops", "FLOPs", "Training FLOPs relative to the baseline"),
    ("time", "time", "Training time of a trial relative to the baseline, from the accuracy trials"),
    ("failed", "failed", "Failed replicates among those that ended"),
)


def html(board: Json) -> str:
    """Return the whole page. Styles and script are allowed by their hashes alone."""
    style = (_TEMPLATES / "board.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "board.js").read_text(encoding="utf-8")
    page = Markup((_TEMPLATES / "board.html").read_text(encoding="utf-8"))
    return page.format(
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        suite=wording.plain(board["suite"]),
        subtitle=wording.summary(board),
        tally=_tally(board),
        notices=_notices(board),
        table=_table(board),
        method=wording.method(board),
        charts=_charts(board),
        arms=join([_arm(board, row) for row in board["rows"]]),
        failures=_failures(board),
        provenance=_provenance(board),
    )


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _badge(row: Json) -> Markup:
    kind = "baseline" if row["baseline"] else (row["verdict"] or "none").replace(" ", "-")
    return tag("span", wording.verdict(row), class_=f"badge {kind}")


def _tally(board: Json) -> Markup:
    counts = {name: sum(1 for row in board["rows"] if row["verdict"] == name) for name in wording.MARKS}
    none = sum(1 for row in board["rows"] if not row["baseline"] and row["verdict"] is None)
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


def _table(board: Json) -> Markup:
    head = [tag("th", label, scope="col", title=title, class_=key) for key, label, title in _COLUMNS]
    body = [tag("tr", *_cells(row), class_="baseline" if row["baseline"] else None) for row in board["rows"]]
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", join(body)), id="board")


def _cells(row: Json) -> list[Markup]:
    difference, ratio = row["difference"], row["images_per_second_ratio"]
    p = difference and difference["p_holm"]
    stamps = [tag("span", stamp.partition(":")[0], class_="stamp", title=stamp) for stamp in row["stamps"]]
    stamps += [tag("span", f"varies {key}", class_="stamp") for key in row["varies"]]
    speed_title = None
    if ratio is not None:
        bounds = f"{wording.times(ratio['low'])} to {wording.times(ratio['high'])}"
        speed_title = f"ratio to the baseline by round: {bounds} over {ratio['rounds']} rounds"
    return [
        _cell("rank", row["rank"], wording.rank(row)),
        tag(
            "th",
            tag("a", row["arm"], href=f"#{_anchor(row)}"),
            *stamps,
            scope="row",
            class_="arm",
            data_value=row["arm"],
        ),
        _cell("verdict", list(wording.MARKS).index(row["verdict"]) if row["verdict"] else None, _badge(row)),
        _cell("top1", row["top1"] and row["top1"]["mean"], _mean(row["top1"], 2)),
        _cell("delta", difference and difference["mean"], _delta(difference)),
        _cell("p", p, wording.ABSENT if p is None else f"{p:.2g}"),
        _cell("nll", row["nll"] and row["nll"]["mean"], _mean(row["nll"], 3)),
        _cell("speed", row["images_per_second"], _with_ratio(row), title=speed_title),
        _cell(
            "memory",
            row["peak_memory_bytes"],
            wording.memory(row["peak_memory_bytes"]),
            title=row["peak_memory_kind"],
        ),
        _cell("parameters", row["parameters"], wording.count(row["parameters"])),
        _cell("flops", row["training_flops_ratio"], wording.times(row["training_flops_ratio"])),
        _cell("time", row["train_seconds_ratio"], wording.times(row["train_seconds_ratio"])),
        _cell(
            "failed",
            row["failure_rate"],
            wording.failed(row),
            class_="some" if row["replicates"]["failed"] else "",
        ),
    ]


def _cell(key: str, value: object, content: object, *, class_: str = "", title: str | None = None) -> Markup:
    number = repr(value) if isinstance(value, (int, float)) else ""
    return tag("td", content, class_=f"{key} {class_}".strip(), data_value=number, title=title)


def _mean(value: Json | None, digits: int) -> Markup:
    if value is None:
        return tag("span", wording.ABSENT, class_="faint")
    half = "" if value["half_width"] is None else f" ± {value['half_width']:.{digits}f}"
    return tag("span", tag("b", wording.decimal(value["mean"], digits)), tag("span", half, class_="faint"))


def _delta(value: Json | None) -> Markup:
    if value is None:
        return tag("span", wording.ABSENT, class_="faint")
    bounds = (
        "" if value["low"] is None else f" [{wording.signed(value['low'])}, {wording.signed(value['high'])}]"
    )
    return tag("span", tag("b", wording.signed(value["mean"])), tag("span", bounds, class_="faint"))


def _with_ratio(row: Json) -> Markup:
    ratio = row["images_per_second_ratio"]
    number = (
        wording.ABSENT if row["images_per_second"] is None else wording.decimal(row["images_per_second"], 0)
    )
    beside = "" if ratio is None else f" {wording.times(ratio['mean'])}"
    return tag("span", number, tag("span", beside, class_="faint"))


def _charts(board: Json) -> Markup:
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
    return join(parts)


def _section(title: str, content: Markup, name: str) -> Markup:
    return tag("section", tag("h2", title), content, id=f"section-{name}")


def _anchor(row: Json) -> str:
    """Return an id for an arm's section, whatever its name is made of."""
    return (
        "arm-" + hashlib.blake2b(str(row["arm"]).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    )


def _arm(board: Json, row: Json) -> Markup:
    stamps = (
        tag("ul", *(tag("li", stamp) for stamp in row["stamps"]), class_="stamps") if row["stamps"] else EMPTY
    )
    pipeline, recipe = board["pipelines"].get(row["arm"]), row["recipe"]
    parts = [tag("p", row["reason"], class_="reason"), stamps, tag("dl", *_facts(row))]
    if pipeline:
        parts.append(tag("h4", "Resolved pipeline") + tag("pre", _cut(pipeline), tabindex="0"))
    if recipe:
        written = orjson.dumps(recipe, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
        parts.append(tag("h4", "Recipe") + tag("pre", _cut(written), tabindex="0"))
    heading = tag(
        "summary",
        tag("h3", row["arm"]),
        _badge(row),
        tag("span", wording.with_half_width(row["top1"]) + " %"),
    )
    return tag("details", heading, *parts, id=_anchor(row), class_="card")


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
    if difference := row["difference"]:
        facts.append(("Sign-flip p", wording.ABSENT if difference["p"] is None else f"{difference['p']:.3g}"))
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
        tag("span", failure["status"], class_="badge failed"),
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

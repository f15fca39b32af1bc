"""The table of the HTML report: an arm a row, sortable by what stands in `data-value`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from harness.board import wording
from harness.board.charts import cell_words
from harness.board.markup import EMPTY, join, tag
from harness.board.rank_words import open_ranks

Json = Mapping[str, Any]

_COLUMNS = (
    ("rank", "#", "Rank by mean test accuracy; beside it the ranks that all pairs of arms leave open"),
    ("arm", "arm", "The configuration"),
    ("verdict", "verdict", "Against the baseline; the reason stands with each arm below"),
    ("top1", "top-1, %", "Test accuracy, mean over replicates ± half the t interval"),
    (
        "delta",
        "Δ top-1",
        "Paired difference from the baseline, with an interval that holds for all arms at once",
    ),
    ("nll", "NLL", "Negative log-likelihood on the test set, in nats"),
    (
        "speed",
        "images/s",
        "Training throughput, geometric mean over timing rounds, and the ratio to the baseline",
    ),
    ("memory", "memory", "Peak memory of the timing pass: allocated on a GPU, else resident"),
    ("parameters", "params", "Parameters of the model"),
    ("flops", "FLOPs", "Training FLOPs relative to the baseline"),
    ("time", "time", "Training time of a trial relative to the baseline, from the accuracy trials"),
    ("failed", "failed", "Failed replicates among those that ended"),
)


_FIRST = dict.fromkeys(("top1", "delta", "speed"), "descending")
"""How a column is sorted when its heading is pressed for the first time: what is best comes first."""

_MEANINGS = {
    "to target": "Training time to the target accuracy on the validation split, compiling included and evaluation "
    "not: median over the replicates that reached it, from the accuracy trials",
    "compute alone, images/s": "Training throughput of the same step on one batch that stays on the device",
    "data wait": "Share of a step of the timing pass in which data was waited for",
    "augmentations": "Share of a step that the augmentations take together, each timed alone; more with each arm",
    "latency p50": "Inference on one image: the median call, median over timing rounds",
    "latency p99": "Inference on one image: 99 of 100 calls are faster, median over timing rounds",
    "energy, image": "What the GPU used for a training image, by NVML's counter",
    "loader": "How samples reached the device",
}
"""What the headings of `wording.MEASURES` mean."""


def table(board: Json) -> Markup:
    """Return the leaderboard as a table in the order of ranks."""
    head = [
        tag("th", label, scope="col", title=title, class_=key, data_first=_FIRST.get(key))
        for key, label, title in _COLUMNS
    ]
    body = [
        tag("tr", *_cells(row), class_="baseline" if row["baseline"] else None, data_verdict=_kind(row))
        for row in board["rows"]
    ]
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", join(body)), id="board")


def _kind(row: Json) -> str:
    """Return what the filter calls a row's verdict."""
    if row["baseline"]:
        return "baseline"
    if not row.get("compared", True):
        return "not compared"
    return row["verdict"] or "no verdict"


def measures_table(board: Json) -> Markup:
    """Return a table of what only some suites measure, with the columns that hold anything; empty where none does."""
    names = wording.measured(board)
    if not names:
        return EMPTY
    head = [tag("th", name, scope="col", title=_MEANINGS[name]) for name in names]
    body = [
        tag(
            "tr",
            tag("th", tag("a", row["arm"], href=f"#{anchor(row)}"), scope="row", class_="arm"),
            *(tag("td", wording.MEASURES[name](row)) for name in names),
            class_="baseline" if row["baseline"] else None,
        )
        for row in board["rows"]
    ]
    first = tag("th", "arm", scope="col", class_="arm")
    whole = tag("table", tag("thead", tag("tr", first, *head)), tag("tbody", join(body)))
    note = next((row["time_to_target"]["top1"] for row in board["rows"] if row.get("time_to_target")), None)
    told = EMPTY if note is None else tag("p", f"Target: {note:g} % on the validation split.", class_="note")
    return (
        tag(
            "div", whole, class_="scroll framed", tabindex="0", role="region", aria_label="What the arms take"
        )
        + told
    )


def _cells(row: Json) -> list[Markup]:
    difference, ratio = row["difference"], row["images_per_second_ratio"]
    stamps = [tag("span", stamp.partition(": ")[0], class_="stamp", title=stamp) for stamp in row["stamps"]]
    stamps += [tag("span", f"varies {key}", class_="stamp") for key in row["varies"]]
    if cell := cell_words(row.get("cell")):
        stamps.append(tag("span", cell, class_="stamp cell", title="its cell of the grid"))
    speed_title = None
    if ratio is not None:
        bounds = f"{wording.times(ratio['low'])} to {wording.times(ratio['high'])}"
        speed_title = f"ratio to the baseline by round: {bounds} over {ratio['rounds']} rounds"
        if "noisy" in ratio:
            speed_title = f"not judged: in all {ratio['rounds']} rounds it or its baseline was noisy"
        if "quotient" in ratio:
            speed_title += (
                f"; the speeds shown, each over its own rounds, would give {wording.times(ratio['quotient'])}"
            )
    return [
        _cell("rank", row["rank"], _rank(row), title=_rank_title(row)),
        tag(
            "th",
            tag("a", row["arm"], href=f"#{anchor(row)}"),
            tag("span", *stamps, class_="stamp-line") if stamps else EMPTY,
            scope="row",
            class_="arm",
            data_value=row["arm"],
        ),
        _cell("verdict", list(wording.MARKS).index(row["verdict"]) if row["verdict"] else None, badge(row)),
        _cell("top1", row["top1"] and row["top1"]["mean"], _mean(row["top1"], 2)),
        _cell("delta", difference and difference["mean"], _delta(difference)),
        _cell("nll", row["nll"] and row["nll"]["mean"], _mean(row["nll"], 3)),
        _cell("speed", row["images_per_second"], _with_ratio(row), title=speed_title),
        _cell(
            "memory",
            row["peak_memory_bytes"],
            wording.memory(row["peak_memory_bytes"]),
            title=row["peak_memory_kind"],
        ),
        _cell("parameters", row["parameters"], wording.count(row["parameters"])),
        _cell(
            "flops",
            row["training_flops_ratio"],
            _with_parents(row, "training_flops"),
            title=wording.parents(row) or None,
        ),
        _cell(
            "time",
            row["train_seconds_ratio"],
            _with_parents(row, "train_seconds"),
            title=wording.parents(row) or None,
        ),
        _cell(
            "failed",
            row["failure_rate"],
            wording.failed(row),
            class_="some" if row["replicates"]["failed"] else "",
        ),
    ]


def _rank(row: Json) -> Markup:
    """Return the rank, and beside it the ranks that it may have."""
    if not (beside := open_ranks(row)):
        return tag("span", wording.rank(row))
    return tag("span", wording.rank(row), tag("span", beside, class_="faint interval"))


def _rank_title(row: Json) -> str | None:
    interval = row.get("rank_interval")
    return f"rank {interval[0]} to {interval[1]}, from all pairs after Holm" if interval else None


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
    beside = "" if ratio is None else f" {wording.speed_ratio(row)}"
    return tag("span", number, tag("span", beside, class_="faint"))


def _with_parents(row: Json, column: str) -> Markup:
    """Return a cost, and on a line of its own what the arm's parents cost: the table has to fit a screen."""
    own, _, theirs = wording.with_parents(row, column).partition(" + ")
    return tag("span", own, tag("span", f" + {theirs}", class_="faint beside") if theirs else EMPTY)


def badge(row: Json) -> Markup:
    """Return the verdict as a badge, with a mark and a word beside its colour."""
    kind = "baseline" if row["baseline"] else (row["verdict"] or "none").replace(" ", "-")
    return tag("span", wording.verdict(row), class_=f"badge {kind}")


def anchor(row: Json) -> str:
    """Return an id for an arm's section, whatever its name is made of."""
    return (
        "arm-" + hashlib.blake2b(str(row["arm"]).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    )

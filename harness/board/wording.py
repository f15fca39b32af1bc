"""Numbers and names as people read them; the same words in every format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.board import data_words
from harness.board.set_aside import set_aside_words

MARKS = {"better": "▲", "worse": "▼", "equal": "=", "not resolved": "○"}
_MOST_DATA = 2
"""Data sets that are named in one line; of more, each cell of the grid names its own."""
ABSENT = "–"
MINUS = "−"
DAGGER, ABOUT = "†", "≈"
"""Beside a ratio that is not the quotient of what is shown, and before one of noisy rounds alone."""


def shorten(text: str, length: int) -> str:
    """Return text of at most so many letters: what is longer loses its end."""
    return text if len(text) <= length else text[: length - 1] + "…"


def plain(value: object) -> str:
    """Return text on one line in which every character shows: escape codes and the like become `\\x1b`."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else " " if char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def signed(value: float | None, digits: int = 2) -> str:
    """Return `+1.24` or `−0.30`, with a true minus sign; what is 0 in these digits has no sign: `0.00`."""
    if value is None:
        return ABSENT
    text = f"{value:+.{digits}f}".replace("-", MINUS)
    return text if any(digit in text for digit in "123456789infa") else text[1:]


def counted(number: int | None, noun: str) -> str:
    """Return a number, or None as it is, and its noun, in the plural where it is not one: `1 arm`, `3 arms`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def cell(row: Mapping[str, Any]) -> str:
    """Return the values of a row's cell of the grid: `batch_size = 128, optimizer.lr = 0.1`; empty without a grid."""
    values = (row.get("cell") or {}).items()
    return ", ".join(
        f"{plain(key)} = {str(value).lower() if isinstance(value, bool) else plain(value)}"
        for key, value in values
    )


def decimal(value: float | None, digits: int = 2) -> str:
    """Return a number with thousands separated."""
    return ABSENT if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def with_half_width(value: Mapping[str, Any] | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return `97.31 ± 0.24`, or the mean alone where one value has no interval."""
    if value is None:
        return ABSENT
    mean = signed(value["mean"], digits) if sign else decimal(value["mean"], digits)
    half = value["half_width"]
    return mean if half is None else f"{mean} ± {half:.{digits}f}"


def interval(value: Mapping[str, Any] | None, digits: int = 2) -> str:
    """Return `+1.24 [+0.62, +1.86]`."""
    if value is None:
        return ABSENT
    mean = signed(value["mean"], digits)
    if value["low"] is None:
        return mean
    return f"{mean} [{signed(value['low'], digits)}, {signed(value['high'], digits)}]"


def times(value: float | None) -> str:
    """Return a ratio as `1.03×`."""
    return ABSENT if value is None else f"{value:.2f}×"


def times_bound(value: float) -> str:
    """Return an end of a ratio's interval, `1.03`: two or three rounds may leave it next to open, `<0.01` or `>100`."""
    return "<0.01" if value < 0.01 else ">100" if value > 100.0 else f"{value:.2f}"


def speed(row: Mapping[str, Any]) -> str:
    """Return images per second with the ratio to the baseline: `12,345 (1.03×)`."""
    if row["images_per_second"] is None:
        return ABSENT
    text = decimal(row["images_per_second"], 0)
    return text if row["images_per_second_ratio"] is None else f"{text} ({speed_ratio(row)})"


def speed_ratio(row: Mapping[str, Any]) -> str:
    """Return the ratio of speeds: `1.03×`, of noisy rounds alone `≈1.03×`, and `1.03×†` where it is no quotient.

    That is where the two speeds that are shown divide to another number.
    """
    ratio = row["images_per_second_ratio"]
    return (
        (ABOUT if "noisy" in ratio else "") + times(ratio["mean"]) + (DAGGER if "quotient" in ratio else "")
    )


def memory(value: float | None) -> str:
    """Return bytes as MiB or GiB."""
    if value is None:
        return ABSENT
    mebibytes = value / 2**20
    return f"{mebibytes:,.0f} MiB" if mebibytes < 10_000 else f"{mebibytes / 1024:,.1f} GiB"


def count(value: float | None) -> str:
    """Return a count in three digits: `11.2 M`."""
    if value is None:
        return ABSENT
    for size, name in ((1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{name}"
    return f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it."""
    if seconds is None:
        return ABSENT
    if seconds < 0.1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def to_target(row: Mapping[str, Any]) -> str:
    """Return the time to the target, and how many replicates reached it where not all did: `12.3 s (7/10)`."""
    if (told := row.get("time_to_target")) is None:
        return ABSENT
    few = told["reached"] < told["replicates"]
    return duration(told["seconds"]) + (f" ({told['reached']}/{told['replicates']})" if few else "")


def energy(row: Mapping[str, Any]) -> str:
    """Return the joules of a training image, in the unit that suits them."""
    if (joules := row.get("joules_per_image")) is None:
        return ABSENT
    return f"{joules * 1000:.3g} mJ" if joules < 0.1 else f"{joules:.3g} J"


def loaders(row: Mapping[str, Any]) -> str:
    """Return how samples reached the device, with counts of replicates where they differ."""
    modes = row.get("loaders") or {}
    return (
        ", ".join(mode if len(modes) == 1 else f"{mode} ({count})" for mode, count in modes.items()) or ABSENT
    )


def share(value: float | None) -> str:
    """Return a share in per cent: `0.7 %`."""
    return ABSENT if value is None else f"{100 * value:.1f} %"


def augmentations(row: Mapping[str, Any]) -> str:
    """Return the share of a step that all augmentations of an arm take together: `3.1 %`."""
    shares = [cost["step_share"] for cost in row.get("augmentations") or () if cost["step_share"] is not None]
    return share(sum(shares)) if shares else ABSENT


def augmentation_cost(cost: Mapping[str, Any]) -> str:
    """Return what one augmentation costs: `cutout 0.31 ms a batch (2.1 % of a step, 85 images/s lost)`."""
    lost = cost["images_per_second_lost"]
    parts = [f"{share(cost['step_share'])} of a step"] if cost["step_share"] is not None else []
    parts += [f"{decimal(lost, 0)} images/s lost"] if lost is not None else []
    where = " in the loader" if cost["placement"] == "loader" else ""
    beside = f" ({', '.join(parts)})" if parts else ""
    return f"{plain(cost['label'])} {duration(cost['seconds_per_batch'])} a batch{where}{beside}"


MEASURES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "to target": to_target,
    "compute alone, images/s": lambda row: decimal(row.get("compute_images_per_second"), 0),
    "data wait": lambda row: share(row.get("data_wait_share")),
    "augmentations": augmentations,
    "latency p50": lambda row: duration(row.get("latency_p50_seconds")),
    "latency p99": lambda row: duration(row.get("latency_p99_seconds")),
    "energy, image": energy,
    "loader": loaders,
}
"""By heading, what only some suites measure, as it is written."""


def measured(board: Mapping[str, Any]) -> list[str]:
    """Return the headings of `MEASURES` under which some row of a board has a value."""
    return [name for name, told in MEASURES.items() if any(told(row) != ABSENT for row in board["rows"])]


def with_parents(row: Mapping[str, Any], column: str) -> str:
    """Return a cost relative to the baseline's, and beside it what the arm's parents cost: `1.37× + 12.5×`."""
    own, cost = times(row[f"{column}_ratio"]), row.get("parents_cost")
    theirs = ABSENT if cost is None else times(cost[f"{column}_ratio"])
    return own if cost is None or own == theirs == ABSENT else f"{own} + {theirs}"


def parents(row: Mapping[str, Any]) -> str:
    """Return what an arm needs of others, in words; empty where it needs nothing."""
    if not row.get("parents"):
        return ""
    return ", ".join(f"{role}: {_whose(parent)} ({_cost(parent)})" for role, parent in row["parents"].items())


def _cost(parent: Mapping[str, Any]) -> str:
    if parent["training_flops"] is None and parent["train_seconds"] is None:
        return "at an unknown cost"
    return f"{count(parent['training_flops'])} FLOPs, {duration(parent['train_seconds'])} of training"


def _whose(parent: Mapping[str, Any]) -> str:
    return f"file {parent['file']}" if "file" in parent else str(parent["arm"])


def verdict(row: Mapping[str, Any]) -> str:
    """Return the verdict with its mark, which does not lean on colour."""
    if row["baseline"]:
        return "baseline"
    if not row.get("compared", True):
        return "not compared"
    return f"{MARKS[row['verdict']]} {row['verdict']}" if row["verdict"] else "no verdict"


def failed(row: Mapping[str, Any]) -> str:
    """Return `1/10`: failures among the replicates that ended."""
    counts = row["replicates"]
    return f"{counts['failed']}/{counts['planned'] - counts['missing']}"


def rank(row: Mapping[str, Any]) -> str:
    """Return the rank, or a dash for what is not ranked."""
    return ABSENT if row["rank"] is None else str(row["rank"])


def summary(board: Mapping[str, Any]) -> str:
    """Return what the board compares, in one line."""
    settings = board["settings"]
    arms, replicates = counted(len(board["rows"]), "arm"), counted(settings["replicates"], "replicate")
    if len(board["data"]) > _MOST_DATA:
        sizes = data_words.range_of_sizes(board["data"])
        return f"{arms} × {replicates} on {len(board['data'])} data sets" + (f" ({sizes})" if sizes else "")
    data = " and ".join(map(_data_set, board["data"]))
    return f"{arms} × {replicates} on {data or 'unknown data'}"


def _data_set(entry: Mapping[str, Any]) -> str:
    """Return `digits (284 training, 30 validation and 539 test images)`; the name alone where a size is not known."""
    is_known = isinstance(entry["train"], int) and isinstance(entry["test"], int)
    return plain(entry["dataset"]) + (f" ({data_words.sizes(entry)})" if is_known else "")


def calibration(board: Mapping[str, Any]) -> str:
    """Return what the board resolves and whether its A/A copies and splits back it, in one line; else empty."""
    told = board.get("calibration") or {}
    if told.get("resolution_points") is None and not told.get("copies"):
        return ""  # nothing was compared
    resolution = f"Resolution: {decimal(told['resolution_points'])} points, the median over arms. "
    words = told["verdict"].capitalize() + ": " if told["verdict"] else "Calibration: "
    return ("" if told["resolution_points"] is None else resolution) + words + plain(told["reason"]) + "."


def notices(board: Mapping[str, Any]) -> list[str]:
    """Return what has to be known of the board as a whole."""
    lines = [plain(stamp) for stamp in board["stamps"]]
    if not board["verdicts"]:
        lines.insert(0, f"no verdicts: {plain(board['verdicts_reason']) or 'the plan asks for none'}")
    if board["set_aside"]:
        lines.append(plain(set_aside_words(board["set_aside"])))
    return lines

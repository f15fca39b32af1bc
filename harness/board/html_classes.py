"""Class by class: where each arm wins and loses, and what it takes for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from harness.board import wording
from harness.board.charts import Json, cell_words, figure, shortened, width_of
from harness.board.markup import EMPTY, tag

MOST_COLUMNS = 20
"""Classes in the table; of more, the baseline's worst half and best half of so many."""
MOST_CLASSES = 32
"""Classes of a matrix that is drawn."""
MOST_WRITTEN = 12
"""Classes of a matrix whose cells have numbers in them."""
MOST_BYTES = 450_000
"""All matrices in one page: the arms come in the order of their ranks, and the rest stands in leaderboard.json."""
LEVELS = 12
CELL = {True: 34.0, False: 13.0}

NOTE = (
    "Mean over good replicates; intervals are 95 % Student t of one class alone. With many classes and arms some "
    "differ by luck: no verdict is meant. Bold: the interval leaves out 0."
)


def class_tables(board: Json) -> Markup:
    """Return, for each set of classes, the baseline's accuracies and every arm's differences from them.

    Data sets come as the arms that use them stand in the plan: their hashes, by which the board has them, say nothing.
    """
    told = board.get("by_class")
    if not told:
        return EMPTY
    places = {entry["hash"]: place for place, entry in enumerate(board["data"])}
    ordered = sorted(told["classes"], key=lambda digest: places.get(digest, len(places)))
    parts = [_table(board, told, digest) for digest in ordered]
    return Markup("").join([*filter(None, parts), tag("p", NOTE, class_="note")]) if any(parts) else EMPTY


def _table(board: Json, told: Json, digest: str) -> Markup:
    names = told["classes"][digest]["names"]
    arms = [
        (row, own)
        for row in board["rows"]
        if (own := told["arms"].get(row["arm"])) and own["data"] == digest and own["accuracy"]
    ]
    if not arms:
        return EMPTY
    first = next((own for row, own in arms if row["baseline"]), arms[0][1])
    columns = _columns(first["accuracy"])
    # Cell by cell, and in each first the arm that the others are compared with, as the yardstick.
    cells = {cell_words(row.get("cell")): place for place, (row, _) in reversed(list(enumerate(arms)))}
    arms.sort(key=lambda pair: (cells[cell_words(pair[0].get("cell"))], not pair[0]["baseline"]))
    largest = max(
        (abs(own["difference"][c] or 0.0) for _, own in arms if own["difference"] for c in columns),
        default=0.0,
    )
    head = [
        tag("th", "arm", scope="col", class_="arm"),
        tag("th", "worst class, %", scope="col", class_="lowest"),
        *(tag("th", names[c], scope="col") for c in columns),
    ]
    body = [
        tag(
            "tr",
            tag("th", row["arm"], scope="row", class_="arm"),
            _lowest(own, names),
            *(_cell(own, column, largest) for column in columns),
            class_="baseline" if row["baseline"] else None,
        )
        for row, own in arms
    ]
    few = (
        ""
        if len(columns) == len(names)
        else f"; {len(columns)} of {len(names)} classes, the worst and the best"
    )
    whose = "of the baseline " if arms[0][0]["baseline"] else ""
    below = "; below it the arms' differences, in points" if any(own["difference"] for _, own in arms) else ""
    caption = f"Accuracy {whose}by class{_data_name(board, told, digest)}, %{below}{few}"
    whole = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), class_="heat")
    return tag(
        "figure",
        tag("div", whole, class_="scroll framed", tabindex="0", role="region", aria_label=caption),
        tag("figcaption", caption),
    )


def _data_name(board: Json, told: Json, digest: str) -> str:
    """Return ` on subset of cifar10` where there are several data sets and this one has a name."""
    names = [entry["dataset"] for entry in board["data"] if entry["hash"] == digest and entry["dataset"]]
    return f" on {names[0]}" if names and len(told["classes"]) > 1 else ""


def _columns(accuracy: Sequence[float | None]) -> list[int]:
    """Return the classes that are shown, in their own order."""
    known = [index for index, value in enumerate(accuracy) if value is not None]
    if len(known) <= MOST_COLUMNS:
        return known
    ordered = sorted(known, key=lambda index: accuracy[index] or 0.0)
    return sorted([*ordered[: MOST_COLUMNS // 2], *ordered[-MOST_COLUMNS // 2 :]])


def _lowest(own: Json, names: Sequence[str]) -> Markup:
    known = [(value, index) for index, value in enumerate(own["accuracy"]) if value is not None]
    value, index = min(known)
    return tag(
        "td",
        tag("b", wording.decimal(value, 1)),
        " ",
        tag("span", names[index], class_="faint"),
        class_="lowest",
    )


def _cell(own: Json, column: int, largest: float) -> Markup:
    if own["difference"] is None:
        return tag("td", wording.decimal(own["accuracy"][column], 1))
    difference = own["difference"][column]
    if difference is None:
        return tag("td", wording.ABSENT)
    half = None if own["difference_half_width"] is None else own["difference_half_width"][column]
    level = min(5, round(5 * abs(difference) / largest)) if largest else 0
    kind = f"{'up' if difference > 0 else 'down'}{level}" if level else None
    written = wording.signed(round(difference, 1) + 0.0, 1)  # no minus before nothing
    told = tag("b", written) if half is not None and abs(difference) > half else written
    beside = "" if half is None else f" ± {half:.1f}"
    title = f"{wording.decimal(own['accuracy'][column], 1)} %, {written}{beside}"
    return tag("td", told, class_=kind, title=title)


def confusions(board: Json) -> Markup:
    """Return each arm's confusion matrix with its change, and beside it that of the arm that it is compared with.

    The script shows one arm at a time, and of the baselines that of its cell alone.
    """
    told = board.get("by_class")
    if not told:
        return EMPTY
    rows = [row for row in board["rows"] if told["arms"].get(row["arm"])]
    matrices = {row["arm"]: told["arms"][row["arm"]] for row in rows}
    found = {arm: own for arm, own in matrices.items() if 0 < len(own["confusion"] or ()) <= MOST_CLASSES}
    against = {row["arm"]: row.get("against") or board["baseline"] for row in rows}
    # A baseline alone in its cell is beside nothing: it is an arm like others, unless it is the whole board.
    bases = {base for arm in found if (base := against[arm]) != arm and base in found}
    bases = bases or {board["baseline"]} & found.keys()
    picks = [arm for arm in found if arm not in bases]
    beside = {} if picks else {base: _base(base, found[base], told) for base in bases}
    parts: list[Markup] = []
    size = 0
    for arm in picks:
        base = against[arm]
        article = _pick(arm, base, found, told)
        new = {base: _base(base, found[base], told)} if base in bases - beside.keys() else {}
        size += len(article) + sum(map(len, new.values()))
        if size > MOST_BYTES and parts:
            left = len(picks) - len(parts)
            parts.append(tag("p", f"{left} arms more stand in leaderboard.json.", class_="note"))
            break
        parts.append(article)
        beside |= new
    if not beside and not parts:
        return _why_none(told)
    picked = tag("div", *parts, class_="picks", data_label="Arm")
    return tag("div", tag("div", *beside.values()), picked, class_="matrices")


def _base(arm: str, own: Json, told: Json) -> Markup:
    drawn = _matrix(own["confusion"], _names(own, told), None, arm)
    return tag("article", tag("h3", f"{arm}, the baseline"), drawn, class_="base", data_base=arm)


def _pick(arm: str, base: str, found: Mapping[str, Json], told: Json) -> Markup:
    drawn = _both(arm, found[arm], found.get(base, {}) if base != arm else {}, told)
    return tag(
        "article",
        tag("h3", arm),
        tag("div", *drawn, class_="two"),
        class_="pick",
        data_pick=arm,
        data_against=base,
    )


def _why_none(told: Json) -> Markup:
    """Return why no matrix is drawn, where that is for the number of classes; empty where records merely lack them."""
    most = max((len(one["accuracy"] or ()) for one in told["arms"].values()), default=0)
    if most <= MOST_CLASSES:
        return EMPTY
    words = f"No matrix: records hold confusions of up to {MOST_CLASSES} classes, and this data has {most}."
    return tag("p", words, class_="note")


def _label(name: str, written: str, **attributes: object) -> Markup:
    """Return the name of a class; one that is not written in full tells itself when it is pointed at."""
    return tag("text", EMPTY if name == written else tag("title", name), written, **attributes)


def _names(own: Json, told: Json) -> list[str]:
    return list(told["classes"][own["data"]]["names"])


def _both(arm: str, own: Json, yardstick: Json, told: Json) -> list[Markup]:
    names, theirs = _names(own, told), yardstick.get("confusion")
    drawn = [_matrix(own["confusion"], names, None, arm)]
    if theirs and len(theirs) == len(own["confusion"]) and yardstick["data"] == own["data"]:
        change = [
            [a - b for a, b in zip(mine, other, strict=True)]
            for mine, other in zip(own["confusion"], theirs, strict=True)
        ]
        drawn.append(_matrix(own["confusion"], names, change, arm))
    return drawn


def _ground(kind: str, level: int) -> str:
    """Return the class of a number on a cell so full of colour that the ink of the page does not stand out enough."""
    if level <= 0.6 * LEVELS:
        return ""
    return "on-deep" if kind == "right" and level > 0.9 * LEVELS else "on-strong"


def _matrix(
    shares: Sequence[Sequence[float]],
    names: Sequence[str],
    change: Sequence[Sequence[float]] | None,
    arm: str,
) -> Markup:
    """Draw a matrix of shares, or of their change: blue is for what is right, orange for what is wrong."""
    count = len(shares)
    written = count <= MOST_WRITTEN
    cell = CELL[written]
    short = shortened(names, 12)
    left = 14.0 + max(map(width_of, short), default=0) if names else 8.0
    values = change or shares
    scale = max((abs(value) for row in values for value in row), default=0.0) or 1.0
    paths: dict[tuple[str, int], list[str]] = {}
    texts = []
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            # Shares by their root, so that the small mistakes show beside the large diagonal.
            level = round(LEVELS * (abs(value) / scale) ** (0.5 if change is None else 1.0))
            number = f"{100 * value:.0f}" if change is None else wording.signed(100 * value, 0)
            kind = "right" if (i == j) == (value > 0) else "wrong"
            if level:
                box = f"M{left + j * cell:g} {i * cell:g}h{cell - 1:g}v{cell - 1:g}h{1 - cell:g}z"
                paths.setdefault((kind, level), []).append(box)
            if written and abs(value) >= 0.005:
                texts.append(
                    tag(
                        "text",
                        number,
                        x=left + (j + 0.5) * cell - 0.5,
                        y=(i + 0.5) * cell + 4,
                        class_=f"middle {_ground(kind, level)}".strip(),
                    )
                )
    size = count * cell
    drawn = [
        tag("path", d="".join(boxes), class_=kind, fill_opacity=level / LEVELS)
        for (kind, level), boxes in sorted(paths.items())
    ]
    low = 8.0
    if names and (written or cell >= 13):
        below = max(map(width_of, short), default=0)
        for index, (full, name) in enumerate(zip(names, short, strict=True)):
            middle = (index + 0.5) * cell
            drawn.append(_label(full, name, x=left - 8, y=middle + 4, class_="end"))
            turn = f"translate({left + middle + 4:g} {size + 8:g}) rotate(-90)"
            drawn.append(_label(full, name, transform=turn, class_="end"))
        low += below + 8
    what = "predicted share of each class, %" if change is None else "change from its baseline, points"
    caption = f"{arm}: {what}; a row is a true class"
    return figure(left + size + 4, size + low, [*drawn, *texts], caption, None, "matrix")

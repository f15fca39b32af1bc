"""What augmentations do, as HTML: the pictures of `harness preview` and how far each moves the data."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.board import wording
from harness.board.markup import EMPTY, join, tag
from harness.board.previews import AGAIN, FEATURES, FOLDER, grouped

Json = Mapping[str, Any]

MOST_BYTES = 1_200_000
"""Pictures in one page, in bytes: what does not fit is named, and stands beside it as a file."""
MOST_CLASSES = 100
SMALLEST = 0.05
"""A level that is shown as more than none."""

MEANINGS = {
    "pixels": "All values of a class's images",
    "brightness": "An image's mean value",
    "contrast": "An image's standard deviation",
    "edges": "An image's mean difference between neighbouring values",
    "saturation": "An image's mean span between its channels; not of grey images",
}
NOTE = (
    "First Wasserstein distance between a class's images before and after, in levels of 0 to 255: the mean over "
    "classes, then the class that moved the most. Each augmentation by itself, then all together."
)

_TEMPLATES = Path(__file__).parent / "templates"


def gallery(previews: Json, pictures: Mapping[str, bytes], most_bytes: int = MOST_BYTES) -> Markup:
    """Return, for each set of augmentations, its arms, its picture and its distances.

    Args:
        previews: As the board holds them.
        pictures: WebP, by digest; what is absent is not shown.
        most_bytes: Room for pictures, where it is less than there always is.
    """
    return join(
        [
            tag("article", tag("h3", ", ".join(names)), *_both(told, pictures, room), class_="preview")
            for (names, told), room in _with_room(previews["arms"], pictures, min(MOST_BYTES, most_bytes))
        ]
    ) + tag("p", NOTE, class_="note")


def preview_page(preview: Json, pictures: Mapping[str, bytes]) -> str:
    """Return a preview as a page that needs nothing else, each class's distances included.

    Args:
        preview: What `preview.json` holds.
        pictures: WebP, by digest.
    """
    style = (_TEMPLATES / "board.css").read_text(encoding="utf-8")
    template = Markup((_TEMPLATES / "preview.html").read_text(encoding="utf-8"))
    good = [told for told in preview["arms"] if told["error"] is None]
    parts = []
    for (names, told), room in _with_room(good, pictures):
        content = [tag("h2", ", ".join(names)), *_both(told, pictures, room), _classes(told)]
        parts.append(tag("section", *content, class_="preview"))
    failed = [
        tag("li", tag("span", "failed", class_="badge failed"), tag("b", told["arm"]), f" {told['error']}")
        for told in preview["arms"]
        if told["error"] is not None
    ]
    if failed:
        parts.append(tag("section", tag("h2", "Failures"), tag("ul", *failed, class_="failures")))
    return template.format(
        policy=f"default-src 'none'; img-src data:; style-src '{hash_of(style)}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        suite=wording.plain(preview["suite"]),
        subtitle=_subtitle(preview, good),
        parts=join(parts),
        note=NOTE,
        plan=wording.plain(preview["plan"]),
    )


def hash_of(content: str) -> str:
    """Return what a content security policy names a style or a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _subtitle(preview: Json, arms: Sequence[Json]) -> str:
    sets = len(grouped(list(map(dict, arms))))
    text = f"{sets} {'set' if sets == 1 else 'sets'} of augmentations in {len(preview['arms'])} arms"
    if not arms:
        return text
    measured = arms[0]["measured"]
    return f"{text}; measured on {measured['images']:,} training images of {measured['classes']} classes"


def _with_room(
    arms: Sequence[Json], pictures: Mapping[str, bytes], most_bytes: int = MOST_BYTES
) -> list[tuple[tuple[list[str], Json], bool]]:
    """Return the groups of arms, each with whether the page has room for its picture."""
    taken = 0
    found: list[tuple[tuple[list[str], Json], bool]] = []
    for names, told in grouped(list(map(dict, arms))):
        size = len(pictures.get(told["digest"], b""))
        has_room = taken + size <= most_bytes
        taken += size if has_room else 0
        found.append(((names, told), has_room))
    return found


def _both(told: Json, pictures: Mapping[str, bytes], has_room: bool) -> list[Markup]:
    return [_picture(told, pictures, has_room), _table(told)]


def _picture(told: Json, pictures: Mapping[str, bytes], has_room: bool) -> Markup:
    data = pictures.get(told["digest"])
    if data is None:
        return tag("p", f"The picture is not there, or not the one that was drawn; {AGAIN}.", class_="note")
    if not has_room:
        return tag(
            "p", f"The picture is {FOLDER}/{told['picture']}: there is no room for it here.", class_="note"
        )
    rows = ", ".join(row["label"] for row in told["rows"])
    # No closing tag: an image holds nothing.
    source = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    image = Markup('<img src="{}" alt="{}">').format(
        source, f"Samples before, then after: {wording.plain(rows)}"
    )
    return tag("div", image, class_="scroll", tabindex="0")


def _table(told: Json) -> Markup:
    head = [tag("th", name, scope="col", title=MEANINGS[name]) for name in FEATURES]
    body = [
        tag("tr", tag("th", *_heading(row), scope="row", class_="arm"), *map(_moved, _values(row)))
        for row in told["rows"]
    ]
    first = tag("th", "augmentation", scope="col", class_="arm")
    whole = tag("table", tag("thead", tag("tr", first, *head)), tag("tbody", join(body)))
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label="Distances")


def _values(row: Json) -> list[Json | None]:
    return [row["distances"][name] for name in FEATURES]


def _heading(row: Json) -> list[Markup]:
    beside = []
    if row["progress"] is not None:
        beside.append(tag("span", f" at {100 * row['progress']:.0f} %", class_="faint"))
    if row["placement"] == "loader":
        beside.append(tag("span", " in the loader", class_="faint"))
    return [tag("span", row["label"]), *beside]


def _moved(value: Json | None) -> Markup:
    if value is None:
        return tag("td", tag("span", wording.ABSENT, class_="faint"))
    most = f"{wording.decimal(value['highest'], 1)} {wording.plain(value['class'])}"
    beside = tag("span", most, class_="faint below") if value["highest"] >= SMALLEST else EMPTY
    return tag("td", tag("b", wording.decimal(value["mean"], 1)), beside)


def _classes(told: Json) -> Markup:
    """Return the distances of pixel values by class, in a table that opens."""
    rows = told["rows"]
    names = list(rows[0]["classes"]) if rows else []
    head = [tag("th", "class", scope="col", class_="arm")]
    head += [tag("th", *_heading(row), scope="col") for row in rows]
    body = [
        tag(
            "tr",
            tag("th", name, scope="row", class_="arm"),
            *(tag("td", wording.decimal(row["classes"][name]["pixels"], 1)) for row in rows),
        )
        for name in names[:MOST_CLASSES]
    ]
    more = [tag("p", f"and {len(names) - MOST_CLASSES} more, in preview.json", class_="note")]
    return tag(
        "details",
        tag("summary", tag("h3", "Pixels by class")),
        tag("div", tag("table", tag("thead", tag("tr", *head)), tag("tbody", join(body))), class_="scroll"),
        *(more if len(names) > MOST_CLASSES else []),
        class_="card",
    )

"""What augmentations cost and do, on the board: medians over rounds, previews of this plan and of no other."""

import csv
import io
import re
from html import unescape
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.board import render
from harness.board.html_preview import MOST_BYTES, preview_page
from harness.board.leaderboard import build
from harness.board.previews import (
    FEATURES,
    grouped,
    inputs_of,
    previews_of,
    read_pictures,
    read_preview,
    sealed,
)
from harness.board.write import write
from harness.engine import preview_meter
from harness.registry.digests import digest_bytes

Json = dict[str, Any]


def cost(label: str, seconds: float, share: float, lost: float | None, placement: str = "device") -> Json:
    return {
        "label": f"augmentation {label}",
        "placement": placement,
        "seconds_per_batch": seconds,
        "step_share": share,
        "images_per_second_lost": lost,
    }


def row_of(board: Json, arm: str) -> Json:
    return next(row for row in board["rows"] if row["arm"] == arm)


@pytest.fixture
def costly(inputs: Any) -> Any:
    given = inputs({"plain": 0.0, "cutout": 0.0}, replicates=4, rounds=3, epochs=3)
    for timing in given.timings:
        number = timing["round"]
        if timing["arm"] == "cutout":
            timing["augmentations"] = [
                cost("crop", 0.001 * (number + 1), 0.1, 40.0, "loader"),
                cost("cutout", 0.0003, [0.02, 0.04, 0.03][number], [10.0, None, 20.0][number]),
            ]
        else:
            timing["augmentations"] = []
    return given


def board_of(given: Any, preview: Json | None = None) -> Json:
    return build(given.plan, given.records, given.timings, shared=given.shared, preview=preview)


def test_costs_are_medians_over_rounds_in_the_order_in_which_they_act(costly: Any) -> None:
    board = board_of(costly)
    assert "augmentations" not in row_of(board, "plain")
    assert row_of(board, "cutout")["augmentations"] == [
        {
            "label": "crop",
            "placement": "loader",
            "seconds_per_batch": 0.002,
            "step_share": 0.1,
            "images_per_second_lost": 40.0,
        },
        {
            "label": "cutout",
            "placement": "device",
            "seconds_per_batch": 0.0003,
            "step_share": 0.03,
            "images_per_second_lost": 15.0,
        },
    ]


def test_every_format_tells_the_costs(costly: Any) -> None:
    board = board_of(costly)
    page, text = render.html(board), render.markdown(board)
    told = "crop 2 ms a batch in the loader (10.0 % of a step, 40 images/s lost)"
    assert told in page and told in text
    assert "cutout 0.3 ms a batch (3.0 % of a step, 15 images/s lost)" in text
    assert "13.0 %" in page  # of a step, both together, beside the other measures
    lines = {line["arm"]: line for line in csv.DictReader(io.StringIO(render.csv(board)))}
    assert float(lines["cutout"]["augmentation_cutout_seconds_per_batch"]) == 0.0003
    assert lines["cutout"]["augmentation_crop_placement"] == "loader"
    assert lines["plain"]["augmentation_cutout_step_share"] == ""
    assert '"step_share": 0.03' in render.json(board)


@pytest.mark.parametrize("nonsense", ["text", 3, [1], [{"label": "x"}], {"p50": 1}, None])
def test_nonsense_in_a_timing_is_an_absence(costly: Any, nonsense: Any) -> None:
    for timing in costly.timings:
        timing["augmentations"] = nonsense
    board = board_of(costly)
    for text in (render.html(board), render.markdown(board), render.csv(board), render.json(board)):
        assert text


PICTURE = b"RIFF-not-really-a-picture"


def distances(value: float) -> Json:
    told = {"mean": value, "highest": 2 * value, "class": "cat"}
    return {name: None if name == "saturation" else told for name in FEATURES}


def preview_of(plan: Json, arms: list[str], picture: bytes = PICTURE) -> Json:
    """Return what `harness preview` writes for some arms."""
    recipes = {arm["name"]: arm for arm in plan["arms"]}
    classes = {"cat": dict.fromkeys(FEATURES, 5.0), "dog": dict.fromkeys(FEATURES, 1.0)}
    rows = [
        {"label": "grow", "placement": "device", "step": 5, "progress": 0.5, "distances": distances(3.25)},
        {"label": "crop", "placement": "loader", "step": None, "progress": None, "distances": distances(0.0)},
    ]
    return {
        "schema": 1,
        "suite": plan["suite"],
        "plan": plan["hash"],
        "samples": 8,
        "features": list(FEATURES),
        "arms": [
            {
                "arm": arm,
                "inputs": inputs_of(plan, recipes[arm]),
                "picture": f"{arm}.png",
                "small": f"{arms[0]}.webp",
                "digest": digest_bytes(picture),
                "measured": {"images": 640, "classes": 10},
                "rows": [{**row, "classes": classes} for row in rows],
                "error": None,
            }
            for arm in arms
        ],
    }


def test_the_features_are_those_that_the_engine_measures() -> None:
    assert FEATURES == preview_meter.FEATURES


def test_a_board_without_a_preview_has_no_place_for_it(inputs: Any) -> None:
    board = board_of(inputs({"plain": 0.0, "cutout": 0.0}))
    assert "previews" not in board
    page = render.html(board)
    assert "What the augmentations do" not in page and "img-src" not in page


def test_a_preview_of_the_plan_is_shown_once_for_all_arms_that_it_is_the_same_for(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "cutout": 0.0, "sam": 0.0})
    board = board_of(given, preview_of(given.plan, ["plain", "sam"]))
    assert [told["arm"] for told in board["previews"]["arms"]] == ["plain", "sam"]
    assert [names for names, _ in grouped(board["previews"]["arms"])] == [["plain", "sam"]]
    page = render.html(board, {digest_bytes(PICTURE): PICTURE})
    assert page.count("<img ") == 1 and page.count('src="data:image/webp;base64,') == 1
    assert "img-src data:" in page and "plain, sam" in page
    assert "at 50 %" in page and "3.2" in page and "6.5 cat" in page and "in the loader" in page
    assert orjson.loads(render.json(board)) == board
    assert "PNG" not in render.json(board) and len(render.json(board)) < 2 * len(render.json(board_of(given)))


def test_a_stale_preview_is_left_out_with_a_note(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "cutout": 0.0})
    preview = preview_of(given.plan, ["plain", "cutout"])
    given.plan["hash"] = "another-plan"
    # More replicates, say: another plan, and the same pictures.
    assert len(board_of(given, preview)["previews"]["arms"]) == 2
    given.plan["arms"][1]["recipe"]["augmentations"] = [{"name": "cutout", "params": {"size": 3}}]
    board = board_of(given, preview)
    assert [told["arm"] for told in board["previews"]["arms"]] == ["plain"]
    note = "preview of cutout left out: it is of another plan; `harness preview SUITE` makes it anew"
    assert note in board["stamps"] and "preview of cutout left out" in render.html(board)
    given.plan["seed"] = 77
    board = board_of(given, preview)
    assert "previews" not in board
    assert any(stamp.startswith("preview left out: it is of another plan") for stamp in board["stamps"])


def test_an_arm_that_is_gone_or_failed_shows_nothing(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "cutout": 0.0})
    preview = preview_of(given.plan, ["plain", "cutout"])
    preview["arms"][0] |= {"error": "augmentation x, slot batch: ValueError", "rows": [], "digest": None}
    preview["arms"][1]["arm"] = "renamed"
    shown, notes = previews_of(given.plan, preview)
    assert shown is None and len(notes) == 1


def test_a_damaged_preview_is_left_out_with_a_note(inputs: Any, tmp_path: Path) -> None:
    given = inputs({"plain": 0.0, "cutout": 0.0})
    assert read_preview(tmp_path) is None
    path = tmp_path / "preview" / "preview.json"
    path.parent.mkdir()
    good = sealed(preview_of(given.plan, ["plain"]))
    path.write_bytes(good)
    assert read_preview(tmp_path) == preview_of(given.plan, ["plain"])
    for bad in (good.replace(b"3.25", b"9.25"), good[:100], b"[]", b'{"schema": 99}', b""):
        path.write_bytes(bad)
        board = board_of(given, read_preview(tmp_path))
        assert "previews" not in board
        assert any(stamp.startswith("preview left out: preview/preview.json") for stamp in board["stamps"])


def test_only_the_picture_that_was_drawn_is_shown(inputs: Any, tmp_path: Path) -> None:
    given = inputs({"plain": 0.0, "cutout": 0.0})
    board = board_of(given, preview_of(given.plan, ["plain"]))
    path = tmp_path / "preview" / "plain.webp"
    path.parent.mkdir()
    assert read_pictures(tmp_path, board) == {}
    path.write_bytes(PICTURE)
    assert read_pictures(tmp_path, board) == {digest_bytes(PICTURE): PICTURE}
    write(board, tmp_path, read_pictures(tmp_path, board))
    assert "<img " in (tmp_path / "leaderboard.html").read_text()
    path.write_bytes(b"another")
    assert read_pictures(tmp_path, board) == {}
    page = render.html(board, {})
    assert "<img " not in page and "not the one that was drawn" in page


def test_pictures_beyond_the_room_of_a_page_are_named(inputs: Any) -> None:
    given = inputs({f"arm-{number}": 0.0 for number in range(4)})
    pictures = [bytes([number]) * (MOST_BYTES // 2) for number in range(4)]
    preview = preview_of(given.plan, ["arm-0"], pictures[0])
    for number in range(1, 4):
        preview["arms"] += preview_of(given.plan, [f"arm-{number}"], pictures[number])["arms"]
    page = render.html(board_of(given, preview), {digest_bytes(data): data for data in pictures})
    assert page.count("<img ") == 2
    assert "preview/arm-2.png" in page and "preview/arm-3.png" in page
    assert len(page.encode()) < 2_000_000


def test_no_name_breaks_out_of_the_pages(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "cutout": 0.0})
    preview = preview_of(given.plan, ["plain"])
    hostile = '"><script>alert(1)</script>\x1b[31m'
    for row in preview["arms"][0]["rows"]:
        row["label"] = hostile
        row["distances"]["pixels"] = {"mean": 1.0, "highest": 2.0, "class": hostile}
        row["classes"] = {hostile: dict.fromkeys(FEATURES, 1.0)}
    preview["arms"].append(
        {**preview["arms"][0], "arm": hostile, "error": hostile, "rows": [], "digest": None}
    )
    pictures = {digest_bytes(PICTURE): PICTURE}
    pages = [preview_page(preview, pictures), render.html(board_of(given, preview), pictures)]
    for page in pages:
        assert "<script>alert" not in page and "\x1b" not in page
        assert page.count("<img ") == 1


def test_the_page_of_a_preview_needs_nothing_else(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "cutout": 0.0})
    page = preview_page(preview_of(given.plan, ["plain", "cutout"]), {digest_bytes(PICTURE): PICTURE})
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in unescape(page)
    assert "<script" not in page and "url(" not in page and " style=" not in page
    assert set(re.findall(r'(?:src|href)="([^",;]*)', page)) == {"data:image/webp"}
    assert "1 set of augmentations in 2 arms; measured on 640 training images of 10 classes" in page
    assert "Pixels by class" in page and ">dog<" in page

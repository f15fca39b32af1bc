"""A board counts images as the engine uses them: trained on, held out, judged on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from harness.board import render
from harness.board.data import data_of
from harness.board.data_words import range_of_sizes, sizes
from harness.board.html_provenance import data_in_words
from harness.board.leaderboard import build
from harness.board.wording import summary
from harness.engine.data import carve

COUNTS = [31, 32, 31, 32, 31, 31, 32, 31, 31, 32]


def plan_with(shares: dict[str, float], split: dict[str, Any] | None = None) -> dict[str, Any]:
    train = {"count": sum(COUNTS), "class_counts": COUNTS, **(split or {})}
    return {
        "manifests": {"m": {"dataset": "digits", "splits": {"train": train, "test": {"count": 539}}}},
        "arms": [
            {"name": arm, "data": "m", "recipe": {"dataset": {"name": "digits", "validation": share}}}
            for arm, share in shares.items()
        ],
    }


def entry_of(plan: dict[str, Any]) -> dict[str, Any]:
    (entry,) = data_of(plan, {arm["name"]: arm for arm in plan["arms"]})
    return entry


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.25, 0.375, 0.5, 0.9])
def test_a_board_counts_what_the_engine_trains_on_and_holds_out(share: float) -> None:
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
    train, held = carve(labels, share, np.random.default_rng(0))
    entry = entry_of(plan_with({"plain": share, "sam": share}))
    assert (entry["train"] - entry["validation"], entry["validation"]) == (len(train), len(held))
    assert sizes(entry).startswith(f"{len(train)} training")


def test_what_is_held_out_is_told_apart_in_every_format(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "sam": 0.1})
    given.plan["manifests"]["m"]["splits"]["train"] |= {"count": sum(COUNTS), "class_counts": COUNTS}
    for arm in given.plan["arms"]:
        arm["recipe"]["dataset"] = {"name": "digits", "validation": 0.1}
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    told = "284 training, 30 validation and 899 test images"
    assert summary(board).endswith(f"on digits ({told})")
    assert told in data_in_words(board["data"][0])
    page = re.sub("<[^>]*>", "", render.html(board))
    assert page.count(told) == 2 and "314" not in page
    assert all(told in text for text in (render.markdown(board), render.latex(board)))


@pytest.mark.parametrize(
    ("shares", "split"),
    [
        ({"plain": 0.1, "sam": 0.2}, {}),
        ({"plain": 0.1}, {"sources_digest": "d"}),
        ({"a": 0.1}, {"class_counts": None}),
    ],
)
def test_no_number_is_given_to_arms_that_hold_out_unlike_shares_or_versions_of_images(
    shares: dict[str, float], split: dict[str, Any]
) -> None:
    entry = entry_of(plan_with(shares, split))
    assert entry["validation"] is None
    assert sizes(entry) == "314 training, validation among them, and 539 test images"
    assert sizes(entry | {"test": None}) == "314 training images, validation among them"
    other = {"train": 1000, "validation": 100, "test": 360}
    assert range_of_sizes([entry, other]) == (
        "314 to 1,000 training, validation among them, and 360 to 539 test images"
    )


def test_a_range_of_sizes_tells_what_is_held_out_too() -> None:
    data = [
        {"train": train, "validation": train // 10, "test": test}
        for train, test in ((720, 360), (1000, 6218))
    ]
    assert range_of_sizes(data) == "648 to 900 training, 72 to 100 validation and 360 to 6,218 test images"
    assert range_of_sizes([*data, {"train": None, "validation": None, "test": 5}]) == ""


def test_without_a_validation_split_there_is_no_word_of_it() -> None:
    assert sizes(entry_of(plan_with({"plain": 0.0}))) == "314 training and 539 test images"
    assert sizes({"train": 450, "test": 899}) == "450 training and 899 test images"
    assert sizes({"train": 450}) == "450 training images"
    assert sizes({"dataset": "digits"}) == ""

"""Cells whose values are whole components: words that tell them apart, in every format, and never a Python table."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from harness.board import render, wording
from harness.board.cells import cells_in_words, with_cells_in_words
from harness.board.leaderboard import build

CIFAR = {"name": "subset", "of": "cifar10", "samples": 1000, "validation": 0.1}
SHOP = {"name": "parquet", "folder": "shop", "size": [32, 24]}
DATA = [
    CIFAR,
    {"name": "subset", "of": SHOP, "samples": 1000, "validation": 0.1},
    {"name": "digits", "validation": 0.1},
]
WORDS = ["subset of cifar10", "subset of shop (parquet)", "digits"]


def in_words(*values: Any) -> list[Any]:
    return [cell["dataset"] for cell in cells_in_words([{"dataset": value} for value in values])]


def test_a_component_is_told_by_its_name_and_what_tells_it_apart() -> None:
    assert in_words(*DATA) == WORDS
    # The names are one now: what differs is told of each.
    other = {**CIFAR, "samples": 500}
    assert in_words(CIFAR, other, DATA[1]) == [
        "subset (samples 1000) of cifar10",
        "subset (samples 500) of cifar10",
        "subset (samples 1000) of parquet (folder shop, size [32, 24])",
    ]
    assert in_words(CIFAR, {**CIFAR, "validation": 0.2}) == [
        "subset (validation 0.1) of cifar10",
        "subset (validation 0.2) of cifar10",
    ]
    # One cell alone has nothing to be told apart from, and says all.
    assert in_words(CIFAR) == ["subset (samples 1000, validation 0.1) of cifar10"]


def test_equal_values_have_equal_words_and_others_never_do() -> None:
    # What one lacks and the other has, by whatever default, is no common parameter.
    words = in_words(CIFAR, {"name": "subset", "of": "cifar10"}, dict(reversed(CIFAR.items())))
    assert words[0] == words[2] != words[1]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"precision": "bf16", "channels_last": True}, "channels_last true, precision bf16"),
        (["mixup", {"name": "cutout", "size": 4}], "[mixup, cutout (size 4)]"),
        ([], "[]"),
        (0.1, 0.1),
        (True, True),
    ],
)
def test_other_values(value: Any, words: Any) -> None:
    assert in_words(value) == [words]


def test_a_board_of_single_values_is_left_as_it_is() -> None:
    board = {"rows": [{"cell": {"batch_size": 32}}, {}], "aggregate": None}
    assert with_cells_in_words(board) is board


def aggregates() -> ModuleType:
    """Return the maker of boards over several data sets that the aggregate's own tests use."""
    path = Path(__file__).parent / "test_board_aggregate.py"
    spec = importlib.util.spec_from_file_location("aggregate_inputs", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def board_over(inputs: Any, datasets: int) -> Any:
    given = aggregates().grid_of(inputs, datasets)
    for arm in given.plan["arms"]:
        number = int(arm["cell"]["dataset.name"].removeprefix("d"))
        arm["cell"] = {"dataset": DATA[number]}
    return build(given.plan, given.records, given.timings, shared=given.shared)


def printed(board: Any) -> str:
    console = Console(width=110)
    with console.capture() as capture:
        console.print(render.terminal(board))
    return capture.get()


def test_every_format_shows_the_cells_and_the_figures_over_all_of_them(inputs: Any) -> None:
    board = board_over(inputs, 3)
    formats = {
        "html": render.html(board),
        "markdown": render.markdown(board),
        "latex": render.latex(board),
        "terminal": printed(board),
    }
    arms = board["aggregate"]["arms"]
    assert [arm["arm"] for arm in arms] and len(arms) == 3
    for name, text in formats.items():
        assert "{'" not in text and "'name'" not in text, name
        plain = re.sub(r"[\\{}]|&#\d+;", "", text)
        for words in WORDS:
            assert words in " ".join(plain.split()), (name, words)
        for arm in arms:
            rank, middle = arm["mean_rank"], arm["interquartile_mean"]
            for figure in (
                f"{rank['mean']:.2f} [{rank['low']:.2f}",
                f"{middle['mean']:.3f} [{middle['low']:.3f}",
            ):
                assert figure in plain, (name, figure)


def test_cells_of_a_markdown_table_stand_under_their_values(inputs: Any) -> None:
    lines = render.markdown(board_over(inputs, 3)).splitlines()
    places = [lines.index(f"|  | *dataset = {words}* |  |  |  |  |  |  |") for words in (WORDS[0], WORDS[2])]
    first = {line.split(" | ")[1] for line in lines[places[0] + 1 : places[0] + 4]}
    last = {line.split(" | ")[1] for line in lines[places[1] + 1 : places[1] + 4]}
    assert first == {"plain", "mixup", "sam"} and last == {"plain.2", "mixup.2", "sam.2"}


def test_two_data_sets_are_too_few_for_a_figure_over_all(inputs: Any) -> None:
    board = board_over(inputs, 2)
    for text in (render.html(board), render.markdown(board), render.latex(board), printed(board)):
        assert "ver all" not in text and "mean rank" not in text


def test_the_profile_is_drawn_for_every_arm_with_its_axes_named(inputs: Any) -> None:
    page = render.html(board_over(inputs, 3))
    section = page[page.index('id="section-aggregate"') :].partition("</section>")[0]
    drawing = section[section.index("<svg") : section.index("</svg>")]
    assert len(re.findall("<polyline", drawing)) == len(re.findall("<polygon", drawing)) == 3
    assert "share of runs above the score" in drawing and "score, (top-1" in drawing
    assert sorted(re.findall(r'<li data-series="s(\d)">', section)) == ["0", "1", "2"]


def test_many_data_sets_are_counted_in_the_heading_with_the_range_of_their_sizes(inputs: Any) -> None:
    board = board_over(inputs, 3)
    for entry, train, test in zip(board["data"], (720, 1000, 1000), (360, 10000, 6218), strict=True):
        entry |= {"train": train, "test": test}
    heading = "9 arms × 8 replicates on 3 data sets"
    assert wording.summary(board) == f"{heading} (720 to 1,000 training and 360 to 10,000 test images)"
    board["data"][1]["train"] = None
    assert wording.summary(board) == heading
    # Two are named.
    assert " and " in wording.summary(board_over(inputs, 2))

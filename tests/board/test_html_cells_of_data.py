"""A grid over data sets on the page: a chart a data set, an arm in one colour in all, black for the baseline alone."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from markupsafe import Markup

from harness.board import chart_cells, render
from harness.board.chart_cells import cell_by_cell, cells_of_data, colours_of, named_colours
from harness.board.chart_profile import profiles
from harness.board.html_classes import class_tables
from harness.board.html_verdicts import comparability
from harness.board.leaderboard import build


@pytest.fixture(scope="module")
def aggregates() -> ModuleType:
    path = Path(__file__).with_name("test_board_aggregate.py")
    spec = importlib.util.spec_from_file_location("aggregates_of_cells", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def board_of(given: Any) -> Any:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def section_of(page: str, name: str) -> str:
    return page.partition(f'<section id="section-{name}">')[2].partition("</section>")[0]


def lines_of(drawing: str) -> dict[str, set[str]]:
    """Return the styles of each arm's lines."""
    found: dict[str, set[str]] = {}
    for body in re.findall(r"<polyline[^>]*>.*?</polyline>", drawing):
        (name,), (style,) = re.findall("<title>(.*?)</title>", body), re.findall('class="line (.*?)"', body)
        found.setdefault(name, set()).add(style)
    return found


def test_each_data_set_has_its_own_curves_and_an_arm_one_colour_in_all(inputs: Any, aggregates: Any) -> None:
    board = board_of(aggregates.grid_of(inputs, 3))
    section = section_of(render.html(board), "curves")
    picks = re.findall(r'<article class="pick" data-pick="(.*?)">(.*?)</article>', section, re.DOTALL)
    assert [name for name, _ in picks] == ["d0", "d1", "d2"]
    styles: dict[str, set[str]] = {}
    for number, (_, drawing) in enumerate(picks):
        suffix = f".{number}" if number else ""
        drawn = lines_of(drawing)
        assert drawn.keys() == {arm + suffix for arm in ("plain", "mixup", "sam")}
        assert drawn["plain" + suffix] == {"s0"}
        # The key names those that are drawn, and no other.
        assert set(re.findall(r"<li data-arm=.*?<span>(.*?)</span>", drawing)) == drawn.keys()
        for arm, own in drawn.items():
            styles.setdefault(arm.removesuffix(suffix), set()).update(own)
    assert all(len(own) == 1 for own in styles.values()) and len(set(map(str, styles.values()))) == 3


def test_a_grid_of_one_data_set_shares_its_charts(inputs: Any, aggregates: Any) -> None:
    given = aggregates.grid_of(inputs, 3)
    for arm in given.plan["arms"]:
        arm["cell"] = {"batch_size": int(arm["cell"]["dataset.name"][1:])}
    board = board_of(given)
    (cell,) = cells_of_data(board)
    assert set(cell.arms) == board["curves"].keys()
    assert "data-pick" not in section_of(render.html(board), "curves")


def test_the_copy_of_a_cells_baseline_goes_by_its_name(inputs: Any, aggregates: Any) -> None:
    given = aggregates.grid_of(inputs, 2)
    renamed = {"sam": "plain-aa", "sam.1": "plain.1-aa"}
    for one in (*given.plan["arms"], *given.plan["trials"], *given.records):
        name = "name" if "name" in one else "arm"
        one[name] = renamed.get(one[name], one[name])
    board = board_of(given)
    colours = colours_of(board)
    assert colours["plain.1-aa"] == colours["plain-aa"] == named_colours(board)["plain-aa"] > 0


def test_the_profile_of_the_baseline_alone_is_black_whatever_its_rank(inputs: Any, aggregates: Any) -> None:
    board = board_of(aggregates.grid_of(inputs, 3))
    first = board["aggregate"]["arms"][0]["arm"]
    assert first != "plain"
    drawing = profiles(board)
    curves = lines_of(section_of(render.html(board), "curves"))
    assert lines_of(drawing) == {arm: curves[arm] for arm in ("plain", "mixup", "sam")}
    assert [arm for arm, style in lines_of(drawing).items() if style == {"s0"}] == ["plain"]
    legend = dict(re.findall(r'<li data-series="(s\d)">.*?<span>(.*?)</span>', drawing))
    assert legend == {next(iter(style)): arm for arm, style in lines_of(drawing).items()}


def test_tables_of_classes_come_as_the_data_sets_of_the_plan(inputs: Any, aggregates: Any) -> None:
    given = aggregates.grid_of(inputs, 3)
    hashes = {"m0": "ffff", "m1": "aaaa", "m2": "cccc"}  # another order than the plan's
    manifests = given.plan["manifests"]
    for old, new in hashes.items():
        manifest = manifests.pop(old)
        manifest["classes"] = [f"of-{old}-{number}" for number in range(manifest["classes"])]
        manifest["splits"]["test"]["class_counts"] = [10] * len(manifest["classes"])
        manifest["dataset"] = f"data {old}"
        manifests[new] = manifest
    for arm in given.plan["arms"]:
        arm["data"] = hashes[arm["data"]]
    counts = {arm["name"]: len(manifests[arm["data"]]["classes"]) for arm in given.plan["arms"]}
    for record in given.records:
        record["results"]["test"]["class_correct"] = [5] * counts[record["arm"]]
    tables = class_tables(board_of(given))
    assert re.findall(r"<th scope=\"col\">of-(m\d)-0</th>", tables) == ["m0", "m1", "m2"]
    captions = re.findall("<figcaption>(.*?), %", tables)
    assert captions == [f"Accuracy of the baseline by class on data m{number}" for number in range(3)]


def test_conditions_are_told_in_the_words_of_the_notes() -> None:
    groups = [
        {"fingerprint": "a", "trials": 8, "shown": True, "differs": {"budget": None, "split.test": None}},
        {
            "fingerprint": "b",
            "trials": 1,
            "shown": False,
            "differs": {"budget": {"epochs": 2}, "split.test": None},
        },
    ]
    machines = [
        {
            "fingerprint": "c",
            "timings": 6,
            "shown": True,
            "differs": {"speed.cores": 2, "libraries.torch": "2.9"},
        },
        {
            "fingerprint": "d",
            "timings": 2,
            "shown": False,
            "differs": {"speed.cores": 4, "libraries.torch": None},
        },
    ]
    told = {"accuracy": groups, "speed": machines, "left_out": 3, "mixed": False}
    table = comparability({"comparability": told})
    assert re.findall('<span class="long">(.*?)</span>', table) == [
        "as planned",
        "budget epochs 2, split.test as planned",
        "torch 2.9, cores 2",
        "torch none, cores 4",
    ]
    one = {**told, "accuracy": [{"fingerprint": "a", "trials": 9, "shown": True, "differs": {}}]}
    assert "all alike" in comparability({"comparability": one})


def test_more_cells_than_a_page_has_room_for_are_counted(
    inputs: Any, aggregates: Any, monkeypatch: Any
) -> None:
    board = board_of(aggregates.grid_of(inputs, 4))
    drawn = cell_by_cell(board, lambda arms: Markup("x" * 10 * len(arms)))  # 30 letters a cell
    assert drawn.count("<article") == 4 and "more" not in drawn
    monkeypatch.setattr(chart_cells, "MOST_BYTES", 60)
    drawn = cell_by_cell(board, lambda arms: Markup("x" * 10 * len(arms)))
    assert drawn.count("<article") == 2 and "2 cells more: they stand in leaderboard.json." in drawn

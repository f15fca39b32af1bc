"""The sections of the HTML report: there where the board has what they show, absent where it has not, harmless."""

from __future__ import annotations

import html.parser
import itertools
import re
from typing import Any

import pytest

from harness.board import render
from harness.board.charts import thinned
from harness.board.leaderboard import build

SECTIONS = {
    "classes": "class_correct",
    "confusion": "confusion",
    "reliability": "reliability",
}
HOSTILE = "</script><img src=x onerror=alert(1)>\"'>|\x1b[31m"


def full(inputs: Any, *, replicates: int = 10, classes: list[str] | None = None, **more: Any) -> Any:
    """Return inputs whose records hold all that the engine writes of classes and phases."""
    given = inputs({"plain": 0.0, "mixup": 1.5, "sam": -1.5}, replicates=replicates, **more)
    manifest = given.plan["manifests"]["m"]
    manifest["classes"] = classes or ["cat", "dog", "eel"]
    manifest["splits"]["test"] |= {"count": 30, "class_counts": [10, 10, 10]}
    for record in given.records:
        right = 5 + record["replicate"] % 4
        record["results"]["test"] |= {
            "class_correct": [right, right, 9],
            "confusion": [right, 10 - right, 0, 10 - right, right, 0, 1, 0, 9],
            "reliability": {"count": [10, 20], "correct": [4, 18], "confidence": [4.5, 17.0]},
        }
        record["seconds"] |= {"warm_up": 0.25, "compile": 1.0, "data_wait": 0.5}
    return given


def page_of(given: Any) -> str:
    return render.html(build(given.plan, given.records, given.timings, shared=given.shared))


def sections(page: str) -> set[str]:
    return set(re.findall(r'<section id="section-(\w+)"', page))


def test_every_section_stands_where_its_data_does_and_the_links_lead_there(inputs: Any) -> None:
    page = page_of(full(inputs))
    expected = {"board", "forest", "speed", "curves", "classes", "confusion", "reliability", "time"}
    assert expected <= sections(page)
    links = set(re.findall(r'<a href="#section-(\w+)">', page))
    assert links - {"board"} == sections(page) - {"board"}


@pytest.mark.parametrize(("section", "key"), SECTIONS.items())
def test_a_section_vanishes_with_its_data(inputs: Any, section: str, key: str) -> None:
    given = full(inputs)
    for record in given.records:
        del record["results"]["test"][key]
    assert section not in sections(page_of(given))
    assert sections(page_of(full(inputs))) - sections(page_of(given)) == {section}


def test_a_board_without_records_is_a_page_too(inputs: Any) -> None:
    given = full(inputs)
    given.records.clear()
    given.timings.clear()
    page = page_of(given)
    assert not {"classes", "time", "curves", "speed"} & sections(page) and "board" in sections(page)


def test_a_card_tells_how_to_run_each_of_its_trials_again(inputs: Any, failing: Any) -> None:
    given = full(inputs, replicates=3)
    failing(given.of("sam")[1], "oom")
    page = page_of(given)
    for arm in ("plain", "mixup", "sam"):
        for replicate in range(3):
            assert f"harness reproduce {arm}/{replicate}  # replicate {replicate}: " in page
    assert "sam/1  # replicate 1: oom" in page


def test_curves_have_bands_over_replicates_and_none_over_one(inputs: Any) -> None:
    assert page_of(full(inputs)).count('class="spread s') == 3 * 3
    assert 'class="spread' not in page_of(full(inputs, replicates=1)).replace("svg .spread", "")


def test_a_long_curve_is_thinned_to_its_ends_and_evenly_between() -> None:
    points = [(float(epoch), epoch**0.5) for epoch in range(1000)]
    few = thinned(points, 100)
    assert len(few) == 100 and few[0] == points[0] and few[-1] == points[-1]
    steps = {round(b[0] - a[0]) for a, b in itertools.pairwise(few)}
    assert steps <= {10, 11}
    assert thinned(points[:7], 100) == points[:7]


def test_the_cells_of_a_grid_are_groups_of_the_forest_with_their_own_baseline(inputs: Any) -> None:
    effects = {"plain": 0.0, "sam": 1.0, "plain.1": 0.5, "sam.1": 1.0}
    given = inputs(effects)
    for index, arm in enumerate(given.plan["arms"]):
        arm |= {"cell": {"batch_size": 32 << index // 2}, "against": "plain.1" if index > 1 else "plain"}
    page = page_of(given)
    assert "batch_size 32 · against plain<" in page and "batch_size 64 · against plain.1<" in page


class Elements(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [key for key, _ in attrs]))

    def handle_data(self, data: str) -> None:
        self.text += data


def elements(name: str, inputs: Any) -> Elements:
    given = full(inputs, classes=[name, f"{name}2", f"{name}3"])
    for arm in given.plan["arms"]:
        arm |= {"cell": {name: name}, "tuned": {"setting": {name: name}, "trials": 3}}
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    board["claims"] = [
        {
            "name": name,
            "source": name,
            "arm": name,
            "against": name,
            "metric": name,
            "claimed": 1.0,
            "unit": name,
            "measured": {"mean": 1.0, "low": 0.5, "high": 1.5, "count": 10},
            "verdict": "weaker",
            "reason": name,
        }
    ]
    parser = Elements()
    parser.feed(render.html(board))
    return parser


def test_no_class_cell_setting_or_claim_becomes_an_element(inputs: Any) -> None:
    tame, wild = elements("t" * len(HOSTILE), inputs), elements(HOSTILE, inputs)
    assert wild.found == tame.found
    assert "\x1b" not in wild.text and HOSTILE.replace("\x1b", "\\x1b") in wild.text


def test_fifty_arms_of_ten_replicates_and_a_hundred_epochs_stay_under_two_megabytes(inputs: Any) -> None:
    names = [f"a-class-of-{number}" for number in range(30)]
    given = inputs({f"arm-{index}": index / 50 for index in range(50)}, epochs=100)
    manifest = given.plan["manifests"]["m"]
    manifest["classes"] = names
    manifest["splits"]["test"] |= {"count": 900, "class_counts": [30] * 30}
    confusion = [20 if row == column else (row + column) % 2 for row in range(30) for column in range(30)]
    for record in given.records:
        record["results"]["test"] |= {"class_correct": [20] * 30, "confusion": confusion}
        record["seconds"] |= {"warm_up": 0.25, "compile": 1.0, "data_wait": 0.5}
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    assert len(render.html(board).encode()) < 2_000_000
    assert len(render.json(board).encode()) < 6_000_000

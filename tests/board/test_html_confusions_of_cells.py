"""Beside an arm's confusion matrix stands that of what it is compared with: the baseline of its own cell."""

from __future__ import annotations

import re
from typing import Any

from harness.board import html_classes
from harness.board.html_classes import confusions
from harness.board.leaderboard import build

CELLS = (["cat", "dog"], ["crack", "scratch"])


def grid_of(inputs: Any, arms: tuple[str, ...]) -> Any:
    """Return a board of two cells, each with data of its own; names with `.2` are of the second."""
    given = inputs(dict.fromkeys(arms, 0.0))
    manifest = given.plan["manifests"]["m"]
    for number, classes in enumerate(CELLS):
        splits = manifest["splits"] | {
            "test": {"count": 20, "class_counts": [10, 10], "digest": f"t{number}"}
        }
        given.plan["manifests"][f"m{number}"] = manifest | {
            "hash": f"m{number}",
            "classes": classes,
            "splits": splits,
        }
    for arm in given.plan["arms"]:
        second = arm["name"].endswith(".2")
        arm |= {"data": f"m{int(second)}", "cell": {"dataset": f"d{int(second)}"}}
        arm["against"] = "plain.2" if second else "plain"
    for record in given.records:
        record["results"]["test"] |= {"class_correct": [7, 8], "confusion": [7, 3, 2, 8]}
    return build(given.plan, given.records, given.timings, shared=given.shared)


def articles(drawn: str) -> dict[str, tuple[str | None, list[str]]]:
    """Return by heading what an article says to be beside, and the names of classes in its drawings."""
    found = {}
    for article in re.findall("<article.*?</article>", drawn, re.DOTALL):
        heading = re.search("<h3>(.*?)</h3>", article)
        against = re.search('data-against="([^"]*)"', article)
        names = re.findall('class="end">([^<]*)</text>', article)
        assert heading is not None
        found[heading[1]] = (against and against[1], sorted(set(names)))
    return found


def test_an_arm_stands_beside_the_baseline_of_its_own_cell(inputs: Any) -> None:
    drawn = confusions(grid_of(inputs, ("plain", "mixup", "plain.2", "mixup.2")))
    assert articles(drawn) == {
        "plain, the baseline": (None, CELLS[0]),
        "plain.2, the baseline": (None, CELLS[1]),
        "mixup": ("plain", CELLS[0]),
        "mixup.2": ("plain.2", CELLS[1]),
    }
    assert sorted(re.findall('data-base="([^"]*)"', drawn)) == ["plain", "plain.2"]


def test_a_baseline_alone_in_its_cell_is_an_arm_beside_which_nothing_stands(inputs: Any) -> None:
    drawn = confusions(grid_of(inputs, ("plain", "mixup", "plain.2")))
    assert articles(drawn)["plain.2"] == ("plain.2", CELLS[1])
    assert re.findall('data-base="([^"]*)"', drawn) == ["plain"]


def test_a_baseline_that_is_the_whole_board_has_its_matrix(inputs: Any) -> None:
    assert list(articles(confusions(grid_of(inputs, ("plain",))))) == ["plain, the baseline"]


def test_no_baseline_is_drawn_for_arms_that_the_page_has_no_room_for(inputs: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(html_classes, "MOST_BYTES", 1)
    drawn = confusions(grid_of(inputs, ("plain", "mixup", "plain.2", "mixup.2")))
    assert drawn.count('class="base"') == drawn.count('class="pick"') == 1
    assert "1 arms more stand" in drawn

"""The HTML report on a phone: what a reader comes for is on the screen without scrolling sideways."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.board import render
from harness.board.leaderboard import build

pytestmark = pytest.mark.slow

PHONE, DESK = 390, 1280
ARMS = {"plain": 0.0, "mixup": 1.5, "sam": 0.4, "a-name-as-long-as-names-may-well-get": -0.9}
ON_SCREEN = """
Array.from(document.querySelectorAll('%s')).filter(one => one.getClientRects().length).map(one => {
  const box = one.getBoundingClientRect();
  return [one.textContent, box.left >= -1 && box.right <= innerWidth + 1 && box.width + box.height > 0];
})
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).parent.parent / "board" / "conftest.py"
    spec = importlib.util.spec_from_file_location("board_inputs_of_phone", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["board_inputs_of_phone"] = module  # a dataclass looks its module up while it is being made
    spec.loader.exec_module(module)
    given = module.make_inputs(ARMS, 10, noise=0.3)
    shared = {
        "source": "a paper with a long title, table 3, another network",
        "metric": "top1",
        "unit": "points",
    }
    given.plan["claims"] = [
        {**shared, "name": f"{arm} helps as much as they say", "arm": arm, "against": "plain", "claimed": 1.0}
        for arm in ("mixup", "sam")
    ]
    path = tmp_path_factory.mktemp("phone") / "leaderboard.html"
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    path.write_text(render.html(board), encoding="utf-8")
    return path


def on_screen(page: Any, selector: str) -> list[tuple[str, bool]]:
    return [(text, is_in) for text, is_in in page.run(ON_SCREEN % selector)]


def test_measured_and_verdict_of_a_claim_are_on_the_screen(page: Any, report: Path) -> None:
    page.open(report, width=PHONE)
    cells = on_screen(page, "#section-claims td")
    assert len(cells) == 2 * 5 and all(is_in for _, is_in in cells)
    label = "getComputedStyle(document.querySelectorAll('#section-claims td')[%d], '::before').content"
    # No heading stands above a number there: it says itself what it is.
    assert [page.run(label % place) for place in (1, 2)] == ['"claimed "', '"measured "']
    page.open(report, width=DESK)
    assert [page.run(label % place) for place in (1, 2)] == ["none", "none"]


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_forest_shows_its_zero_every_bar_and_every_number(page: Any, report: Path, width: int) -> None:
    page.open(report, width=width)
    (zero,) = on_screen(page, "#section-forest line.zero")
    assert zero[1]
    assert [is_in for _, is_in in on_screen(page, "#section-forest .dot")] == [True] * 3
    numbers = on_screen(page, "#section-forest text.value")
    assert len(numbers) == 3 and all("[" in text and is_in for text, is_in in numbers)


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_all_arms_of_both_scatters_are_on_the_screen(page: Any, report: Path, width: int) -> None:
    page.open(report, width=width)
    marks = on_screen(page, "#section-speed .dot")
    assert [is_in for _, is_in in marks] == [True] * (2 * len(ARMS))


LETTERS = "Array.from(document.querySelectorAll('svg text')).map(one => one.getBoundingClientRect().height)"


def test_letters_of_charts_can_be_read(page: Any, report: Path) -> None:
    page.open(report, width=PHONE)
    assert min(height for height in page.run(LETTERS) if height) >= 9


def test_paper_has_the_broad_charts(page: Any, report: Path) -> None:
    page.open(report, width=700, media={"media": "print", "features": []})
    assert page.run("getComputedStyle(document.querySelector('#section-forest .slim')).display") == "none"
    assert page.run("getComputedStyle(document.querySelector('#section-forest .broad')).display") == "block"

"""The tuning section of the HTML report in a real browser: there, foldable, sortable, and no wider than a phone."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.board import render
from harness.board.leaderboard import build

pytestmark = pytest.mark.slow

ARMS = {"plain": 0.0, "mixup": 1.5, "sam": 0.4}
RATES = [0.1, 0.02, 0.3, 0.05]
ACCURACIES = {
    "plain": [40.0, 42.5, None, 41.0],
    "mixup": [43.0, 40.0, 44.5, 9.0],
    "sam": [45.0, 44.0, 1.0, 2.0],
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).parent.parent / "board" / "conftest.py"
    spec = importlib.util.spec_from_file_location("board_inputs_of_tuning", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["board_inputs_of_tuning"] = module  # a dataclass looks its module up while it is being made
    spec.loader.exec_module(module)
    given = module.make_inputs(ARMS, 6)
    searches = {
        name: [_outcome(k, value) for k, value in enumerate(many)] for name, many in ACCURACIES.items()
    }
    for arm in given.plan["arms"]:
        best = max(searches[arm["name"]], key=lambda one: one["validation_top1"] or -math.inf)
        arm["tuned"] = {
            **{key: best[key] for key in ("setting", "k", "validation_top1")},
            "trials": len(RATES),
        }
        arm["tuned"] |= {"train_seconds": 40.0, "training_flops": 4e12, "edge": []}
    space = {name: {"optimizer.lr": {"low": 0.01, "high": 1.0, "log": True, "step": None}} for name in ARMS}
    told = {"trials": len(RATES), "method": "quasi-random", "replicates": 1, "metric": "top1", "plan": "p"}
    given.plan["tuning"] = {**told, "space": space, "arms": searches}
    path = tmp_path_factory.mktemp("tuning") / "leaderboard.html"
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    path.write_text(render.html(board), encoding="utf-8")
    return path


def _outcome(number: int, value: float | None) -> dict[str, Any]:
    return {
        "k": number,
        "setting": {"optimizer.lr": RATES[number]},
        "status": "diverged" if value is None else "completed",
        "validation_top1": value,
        "train_seconds": 10.0 + number,
        "training_flops": 1e12,
        "trials": [f"t{number}"],
    }


SEARCH = "document.querySelectorAll('#section-tuning details.search')[{}]"
COLUMN = "Array.from({}.querySelectorAll('tbody tr')).map(row => row.cells[{}].textContent)"


def test_the_section_opens_sorts_and_leads_on(page: Any, report: Path) -> None:
    page.open(report)
    assert page.complaints == []
    assert page.run("document.querySelector('nav a[href=\"#section-tuning\"]').textContent") == "Tuning"
    lines = "Array.from(document.querySelectorAll('#section-tuning figure')).map({})"
    assert page.run(lines.format("f => f.querySelectorAll('.line').length")) == [len(ARMS)] * 2
    assert page.run(lines.format("f => f.querySelectorAll('.setting-dot').length")) == [len(ARMS), 11]
    names = page.run(
        "Array.from(document.querySelectorAll('#section-tuning .search h3')).map(e => e.textContent)"
    )
    one = SEARCH.format(names.index("plain"))
    assert not page.run(f"{one}.querySelector('table').checkVisibility()")
    page.run(f"{one}.querySelector('summary').focus()")
    page.press("Enter")
    assert page.run(f"{one}.open && {one}.querySelector('table').checkVisibility()")
    assert page.run(COLUMN.format(one, 1)) == ["0.1", "0.02", "0.3", "0.05"]
    # What is best comes first, what failed last in either order; numbers are sorted as numbers.
    page.run(f"{one}.querySelector('th.best button').focus()")
    page.press("Enter")
    assert page.run(COLUMN.format(one, 2)) == ["42.50", "41.00", "40.00", "–"]
    page.press("Enter")
    assert page.run(COLUMN.format(one, 2)) == ["40.00", "41.00", "42.50", "–"]
    page.run(f"{one}.querySelector('th.value button').click()")
    assert page.run(COLUMN.format(one, 1)) == ["0.02", "0.05", "0.1", "0.3"]
    assert page.run(f"{one}.querySelector('tr.chosen').cells[1].textContent") == "0.02"
    whole = "document.querySelector('#section-tuning table.words')"
    page.run(f"{whole}.querySelector('th.gain button').click()")
    assert page.run(COLUMN.format(whole, 4)) == ["+2.50", "+1.50", "0.00"]
    # The board itself stands as it stood.
    assert page.run("document.querySelector('#board th[aria-sort]').className") == "rank"


@pytest.mark.parametrize("width", [360, 500, 1280])
def test_nothing_of_it_makes_the_page_wider_than_the_screen(page: Any, report: Path, width: int) -> None:
    page.open(report, width=width)
    page.run("document.querySelectorAll('details.search').forEach(one => { one.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width


def test_in_print_a_folded_search_takes_no_room_and_an_open_one_is_there(page: Any, report: Path) -> None:
    page.open(report, media={"media": "print", "features": []})
    assert page.run(f"{SEARCH.format(0)}.offsetHeight") == 0
    page.run(f"{SEARCH.format(0)}.open = true")
    assert page.run(f"{SEARCH.format(0)}.querySelector('table').offsetHeight") > 0

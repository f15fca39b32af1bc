"""A board over several data sets in a real browser: cells with long values, and the performance profiles."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.board import render
from harness.board.leaderboard import build

pytestmark = pytest.mark.slow

DATA = [
    {"name": "subset", "of": "cifar10", "samples": 1000},
    {
        "name": "subset",
        "of": {"name": "parquet", "folder": "shop_pictures", "size": [32, 24]},
        "samples": 1000,
    },
    {"name": "subset", "of": {"name": "parquet", "folder": "steel", "size": [32, 32]}, "samples": 720},
]


def board_tests(name: str) -> ModuleType:
    """Return a module of the board's own tests: it makes the records."""
    path = Path(__file__).parent.parent / "board" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"board_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up while it is being made.
    sys.modules[f"board_{name}"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = board_tests("test_board_aggregate").grid_of(board_tests("conftest").make_inputs, 3)
    for arm in given.plan["arms"]:
        arm["cell"] = {"dataset": DATA[int(arm["cell"]["dataset.name"].removeprefix("d"))]}
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    path = tmp_path_factory.mktemp("report") / "leaderboard.html"
    path.write_text(render.html(board), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 500, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_cells_of_a_grid_stay_in_their_column(page: Any, report: Path, width: int, scheme: str) -> None:
    media = {"media": "screen", "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.open(report, width=width, media=media)
    assert page.complaints == []
    stamps = page.run(
        """[...document.querySelectorAll('.stamp.cell')].map(stamp =>
            [stamp.getBoundingClientRect().right, stamp.closest('th').getBoundingClientRect().right])"""
    )
    assert len(stamps) == 9
    assert all(stamp <= column for stamp, column in stamps)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_profiles_are_as_large_as_the_other_curves_and_their_labels_apart(
    page: Any, report: Path, width: int
) -> None:
    page.open(report, width=width)
    found = page.run(
        """(() => {
            const drawing = document.querySelector('#section-aggregate svg');
            const box = one => { const r = one.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
            return {
                whole: box(drawing),
                labels: [...drawing.querySelectorAll('text')].map(box),
                lines: [...drawing.querySelectorAll('polyline')].map(line => getComputedStyle(line).stroke),
                swatches: [...document.querySelectorAll('#section-aggregate .legend .line')]
                    .map(line => getComputedStyle(line).stroke),
            };
        })()"""
    )
    left, top, right, bottom = found["whole"]
    # Drawn for about 500 pixels: at the page's full width its letters would be as large as headings.
    assert right - left <= 700
    labels = found["labels"]
    assert len(labels) >= 6
    assert all(left <= a and top <= b and c <= right and d <= bottom for a, b, c, d in labels)
    apart = [
        one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        for place, one in enumerate(labels)
        for other in labels[:place]
    ]
    assert all(apart)
    # A line and its swatch are of one colour, and no two lines are.
    assert len(set(found["lines"])) == 3 and set(found["lines"]) == set(found["swatches"])


def test_one_data_set_is_shown_at_a_time_and_its_key_colours_its_own_curves(page: Any, report: Path) -> None:
    page.open(report)
    shown = """[...document.querySelectorAll('#section-curves .pick')].map(pick => pick.offsetHeight > 0)"""
    assert page.run(shown) == [True, False, False]
    page.run(
        """(() => {
            const select = document.querySelector('#section-curves select');
            select.value = '1';
            select.dispatchEvent(new Event('change'));
        })()"""
    )
    assert page.run(shown) == [False, True, False]
    grey = """[...document.querySelectorAll('#section-curves .pick')].map(
        pick => pick.querySelectorAll('.line.other').length)"""
    before = page.run(grey)
    page.run(
        "document.querySelectorAll('#section-curves .pick')[1].querySelectorAll('.key button')[1].click()"
    )
    # Four charts and the key of that data set alone.
    assert [after - was for was, after in zip(before, page.run(grey), strict=True)] == [0, 5, 0]

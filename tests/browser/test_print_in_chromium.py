"""On paper nothing of a wide table is cut: there a reader cannot scroll."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.board import render
from harness.board.leaderboard import build

pytestmark = pytest.mark.slow

NAMES = [f"a-class-of-many-words-{number}" for number in range(26)]
PAPER = 1032
"""Pixels across an A4 sheet in landscape, without its margins."""


def test_a_table_of_twenty_classes_is_on_the_paper_as_a_whole(page: Any, tmp_path: Path) -> None:
    given = page_inputs()({"plain": 0.0, "label-smoothing-of-a-tenth": 0.5})
    manifest = given.plan["manifests"]["m"]
    manifest["classes"] = NAMES
    manifest["splits"]["test"] |= {"count": 2600, "class_counts": [100] * 26}
    for number, record in enumerate(given.records):
        record["results"]["test"] |= {
            "class_correct": [30 + (number * 7 + one * 11) % 60 for one in range(26)]
        }
    path = tmp_path / "leaderboard.html"
    path.write_text(
        render.html(build(given.plan, given.records, given.timings, shared=given.shared)), encoding="utf-8"
    )
    page.open(path, width=PAPER, media={"media": "print", "features": []})
    cells = page.run(
        """[...document.querySelectorAll('.heat th, .heat td')].map(cell => {
            const box = cell.getBoundingClientRect();
            return [box.left, box.right, cell.scrollWidth - cell.clientWidth];
        })"""
    )
    assert len(cells) == 3 * 22
    assert all(left >= 0 and right <= PAPER and beyond <= 0 for left, right, beyond in cells)


def page_inputs() -> Any:
    """Return the board tests' maker of records."""
    import importlib.util
    import sys

    path = Path(__file__).parent.parent / "board" / "conftest.py"
    spec = importlib.util.spec_from_file_location("board_conftest", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["board_conftest"] = module  # a dataclass looks its module up while it is being made
    spec.loader.exec_module(module)
    return module.make_inputs

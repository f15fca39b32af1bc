"""The confusion matrices of a grid in a real browser: who picks an arm sees the baseline of its cell."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.board import render

pytestmark = pytest.mark.slow

SHOWN = """[...document.querySelectorAll('#section-confusion article')].filter(one => one.offsetHeight > 0).map(one =>
    [one.dataset.base || one.dataset.pick, [...new Set([...one.querySelectorAll('svg text.end')].map(text =>
        text.textContent))].sort()])"""
PICK = """(() => {
    const select = document.querySelector('#section-confusion select');
    select.value = [...select.options].findIndex(option => option.textContent === 'mixup.2');
    select.dispatchEvent(new Event('change'));
})()"""


def board_tests(name: str) -> Any:
    path = Path(__file__).parent.parent / "board" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"board_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"board_{name}"] = module  # a dataclass looks its module up while it is being made
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("media", ["screen", "print"])
def test_the_picture_at_the_left_follows_the_arm_that_is_picked(
    page: Any, tmp_path: Path, media: str
) -> None:
    inputs, module = board_tests("conftest").make_inputs, board_tests("test_html_confusions_of_cells")
    path = tmp_path / "leaderboard.html"
    board = module.grid_of(inputs, ("plain", "mixup", "plain.2", "mixup.2"))
    path.write_text(render.html(board), encoding="utf-8")
    page.open(path, media={"media": media, "features": []})
    first, second = module.CELLS
    assert page.run(SHOWN) == [["plain", first], ["mixup", first]]
    page.run(PICK)
    assert page.run(SHOWN) == [["plain.2", second], ["mixup.2", second]]
    assert page.complaints == []

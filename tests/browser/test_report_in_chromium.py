"""The HTML report in a real browser: it loads cleanly, sorts, filters, fits a phone, and its labels stay in place."""

from __future__ import annotations

import importlib.util
import random
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.board import render
from harness.board.leaderboard import build

pytestmark = pytest.mark.slow

ARMS = {
    "plain": 0.0,
    "mixup": 1.5,
    "sam": 0.4,
    "cutout": -1.6,
    "a-name-as-long-as-names-of-arms-may-well-get": 0.1,
    "Wide MMMMMMMM WWWWWWWW": 0.2,
    **{f"arm-{number}": 0.05 * number for number in range(8)},
}
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def board_inputs() -> ModuleType:
    """Return the maker of simulated records that the board's own tests use."""
    path = Path(__file__).parent.parent / "board" / "conftest.py"
    spec = importlib.util.spec_from_file_location("board_inputs", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up while it is being made.
    import sys

    sys.modules["board_inputs"] = module
    spec.loader.exec_module(module)
    return module


def simulated(arms: dict[str, float], replicates: int = 10, epochs: int = 24) -> Any:
    """Return a board whose records hold all that the engine writes, by class and phase too."""
    module = board_inputs()
    given = module.make_inputs(arms, replicates, epochs=epochs)
    manifest = given.plan["manifests"]["m"]
    manifest["classes"] = CLASSES
    manifest["splits"]["test"] |= {"count": 900, "class_counts": [90] * 10}
    for record in given.records:
        draw = random.Random(f"{record['arm']}/{record['replicate']}")
        right = [draw.randint(70, 89) for _ in CLASSES]
        rows = [[0] * 10 for _ in CLASSES]
        for index, count in enumerate(right):
            rows[index][index] = count
            for _ in range(90 - count):
                rows[index][(index + draw.randint(1, 9)) % 10] += 1
        shares = [60 * n for n in range(15)]
        record["results"]["test"] |= {
            "class_correct": right,
            "confusion": [count for row in rows for count in row],
            "reliability": {
                "count": shares,
                "correct": [round(n * (i + 0.5) / 15) for i, n in enumerate(shares)],
                "confidence": [n * (i + 0.4) / 15 for i, n in enumerate(shares)],
            },
        }
        record["seconds"] |= {"warm_up": 0.3, "compile": None, "data_wait": 0.2}
    module.fail(given.of("cutout")[0], "diverged") if "cutout" in arms else None
    return build(given.plan, given.records, given.timings, shared=given.shared)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "leaderboard.html"
    path.write_text(render.html(simulated(ARMS)), encoding="utf-8")
    return path


ROWS = "Array.from(document.querySelectorAll('#board tbody tr'))"
NAMES = f"{ROWS}.filter(row => row.offsetHeight).map(row => row.cells[1].querySelector('a').textContent)"
SORTED = "Array.from(document.querySelectorAll('#board th[aria-sort]')).map(h => [h.className, h.ariaSort])"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_loads_without_a_complaint(page: Any, report: Path, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.open(report, media={"media": "screen", "features": features})
    assert page.complaints == []
    assert page.run("document.querySelectorAll('section').length") >= 8
    assert len(page.run(NAMES)) == len(ARMS)
    # The policy holds: what is not the report's own script does not run.
    page.run("document.body.appendChild(document.createElement('script')).textContent = 'window.ran = 1'")
    assert page.run("typeof window.ran") == "undefined"
    assert any("Content Security Policy" in one for one in page.complaints)


def test_a_heading_sorts_by_click_and_by_keyboard(page: Any, report: Path) -> None:
    page.open(report)
    ranked = page.run(NAMES)
    assert page.run(SORTED) == [["rank", "ascending"]]
    page.click("#board th.arm button")
    assert page.run(NAMES) != ranked
    assert page.run(SORTED) == [["arm", "ascending"]]
    assert page.run(NAMES)[0].lower().startswith("a")
    page.run("document.querySelector('#board th.nll button').focus()")
    page.press("Enter")
    values = f"{ROWS}.map(row => parseFloat(row.querySelector('td.nll').dataset.value))"
    found = page.run(values)
    assert found == sorted(found) and page.run(SORTED) == [["nll", "ascending"]]
    page.press(" ")
    assert page.run(values) == found[::-1] and page.run(SORTED) == [["nll", "descending"]]
    page.press("Tab")
    assert page.run("document.activeElement.closest('th').className") == "speed"


def test_a_filter_hides_rows_and_says_how_many_are_left(page: Any, report: Path) -> None:
    page.open(report)
    page.run("document.querySelector('#filter input').focus()")
    for key in "mixup":
        page.press(key)
    assert page.run(NAMES) == ["mixup"]
    assert page.run("document.querySelector('#filter output').textContent") == f"1 of {len(ARMS)} arms"
    page.run("document.querySelector('#filter input').select()")
    page.press("z")
    assert page.run(NAMES) == []
    page.open(report)
    page.click("#filter button")
    pressed = "document.querySelector('#filter button[aria-pressed=true]').textContent"
    shown = f"{ROWS}.filter(row => row.offsetHeight).map(row => row.dataset.verdict)"
    assert set(page.run(shown)) == {page.run(pressed)}


def test_one_arm_at_a_time_is_held_against_the_baseline(page: Any, report: Path) -> None:
    page.open(report)
    seen = (
        "Array.from(document.querySelectorAll('.pick')).filter(p => p.offsetHeight).map(p => p.dataset.pick)"
    )
    first = page.run(seen)
    assert len(first) == 1
    page.run("document.querySelector('.picker select').focus()")
    page.press("End")
    assert len(page.run(seen)) == 1 and page.run(seen) != first


def test_a_link_to_an_arm_opens_its_card(page: Any, report: Path) -> None:
    page.open(report)
    assert page.run("document.querySelectorAll('details[open]').length") == 0
    page.click("#board th.arm a")
    opened, until = "", time.monotonic() + 30  # the page hears of the new address a moment later
    while not opened and time.monotonic() < until:
        opened = page.run("document.querySelector('details[open] pre')?.textContent ?? ''")
    assert opened.startswith("harness reproduce ")


@pytest.mark.parametrize("width", [390, 500, 800, 1280])
def test_nothing_but_what_scrolls_by_itself_is_wider_than_the_screen(
    page: Any, report: Path, width: int
) -> None:
    page.open(report, width=width)
    page.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width


LABELS = """
Array.from(document.querySelectorAll('svg')).filter(svg => svg.getBoundingClientRect().height > 40).map(svg => {
  const frame = svg.viewBox.baseVal, labels = Array.from(svg.querySelectorAll(':scope > text, :scope > g > text'));
  const turned = svg.getScreenCTM().inverse();
  const boxes = labels.map(label => {
    const box = label.getBoundingClientRect();
    const low = new DOMPoint(box.left, box.top).matrixTransform(turned);
    const high = new DOMPoint(box.right, box.bottom).matrixTransform(turned);
    return [label.textContent, low.x, low.y, high.x, high.y];
  });
  return [svg.getAttribute('aria-label'), frame.x, frame.y, frame.x + frame.width, frame.y + frame.height, boxes];
}).filter(told => told[5].length)
"""


def test_labels_stay_inside_their_charts_and_off_each_other(page: Any, report: Path) -> None:
    page.open(report)
    charts = page.run(LABELS)
    assert len(charts) >= 9
    for name, left, top, right, bottom, boxes in charts:
        for label, x0, y0, x1, y1 in boxes:
            inside = x0 >= left - 1 and y0 >= top - 4 and x1 <= right + 1 and y1 <= bottom + 4
            assert inside, f"{name}: {label} leaves the chart"
        for index, (label, x0, y0, x1, y1) in enumerate(boxes):
            for other, u0, v0, u1, v1 in boxes[:index]:
                # Lines of text have air above and below: half a line is more than that.
                across, down = min(x1, u1) - max(x0, u0), min(y1, v1) - max(y0, v0)
                shallow = min(y1 - y0, v1 - v0) / 2
                assert across <= 1 or down <= shallow, f"{name}: {label} lies over {other}"


OVERPRINTED = """
Array.from(document.querySelectorAll('td, th')).filter(cell => cell.offsetHeight).flatMap(cell =>
  Array.from(cell.querySelectorAll('*')).filter(one => one.getBoundingClientRect().right >
    cell.getBoundingClientRect().right + 1).map(one => [cell.textContent, one.textContent]))
"""


@pytest.mark.parametrize("width", [390, 1280])
def test_no_cell_prints_over_its_neighbour(page: Any, tmp_path: Path, width: int) -> None:
    board = simulated({"plain": 0.0, "mixup": 1.5}, replicates=3)
    long = "a claim with many words, from a source that is told in full, volume and page"
    measured = {"mean": 1.0, "low": 0.5, "high": 1.5, "count": 3}
    claim = {
        "name": long,
        "source": long,
        "arm": "mixup",
        "against": "plain",
        "metric": "top1",
        "unit": "points",
    }
    verdict = {"claimed": 1.0, "measured": measured, "verdict": "weaker", "reason": long}
    board["claims"] = [claim | verdict]
    path = tmp_path / "leaderboard.html"
    path.write_text(render.html(board), encoding="utf-8")
    page.open(path, width=width)
    page.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.run("document.querySelectorAll('#section-claims td').length") == 5
    assert page.run(OVERPRINTED) == []


def test_a_table_with_the_cost_of_parents_fits_a_usual_screen(page: Any, tmp_path: Path) -> None:
    board = simulated(ARMS)
    for row in board["rows"]:
        row["parents_cost"] = {"training_flops_ratio": 12.5, "train_seconds_ratio": 12.5}
    path = tmp_path / "leaderboard.html"
    path.write_text(render.html(board), encoding="utf-8")
    page.open(path, width=1280)
    assert "1.00× + 12.50×" in page.run("document.querySelector('#board td.flops').textContent")
    wide = "(s => s.scrollWidth - s.clientWidth)(document.querySelector('#section-board .scroll'))"
    assert page.run(wide) <= 0


LINES = "Array.from(document.querySelectorAll('#section-curves figure [data-arm=\"%s\"].line'))"


def test_any_arm_can_be_picked_from_the_key_by_keyboard(page: Any, report: Path) -> None:
    page.open(report)
    entry = "document.querySelector('#section-curves .others li')"
    assert not page.run(f"{entry}.checkVisibility()")  # folded
    page.run("document.querySelector('#section-curves .others summary').focus()")
    page.press("Enter")
    page.press("Tab")
    assert page.run(f"document.activeElement === {entry}.querySelector('button')")
    arm = page.run(f"{entry}.dataset.arm")
    styles = f"{LINES % arm}.map(line => line.getAttribute('class').split(' ')[1])"
    assert page.run(styles) == ["other"] * 4
    first = "document.querySelector('#section-curves .legend li:nth-child(2)')"
    pressed = "Array.from(document.querySelectorAll('#section-curves [aria-pressed=true]')).length"
    assert page.run(pressed) == 8
    page.press(" ")
    # All colours were taken: the arm that had one longest gave it up.
    assert page.run(styles) == ["s1"] * 4 and page.run(pressed) == 8
    assert page.run(f"{first}.querySelector('button').ariaPressed") == "false"
    band = f"document.querySelector('#section-curves .spread[data-arm=\"{arm}\"]')"
    assert page.run(f"getComputedStyle({band}).display") != "none"
    page.press(" ")
    assert page.run(styles) == ["other"] * 4 and page.run(pressed) == 7
    assert page.run(f"getComputedStyle({band}).display") == "none"


CONTRASTS = """
(() => {
  function light(rgb) {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  }
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  function over(colour, alpha, below) {
    canvas.globalAlpha = 1; canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1);
    canvas.globalAlpha = alpha; canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return Array.from(canvas.getImageData(0, 0, 1, 1).data).slice(0, 3);
  }
  function contrast(a, b) {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + .05) / (y + .05);
  }
  const page = getComputedStyle(document.body).backgroundColor, found = [];
  for (const text of document.querySelectorAll('.matrix svg > text')) {
    if (!/^[−+0-9]+$/.test(text.textContent)) continue;
    const x = +text.getAttribute('x'), y = +text.getAttribute('y') - 4;
    const path = Array.from(text.parentNode.querySelectorAll('path')).find(one =>
      one.isPointInFill(Object.assign(text.parentNode.createSVGPoint(), {x, y})));
    if (!path) continue;
    const style = getComputedStyle(path);
    const ground = over(style.fill, +style.fillOpacity * +style.opacity, page);
    found.push([text.textContent, contrast(over(getComputedStyle(text).fill, 1, page), ground)]);
  }
  for (const span of document.querySelectorAll('#board .interval, #board .faint')) {
    if (!span.textContent.trim()) continue;
    const style = getComputedStyle(span);
    let alpha = 1, ground = null;
    for (let up = span; up; up = up.parentElement) {
      alpha *= +getComputedStyle(up).opacity;
      const own = getComputedStyle(up).backgroundColor;
      ground ??= own === 'rgba(0, 0, 0, 0)' ? null : own;
    }
    found.push([span.textContent, contrast(over(style.color, alpha, ground), over(ground, 1, ground))]);
  }
  return found;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_numbers_stand_out_from_their_ground(page: Any, tmp_path: Path, scheme: str) -> None:
    board = simulated(ARMS)
    for row in board["rows"]:
        row["rank_interval"] = [1, len(ARMS)]
    path = tmp_path / "leaderboard.html"
    path.write_text(render.html(board), encoding="utf-8")
    page.open(
        path, media={"media": "screen", "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    found = page.run(CONTRASTS)
    assert len(found) > 200
    assert {text: value for text, value in found if value < 4.5} == {}


def test_it_prints_with_its_cards_open_and_without_controls(page: Any, report: Path) -> None:
    page.open(report, media={"media": "print", "features": []})
    assert page.run("document.getElementById('filter').offsetHeight") == 0
    assert page.run("document.querySelector('.card dl').getBoundingClientRect().height") > 0
    assert len(page.call("Page.printToPDF")["data"]) > 10_000
    page.call("Emulation.setEmulatedMedia", media="screen", features=[])


def test_fifty_arms_ten_replicates_and_a_hundred_epochs_stay_small_and_quick_to_open(
    page: Any, tmp_path: Path
) -> None:
    board = simulated({f"arm-{number:02}": number / 40 for number in range(50)}, epochs=100)
    html = render.html(board)
    assert len(html.encode()) < 2_000_000
    path = tmp_path / "leaderboard.html"
    path.write_text(html, encoding="utf-8")
    page.open(path)
    assert page.complaints == [] and len(page.run(NAMES)) == 50

"""The charts of the HTML report say whose lines they draw, what is cut off, and what may not be compared."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import pytest

from harness.board import render
from harness.board.axes import ticks
from harness.board.chart_curves import CHARTS, learning_curves
from harness.board.chart_forest import forest
from harness.board.chart_key import curves_note, drawn_arms, key
from harness.board.chart_reliability import calibration_errors
from harness.board.chart_scatter import scatter
from harness.board.charts import COLOURS, series, shortened
from harness.board.html_classes import confusions
from harness.board.html_verdicts import costs
from harness.board.leaderboard import build


def board_of(given: Any) -> Any:
    return build(given.plan, given.records, given.timings, shared=given.shared)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sam", "mixup"], ["sam", "mixup"]),
        (["one-that-is-too-long", "sam"], ["one-that-is…", "sam"]),
        (["smoothing-with-rate-1", "smoothing-with-rate-2"], ["smoot…rate-1", "smoot…rate-2"]),
        # The ends are alike too: what all share goes, but for a few letters.
        ([f"{'a' * 20}{x}{'b' * 20}" for x in "xy"], ["…aaaxbbbbbb…", "…aaaybbbbbb…"]),
    ],
)
def test_a_name_is_cut_where_it_says_least(names: list[str], expected: list[str]) -> None:
    assert shortened(names, 12) == expected


def test_no_two_names_become_one() -> None:
    parts = ["", "x", "yy", "a-b", "b" * 9, "a" * 30]
    names = sorted({"".join(chosen) for chosen in itertools.product(parts, repeat=3)})
    for length in (12, 24, 30):
        short = shortened(names, length)
        assert len(set(short)) == len(names)
        assert all(len(one) <= length for one in short)
        assert all(one == name for name, one in zip(names, short, strict=True) if len(name) <= length)


def test_arms_with_a_verdict_have_a_colour_before_those_without(inputs: Any) -> None:
    effects = {"plain": 0.0, **{f"arm-{n:02}": 0.01 * n for n in range(12)}, "bad": -3.0, "worst": -4.0}
    board = board_of(inputs(effects))
    verdicts = {row["arm"]: row["verdict"] for row in board["rows"]}
    assert verdicts["bad"] == verdicts["worst"] == "worse" and verdicts["arm-00"] == "not resolved"
    colours = series(board)
    assert colours["plain"] == 0 and len(colours) == COLOURS
    assert {"bad", "worst"} < colours.keys()
    ranks = {row["arm"]: row["rank"] for row in board["rows"]}
    others = sorted(colours, key=lambda arm: colours[arm])[1:]
    assert others == sorted(others, key=lambda arm: ranks[arm])


def test_every_line_has_an_entry_in_the_key_and_every_entry_a_line(inputs: Any) -> None:
    board = board_of(inputs({f"arm-{number:02}": 0.02 * number for number in range(20)}))
    entries = re.findall(r'<li data-arm="(\d+)">', key(board, drawn_arms(board)))
    assert sorted(map(int, entries)) == list(range(20))
    for name, label in CHARTS:
        lines = re.findall(
            r'<polyline [^>]*class="line (\w+)" data-arm="(\d+)"', learning_curves(board, name, label)
        )
        assert sorted(number for _, number in lines) == sorted(entries)
        assert len({style for style, _ in lines} - {"other"}) == COLOURS
    folded = key(board, drawn_arms(board)).partition("<details")[2]
    assert folded.count("data-arm") == 20 - COLOURS and "12 other arms" in folded


def test_an_arm_that_nobody_compares_and_that_saw_other_data_is_named_and_not_drawn(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "sam": 0.1, "pre": 0.2, "teacher": 0.3})
    for arm, (name, compared) in zip(
        given.plan["arms"],
        [("small", True), ("small", True), ("large", False), ("small", False)],
        strict=True,
    ):
        arm["recipe"]["dataset"] = {"name": name, "params": {}}
        arm["compared"] = compared
    board = board_of(given)
    assert sorted(drawn_arms(board)) == ["plain", "sam", "teacher"]
    assert curves_note(board) == "Not drawn, for it is not compared and saw other data: pre."
    assert ">pre<" not in learning_curves(board, *CHARTS[0])
    given.plan["arms"][1]["recipe"]["dataset"]["name"] = "large"
    assert "Arms with other data share these axes" in curves_note(board_of(given))


def test_a_caption_says_that_early_epochs_are_cut_off_only_where_they_are(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "sam": 0.1})
    captions = {name: caption(learning_curves(board_of(given), name, label)) for name, label in CHARTS}
    assert [name for name, told in captions.items() if "Early epochs are cut off" in told] == [
        "validation_top1",
        "validation_loss",
        "train_loss",
    ]
    for record in given.records:
        record["curves"]["validation_top1"] = [50.0] * len(record["curves"]["epoch"])
    assert "Early" not in caption(learning_curves(board_of(given), *CHARTS[0]))


def test_a_caption_says_that_training_losses_are_not_alike_only_where_arms_differ(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "sam": 0.1})
    told = {name: caption(learning_curves(board_of(given), name, label)) for name, label in CHARTS}
    assert [name for name, words in told.items() if "the arm's own loss" in words] == ["train_loss"]
    for arm in given.plan["arms"]:
        arm["recipe"]["tricks"] = []
    assert "own loss" not in caption(learning_curves(board_of(given), "train_loss", ""))


def caption(figure: str) -> str:
    found = re.search("<figcaption>(.*?)</figcaption>", figure)
    assert found is not None
    return found[1].replace("&#39;", "'")


def axis(figure: str) -> list[float]:
    """Return the numbers under a chart."""
    labels = re.findall(r'<text [^>]*class="middle">([^<]*)</text>', figure)
    return [float(label.replace("−", "-")) for label in labels]


def test_the_axis_of_a_forest_is_that_of_its_differences_with_zero(inputs: Any) -> None:
    lower = axis(forest(board_of(inputs({"plain": 0.0, "one": -4.0, "two": -5.0}))))
    assert 0.0 in lower and max(lower) < 1.0 and min(lower) <= -5.0
    upper = axis(forest(board_of(inputs({"plain": 0.0, "one": 2.0, "two": 2.5}))))
    assert 0.0 in upper and min(upper) > -1.0 and max(upper) >= 2.0


def test_a_forest_says_why_a_verdict_and_its_bar_may_not_agree_only_where_they_do_not(inputs: Any) -> None:
    board = board_of(inputs({"plain": 0.0, "mixup": 1.5}))
    (row,) = [row for row in board["rows"] if row["arm"] == "mixup"]
    assert row["verdict"] == "better" and row["difference"]["low"] > 0
    assert "across 0" not in caption(forest(board))
    row["difference"]["low"] = -0.01
    assert "A bar across 0" in caption(forest(board))
    row["verdict"] = "not resolved"
    assert "across 0" not in caption(forest(board))


def test_calibration_errors_do_not_wear_the_marks_of_the_verdict_on_accuracy(inputs: Any) -> None:
    board = board_of(inputs({"plain": 0.0, "mixup": 1.5, "bad": -3.0}))
    error = {"mean": 2.0, "low": 1.0, "high": 3.0, "half_width": 1.0}
    board["by_class"] = {"arms": {row["arm"]: {"calibration_error": error} for row in board["rows"]}}
    drawn = calibration_errors(board)
    assert re.findall(r'<g class="([\w-]+)">', drawn).count("neutral") == 2
    assert drawn.count("<circle") == 2 and drawn.count("<polygon") == 1  # the baseline's is a diamond


def test_reasons_of_speed_open_without_a_mouse(inputs: Any) -> None:
    board = board_of(inputs({"plain": 0.0, "mixup": 1.5}))
    (row,) = [row for row in board["rows"] if row["arm"] == "mixup"]
    badge = '<span class="badge none">no verdict</span>'
    for name in ("speed_verdict", "memory_verdict"):
        opens = f'<details class="why"><summary>{badge}</summary><span class="long">{row[name]["reason"]}'
        assert row[name]["reason"] and opens in costs(board)
    assert "title=" not in costs(board)


def test_more_classes_than_a_matrix_has_are_said(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "sam": 0.1})
    manifest = given.plan["manifests"]["m"]
    manifest["classes"] = [f"class-{number}" for number in range(33)]
    manifest["splits"]["test"] |= {"count": 330, "class_counts": [10] * 33}
    for record in given.records:
        record["results"]["test"] |= {"class_correct": [7] * 33}
    assert "confusions of up to 32 classes, and this data has 33" in confusions(board_of(given))
    assert 'id="section-confusion"' in render.html(board_of(given))


def test_a_scatter_has_bars_across_from_as_many_rounds_as_a_verdict_takes(inputs: Any) -> None:
    effects = {"plain": 0.0, "mixup": 1.5}
    few, enough = (board_of(inputs(effects, rounds=rounds)) for rounds in (5, 6))
    assert few["settings"]["needed_replicates"] == 6
    assert "thin" not in scatter(few) and "takes 6 timing rounds for this family: there are 5" in scatter(few)
    drawn = scatter(enough)
    (row,) = [row for row in enough["rows"] if row["arm"] == "mixup"]
    ratio = row["speed_verdict"]["ratio"]
    (left, right), mark = thin_bar(drawn), bar_up(drawn, row)
    # A linear axis: the bar's ends are to its middle as the ratio's are, in pixels of the same axis.
    per_image = pixels_per_image(drawn)
    speed = row["images_per_second"]
    assert mark - left == pytest.approx(speed * (1 - ratio["low"] / ratio["mean"]) * per_image, abs=0.1)
    assert right - mark == pytest.approx(speed * (ratio["high"] / ratio["mean"] - 1) * per_image, abs=0.1)
    assert "that of the ratio to the baseline" in caption(drawn)


def thin_bar(drawn: str) -> tuple[float, float]:
    ((left, right),) = re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)" [^>]*class="whisker thin"', drawn)
    return float(left), float(right)


def bar_up(drawn: str, row: Any) -> float:
    """Return the pixel of an arm's bar up and down."""
    group = drawn.partition(f"<title>{row['arm']}: ")[2].partition("</g>")[0]
    found = re.search(r'<line x1="([\d.]+)"', group)
    assert found is not None
    return float(found[1])


def pixels_per_image(drawn: str) -> float:
    labels = re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="middle">([\d,]+)</text>', drawn)
    (x0, first), (x1, last) = labels[0], labels[-1]
    return (float(x1) - float(x0)) / (float(last.replace(",", "")) - float(first.replace(",", "")))


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.0, 10.0, [0, 2, 4, 6, 8, 10]),
        (-1.7e308, 1.7e308, []),
        (0.0, 5e-324, []),
        (3.0, 3.0, []),
        (0.0, math.inf, []),
    ],
)
def test_an_axis_of_any_length_has_ticks_or_none(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == wanted


@pytest.mark.parametrize("number", [1.7e308, -1e308, 1e200])
def test_a_loss_beyond_any_axis_is_not_drawn_and_the_others_are(inputs: Any, number: float) -> None:
    given = inputs({"plain": 0.0, "quick": 0.3})
    for record in given.records:
        record["curves"] = {
            "epoch": [1.0, 2.0, 3.0],
            "train_loss": [number, 2.0, 1.0],
            "validation_loss": [number, 2.0, 1.0],
            "validation_top1": [number, 20.0, 30.0],
            "learning_rate": [number, 0.1, 0.05],
        }
    page = render.html(build(given.plan, given.records, given.timings, shared=given.shared))
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert charts and not any(re.search(r"\d{20}|(\d{3},){6}|\b(nan|inf)\b", chart) for chart in charts)
    assert "Training loss, nats by epoch" in page

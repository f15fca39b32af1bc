"""At every width the terminal's tables fit, names do not wrap, and what is left out is said."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from harness.board import render, wording
from harness.board.compare import Given, compare_results
from harness.board.compare_render import render_markdown, render_text
from harness.board.fit import left_out, table_width
from harness.board.leaderboard import build

EFFECTS = {"plain": 0.0, "label-smoothing": 0.4, "flip-rotation-and-jitter": -3.0}
ALL = ["#", "arm", "top-1, %", "Δ top-1", "verdict", "images/s", "MiB", "FLOPs", "failed"]


def board_of(given: Any) -> dict[str, Any]:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def printed(board: dict[str, Any], width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False, color_system=None)
    console.print(render.terminal(board))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def heading(lines: list[str]) -> list[str]:
    rule = next(number for number, line in enumerate(lines) if line.startswith("───"))
    return re.split(r"\s{2,}", lines[rule - 1].strip())


def in_grid(given: Any, size: int = 2) -> Any:
    """Put the arms after the first `size` into a second cell, with a baseline of their own."""
    arms = given.plan["arms"]
    for number, arm in enumerate(arms):
        first = number < size
        arm["cell"] = {"batch_size": 32 if first else 128, "numerics.channels_last": not first}
        arm["against"] = arms[0 if first else size]["name"]
    return given


@pytest.mark.parametrize("width", [50, 60, 70, 80, 90, 100, 130])
def test_every_line_fits_and_every_arm_stands_on_one_line_in_full(inputs: Any, width: int) -> None:
    given = inputs(EFFECTS)
    for timing in given.timings:
        timing["images_per_second"] *= 10
    lines = printed(board_of(given), width)
    assert max(map(len, lines)) <= width
    for arm in EFFECTS:
        # Once in the table, and once more, except the baseline, with its reason.
        assert sum(bool(re.search(rf"(^|\s){re.escape(arm)}\s", line)) for line in lines) == 1 + (
            arm != "plain"
        )


def test_columns_are_left_out_in_the_stated_order_and_a_line_names_them(inputs: Any) -> None:
    board = board_of(inputs(EFFECTS))
    seen = []
    for width in range(160, 39, -2):
        lines = printed(board, width)
        told = re.search(r"Left out at this width: (.*) \(they are in the files\)\.", " ".join(lines))
        gone = told[1].split(", ") if told else []
        shown = [name for name in ALL if name.removesuffix(", %") not in gone]
        assert heading(lines) == shown
        if gone not in seen:
            seen.append(gone)
    order = ["failed", "FLOPs", "MiB", "images/s", "#", "top-1", "Δ top-1"]
    assert seen == [order[:number] for number in range(len(seen))]
    assert len(seen) == len(order) + 1


@pytest.mark.parametrize("width", [40, 44, 48])
def test_verdicts_are_whole_on_a_narrow_terminal_and_names_are_cut(inputs: Any, width: int) -> None:
    effects = {"plain": 0.0, "label-smoothing-of-a-tenth": 0.05, "flip-rotation-and-jitter": -3.0}
    board = board_of(inputs(effects))
    next(row for row in board["rows"] if "tenth" in row["arm"])["verdict"] = "not resolved"
    lines = printed(board, width)
    assert max(map(len, lines)) <= width
    rule = next(number for number, line in enumerate(lines) if line.startswith("───"))
    assert not lines[rule].endswith("…")
    ends = {"plain": "baseline"} | {row["arm"]: wording.verdict(row) for row in board["rows"]}
    for row, line in zip(board["rows"], lines[rule + 1 :], strict=False):
        assert line.endswith(ends[row["arm"]])
        assert line.startswith(row["arm"][: width - 18])
    assert "○ not resolved" in ends.values()


def test_a_baseline_whose_name_is_cut_on_a_narrow_terminal_stands_below_in_full(inputs: Any) -> None:
    name = "baseline-of-27-characters-x"
    lines = printed(board_of(inputs({name: 0.0, "a": 0.05})), 40)
    assert any(line.startswith(f"  {name}") for line in lines)
    assert not any(line.startswith(f"  {name}") for line in printed(board_of(inputs({name: 0.0})), 80))


def test_failures_outlast_what_was_measured(inputs: Any, failing: Any) -> None:
    given = inputs(EFFECTS)
    failing(given.of("label-smoothing")[0], "diverged")
    shown = heading(printed(board_of(given), 84))
    assert "failed" in shown
    assert "FLOPs" not in shown


def test_a_long_name_is_cut_in_the_table_alone(inputs: Any) -> None:
    long = "an-arm-with-a-name-of-fifty-characters-no-less-yes"
    lines = printed(board_of(inputs({long: 0.0, "b" + long: 0.3})), 80)
    assert max(map(len, lines)) <= 80
    assert any(long[:27] + "…" in line for line in lines)
    assert any(line.startswith(f"  {long}  baseline") for line in lines)
    assert any(line.startswith(f"  b{long}  ") for line in lines)
    assert "…" not in "".join(printed(board_of(inputs({long: 0.0, "b": 0.3})), 200))


def test_reasons_and_claims_go_on_under_their_arm(inputs: Any) -> None:
    board = board_of(inputs(EFFECTS))
    board["rows"][-1]["stamps"] = ["word " * 40]
    measured = {"mean": 5.35, "low": 4.62, "high": 6.08}
    claim = {
        "name": "a claim",
        "arm": "label-smoothing",
        "against": "flip-rotation-and-jitter",
        "metric": "top1",
    }
    claim |= {"claimed": 5.0, "unit": "points", "measured": measured, "verdict": "reproduced"}
    board["claims"] = [claim | {"reason": "reason " * 20, "source": "source " * 20}]
    lines = printed(board, 60)
    start = next(n for n, line in enumerate(lines) if line.startswith(f"  {board['rows'][-1]['arm']}  "))
    wrapped = lines[start + 1 : lines.index("", start)]
    assert len(wrapped) >= 3
    assert all(re.match(r"    \S", line) for line in wrapped)
    note = next(n for n, line in enumerate(lines) if line.startswith("The claims are a family"))
    first, *others = lines[lines.index("Claims") + 1 : note]
    assert first.startswith("  a claim  reproduced  label-smoothing")
    assert len(others) >= 5
    assert all(re.match(r"    \S", line) for line in others)


def test_the_rows_of_a_cell_stand_under_its_values(inputs: Any) -> None:
    board = board_of(in_grid(inputs({"plain": 0.0, "a": 0.5, "plain.1": 0.0, "a.1": 0.5})))
    lines = printed(board, 100)
    first = lines.index("batch_size = 32, numerics.channels_last = false")
    second = lines.index("batch_size = 128, numerics.channels_last = true")
    assert {line.split()[1] for line in lines[first + 1 : second]} == {"plain", "a"}
    assert {line.split()[1] for line in lines[second + 1 : second + 3]} == {"plain.1", "a.1"}
    tex = render.latex(board).splitlines()
    found = [line for line in tex if r"\textit" in line]
    assert found == [
        r"\multicolumn{9}{@{}l}{\textit{batch\_size = 32, numerics.channels\_last = false}} \\",
        r"\multicolumn{9}{@{}l}{\textit{batch\_size = 128, numerics.channels\_last = true}} \\",
    ]
    assert tex[tex.index(found[1]) - 1] == r"\midrule"


def test_without_a_grid_there_is_no_heading_of_a_cell(inputs: Any) -> None:
    board = board_of(inputs(EFFECTS))
    assert r"\textit" not in render.latex(board)
    lines = printed(board, 100)
    rule = next(number for number, line in enumerate(lines) if line.startswith("───"))
    assert [line.split()[1] for line in lines[rule + 1 : rule + 4]] == [row["arm"] for row in board["rows"]]


def test_one_is_said_in_the_singular(inputs: Any) -> None:
    text = "\n".join(printed(board_of(inputs({"plain": 0.0, "a": 0.1}, replicates=1)), 200))
    assert "2 arms × 1 replicate on" in text
    assert "Holm over 1 arm at" in text


def report_of(inputs: Any, change: Any, effects: dict[str, float] = EFFECTS) -> dict[str, Any]:
    base, candidate = inputs(effects), inputs(effects)
    for given, value in ((base, 0), (candidate, 1)):
        for arm in given.plan["arms"]:
            change(arm["recipe"], value)
    sides = (
        Given(name, given.plan, given.records, given.timings, given.shared)
        for name, given in (("a", base), ("b", candidate))
    )
    return compare_results(*sides)


def set_rate(recipe: dict[str, Any], side: int) -> None:
    recipe["optimizer"] = [{"name": "sgd", "params": {"lr": (0.1, 0.2)[side]}}]
    recipe["dataset"] = {"params": {"of": {"params": {"samples": (10, 20)[side]}}}}


def test_a_comparison_names_changes_as_a_suite_writes_them(inputs: Any) -> None:
    report = report_of(inputs, set_rate)
    for text in (render_text(report, 1000), render_markdown(report).replace("\\", "")):
        assert "optimizer.lr is 0.1 in the base, 0.2 in the candidate" in text
        assert "optimizer[0]" not in text
        assert ".params" not in text
    assert report["arms"][0]["changed"][-1] == "optimizer[0].params.lr is 0.1 there, 0.2 here"
    assert "Holm over 3 arms" in render_text(report, 1000)
    assert "Holm over 1 arm at" in render_text(report_of(inputs, set_rate, {"plain": 0.0}), 1000)


@pytest.mark.parametrize("width", [60, 80, 100, 130])
def test_a_comparison_fits_and_says_what_it_leaves_out(inputs: Any, width: int) -> None:
    report = report_of(inputs, set_rate)
    text = render_text(report, width)
    assert max(map(len, text.splitlines())) <= width
    assert ("Left out at this width: memory" in text) == (width < 100)
    words = " ".join(text.split())
    assert "those of Δ hold for all arms at once." in words
    assert "optimizer.lr is 0.1 in the base, 0.2 in the candidate" in words


def test_columns_are_left_out_until_the_others_fit() -> None:
    widths = {"a": 10, "b": 5, "c": 5}
    assert table_width([10, 5, 5]) == 24
    assert left_out(widths, ("c", "b"), 24) == []
    assert left_out(widths, ("c", "b"), 23) == ["c"]
    assert left_out(widths, ("c", "b"), 16) == ["c", "b"]
    assert left_out(widths, ("c",), 1) == ["c"]


@pytest.mark.parametrize("width", [40, 60, 160])
def test_what_is_left_out_is_not_explained(inputs: Any, width: int) -> None:
    board = board_of(inputs(EFFECTS))
    board["rows"][1]["parents"] = {"teacher": {"file": "f", "training_flops": None, "train_seconds": None}}
    for row in board["rows"]:
        row["images_per_second_ratio"] |= {"noisy": True, "quotient": 2.0}
    lines = printed(board, width)
    # What follows the last line about an arm is said of the table as a whole.
    told = " ".join(lines[len(lines) - 1 - lines[::-1].index("") :])
    explained = {"images/s": ["≈", "†"], "#": ["Ranks from–to"], "FLOPs": [" FLOPs: an arm's own"]}
    for column, texts in explained.items():
        assert [text in told for text in texts] == [column in heading(lines)] * len(texts), column

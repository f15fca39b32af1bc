"""Measures beside accuracy and speed: in the board and its renderings where records hold them, and only there."""

import csv
import io
import math
import re
from typing import Any

import pytest

from harness.board import render
from harness.board.leaderboard import build

Json = dict[str, Any]
NEW = {
    "compute_images_per_second",
    "data_wait_share",
    "latency_p50_seconds",
    "latency_p99_seconds",
    "joules_per_image",
    "loaders",
    "time_to_target",
}


def board_of(given: Any) -> Json:
    return build(given.plan, given.records, given.timings, shared=given.shared)


def row_of(board: Json, arm: str) -> Json:
    return next(row for row in board["rows"] if row["arm"] == arm)


@pytest.fixture
def measured(inputs: Any) -> Any:
    """Two arms of which the second holds everything that can be measured, and the first next to nothing."""
    given = inputs({"plain": 0.0, "fast": 0.0}, replicates=4, rounds=3, epochs=3)
    given.plan["measure"] = {"target_top1": 90.0}
    for number, record in enumerate(given.of("fast")):
        seconds = [3.0, 8.0, None, 5.0][number]
        record["time_to_target"] = seconds and {"top1": 90.0, "seconds": seconds, "epoch": 2.0 * seconds}
        record["loader"] = {"mode": "memory" if number else "stream", "workers": 2, "reason": "why"}
        record["mode"] = {"together": 4, "probe_ratio": 1.9}
        record["curves"]["gradient_norms"] = {"stem": [1.0, 3.0, None], "head": [0.5 + number, 1.0]}
    given.of("fast")[2]["leak"] = {
        "kind": "resident",
        "growth_share": 0.034,
        "bytes_per_epoch": 9e5,
        "epochs": 24,
    }
    for timing in given.timings:
        number = timing["round"]
        if timing["arm"] == "fast":
            timing |= {
                "compute_images_per_second": [9000.0, 7000.0, 8000.0][number],
                "data_wait_share": [0.3, 0.05, 0.2][number],
                "input_bound": number != 1,
                "latency_seconds": {"p50": 0.001 * (number + 1), "p99": None, "calls": 40},
                "energy": {"joules_per_image": 0.02, "seconds": 2.0, "source": "nvml"},
            }
    return given


def test_a_board_without_these_measures_has_no_place_for_them(inputs: Any) -> None:
    board = board_of(inputs({"plain": 0.0, "fast": 0.0}))
    assert not NEW & {name for row in board["rows"] for name in row}
    assert "gradient_norms" not in board["curves"]["plain"]
    assert "What the arms take" not in render.html(board)
    assert "latency" not in render.markdown(board)


def test_medians_over_rounds_and_over_the_replicates_that_reached_the_target(measured: Any) -> None:
    row = row_of(board_of(measured), "fast")
    assert row["compute_images_per_second"] == 8000.0
    assert row["data_wait_share"] == 0.2
    assert row["latency_p50_seconds"] == 0.002
    assert "latency_p99_seconds" not in row
    assert row["joules_per_image"] == 0.02
    assert row["loaders"] == {"memory": 3, "stream": 1}
    reached = {"top1": 90.0, "seconds": 5.0, "epoch": 10.0, "reached": 3, "replicates": 4}
    assert row["time_to_target"] == reached


def test_an_arm_that_never_reached_the_target_says_so(measured: Any) -> None:
    board = board_of(measured)
    told = row_of(board, "plain")["time_to_target"]
    assert (told["seconds"], told["reached"], told["replicates"]) == (None, 0, 4)
    lines = [line for line in render.markdown(board).splitlines() if "| plain |" in line]
    assert len(lines) == 2  # the leaderboard, and what the arms take
    assert "– (0/4)" in lines[1]


def test_input_bound_leaking_and_together_are_stamped(measured: Any) -> None:
    board = board_of(measured)
    stamps = row_of(board, "fast")["stamps"]
    # Bound in rounds 0 and 2: the median of 0.3 and 0.2.
    assert "input-bound: data is waited for in 25% of a step, in 2 of 3 rounds" in stamps
    assert "leak: resident memory grows by 3.4% in 20 epochs, in 1 of 4 replicates" in stamps
    assert "together: 4 of 4 replicates were trained 4 at once, in one process" in stamps
    assert not row_of(board, "plain")["stamps"]


def test_replicates_that_a_probe_left_one_by_one_are_not_stamped(measured: Any) -> None:
    for record in measured.of("fast"):
        record["mode"] = {"together": 1, "probe_ratio": 0.8}
    assert not any("together" in stamp for stamp in row_of(board_of(measured), "fast")["stamps"])


def test_gradient_norms_are_means_over_replicates_by_layer(measured: Any) -> None:
    norms = board_of(measured)["curves"]["fast"]["gradient_norms"]
    assert norms == {"stem": [1.0, 3.0, None], "head": [2.0, 1.0]}
    assert "gradient_norms" not in board_of(measured)["curves"]["plain"]


def test_every_format_shows_them(measured: Any) -> None:
    board = board_of(measured)
    page, text = render.html(board), render.markdown(board)
    for shown in (
        "What the arms take",
        "8,000",
        "20.0 %",
        "2 ms",
        "20 mJ",
        "memory (3), stream (1)",
        "5 s (3/4)",
    ):
        assert shown in page, shown
    assert "Target: 90 % on the validation split." in page
    assert page.count("Gradient norm of each layer by epoch") == 3  # title, label and caption of one chart
    assert "latency p99" not in page
    for shown in ("latency p50", "to target", "20 mJ", "5 s (3/4)"):
        assert shown in text, shown
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert [len({line.count("|") for line in table}) for table in tables] == [1, 1]
    lines = {line["arm"]: line for line in csv.DictReader(io.StringIO(render.csv(board)))}
    assert float(lines["fast"]["time_to_target_seconds"]) == 5.0
    assert lines["plain"]["latency_p50_seconds"] == ""
    assert '"joules_per_image": 0.02' in render.json(board)


def test_more_layers_than_colours_and_norms_that_vanish_are_drawn(measured: Any) -> None:
    layers = {f"layer{number}": [10.0**-number, 0.0, math.nan] for number in range(30)}
    for record in measured.of("fast"):
        record["curves"]["gradient_norms"] = layers
    page = render.html(board_of(measured))
    assert "22 other layers" in page
    drawn = re.findall(r'points="([^"]*)"', page)
    assert drawn and not any("nan" in points or "inf" in points for points in drawn)


def test_memory_is_that_of_the_process_tree_where_it_is_known(measured: Any) -> None:
    for timing in measured.timings:
        timing["peak_memory_bytes"] = {"resident": 1e9, "tree": 3e9, "allocated": None, "reserved": None}
    row = row_of(board_of(measured), "fast")
    assert (row["peak_memory_bytes"], row["peak_memory_kind"]) == (3e9, "tree")


@pytest.mark.parametrize("nonsense", ["text", 3, [1], {"seconds": "soon"}, {"p50": math.nan}, True])
def test_nonsense_in_a_record_is_an_absence(measured: Any, nonsense: Any) -> None:
    for record in measured.of("fast"):
        record |= {"time_to_target": nonsense, "leak": nonsense, "loader": nonsense, "mode": nonsense}
        record["curves"]["gradient_norms"] = nonsense
    for timing in measured.timings:
        timing |= {"latency_seconds": nonsense, "energy": nonsense, "data_wait_share": nonsense}
    board = board_of(measured)
    assert "latency_p50_seconds" not in row_of(board, "fast")
    for text in (render.html(board), render.markdown(board), render.csv(board), render.json(board)):
        assert text

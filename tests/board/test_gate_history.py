"""The history of gates: durable lines, steps that last, and their picture."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import statistics
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from harness.board.gate_history import (
    History,
    append,
    history_path,
    read,
    render_history_text,
    summarize,
)
from harness.board.gate_picture import render_history_svg
from harness.board.gate_steps import detect_steps, strongest_cut

Json = dict[str, Any]
HOST = {"accuracy": {"cpu": "A"}, "speed": {"cores": 2}, "shown": {"host": "x"}}
HOSTILE = '<script>"&\x1b[31m\udc80'


def report(value: float | None, commit: str = "abcdef0123", name: str = "plain/step_seconds") -> Json:
    row = {
        "name": name,
        "kind": "time",
        "unit": "s",
        "verdict": "fine" if value is not None else "failed",
        "ratio": 1.0,
        "noise": 0.01,
        "candidate_median": value,
    }
    return {
        "source": "commits",
        "suite": "gate",
        "advisory": False,
        "base": {"label": "main", "commit": None},
        "candidate": {"label": "branch", "commit": commit},
        "rows": [row],
    }


def history_of(values: list[float], name: str = "plain/step_seconds") -> History:
    entries = [
        {
            "schema": 1,
            "at": f"2026-01-{index + 1:02d}T00:00:00Z",
            "label": "branch",
            "commit": f"c{index:02d}",
            "values": {name: {"value": value, "unit": "s", "kind": "time", "verdict": "fine"}},
        }
        for index, value in enumerate(values)
    ]
    return History(entries, [])


def shifted(noise: float, shift: float, seed: int, at: int = 35, count: int = 60) -> list[float]:
    draw = random.Random(seed)
    return [math.exp(draw.gauss(0.0, noise)) * (1 + shift * (index >= at)) for index in range(count)]


# --- the file


def test_reports_are_appended_and_read_back(tmp_path: Path) -> None:
    path = history_path(tmp_path / "history", HOST)
    for index, value in enumerate((0.5, 0.6)):
        assert append(path, report(value, f"c{index}"), HOST, f"2026-01-0{index + 1}T00:00:00Z")
    history = read(path)
    assert [entry["commit"] for entry in history.entries] == ["c0", "c1"]
    (series,) = summarize(history)["series"]
    assert [point["value"] for point in series["points"]] == [0.5, 0.6]
    assert history.damaged == []
    assert [path.name for path in (tmp_path / "history").glob("[!.]*")] == [path.name]


def test_a_report_without_a_measured_candidate_leaves_no_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert append(path, report(None), HOST, "2026-01-01T00:00:00Z") is False
    assert not path.exists()
    assert read(path) == History([], [])


def test_a_damaged_line_stays_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append(path, report(0.5), HOST, "2026-01-01T00:00:00Z")
    whole = path.read_bytes()
    path.write_bytes(b"[]\n\xff\xfe\n" + whole + whole[:40])  # the last write was cut off
    append(path, report(0.6), HOST, "2026-01-02T00:00:00Z")
    history = read(path)
    assert history.damaged == [1, 2, 4]
    assert len(history.entries) == 2
    assert path.read_bytes().startswith(b"[]\n\xff\xfe\n" + whole + whole[:40] + b"\n")
    assert "left out: 1, 2, 4\n" in render_history_text(summarize(history))


def test_a_line_that_is_there_twice_is_one_point(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append(path, report(0.5), HOST, "2026-01-01T00:00:00Z")
    append(path, report(0.5), HOST, "2026-01-02T00:00:00Z")
    path.write_bytes(path.read_bytes() * 2)
    history = read(path)
    assert [entry["at"][:10] for entry in history.entries] == ["2026-01-01", "2026-01-02"]
    assert history.damaged == [3, 4]


def test_other_suites_and_ways_of_measuring_are_series_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for index in range(24):
        suite, value = ("gate", 0.5) if index < 12 else ("other", 0.9)
        append(path, {**report(value), "suite": suite}, HOST, f"2026-01-{index + 1:02d}T00:00:00Z")
    append(path, {**report(0.7), "source": "results"}, HOST, "2026-02-01T00:00:00Z")
    series = summarize(read(path))["series"]
    assert {one["name"]: len(one["points"]) for one in series} == {
        "gate: plain/step_seconds": 12,
        "gate: plain/step_seconds (results)": 1,
        "other: plain/step_seconds": 12,
    }
    assert not any(one["steps"] for one in series)


def test_the_last_two_hundred_points_are_kept() -> None:
    (series,) = summarize(history_of([1.0 + index / 1000 for index in range(250)]))["series"]
    assert [point["value"] for point in series["points"]] == [1.0 + index / 1000 for index in range(50, 250)]


def test_another_kind_of_machine_has_another_file_and_a_renamed_one_has_not(tmp_path: Path) -> None:
    other = {**HOST, "accuracy": {"cpu": "B"}}
    renamed = {**HOST, "shown": {"host": "y"}}
    updated = {**HOST, "speed": {"cores": 2, "kernel": "6.8.0-1021"}}
    assert history_path(tmp_path, other) != history_path(tmp_path, HOST) == history_path(tmp_path, renamed)
    assert history_path(tmp_path, updated) == history_path(tmp_path, HOST)


# --- steps


def test_the_strongest_cut_of_a_worked_example() -> None:
    # Ranks 1 2 3 | 4 5 6: only 2 of the 20 choices of three ranks before the middle are as far from 10.5 as 1+2+3,
    # and with two points at least on each side of a cut the permutations are counted here one by one.
    values = [1.0, 1.1, 1.2, 5.0, 5.1, 5.2]

    def largest(ranks: tuple[int, ...]) -> float:
        return max(abs(sum(ranks[:cut]) - 3.5 * cut) / math.sqrt(cut * (6 - cut)) for cut in (2, 3, 4))

    orders = list(itertools.permutations(range(1, 7)))
    expected = sum(largest(order) >= largest((1, 2, 3, 4, 5, 6)) - 1e-12 for order in orders) / len(orders)
    cut, p = strongest_cut(values, shortest=2)
    assert cut == 3
    assert p == pytest.approx(expected, abs=0.015)


def test_a_sustained_shift_of_three_percent_is_found_where_it_is() -> None:
    for seed in range(20):
        (step,) = detect_steps(shifted(0.006, 0.03, seed))
        assert abs(step.index - 35) <= 2
        assert step.ratio == pytest.approx(1.03, abs=0.01)
        assert step.p < 0.001


def test_a_slow_drift_of_which_no_gate_saw_anything_is_found() -> None:
    for seed in range(20):
        draw = random.Random(seed)
        values = [1.0 + 0.03 * index / 60 + draw.gauss(0.0, 0.005) for index in range(60)]
        steps = detect_steps(values)
        assert steps
        assert all(step.ratio > 1 for step in steps)


def test_no_step_where_there_is_none() -> None:
    found = [bool(detect_steps(shifted(0.01, 0.0, seed))) for seed in range(300)]
    assert sum(found) <= 3


def test_two_steps_are_told_apart_with_their_levels() -> None:
    draw = random.Random(7)
    values = [level + draw.gauss(0.0, 0.5) for level in [540.0] * 15 + [551.0] * 30 + [534.0] * 15]
    steps = detect_steps(values)
    assert [step.index for step in steps] == [15, 45]
    assert steps[0].before == statistics.median(values[:15])
    assert steps[0].after == steps[1].before == statistics.median(values[15:45])
    assert steps[1].ratio == steps[1].after / steps[1].before


def test_a_step_begins_with_its_first_point_though_that_is_the_lowest_of_the_higher_ones() -> None:
    low = [540.0 + index % 3 / 10 for index in range(15)]
    high = [551.0 + index % 4 / 10 for index in range(29)]
    values = [*low, 550.0, *high]
    assert strongest_cut(values)[0] == 16  # by ranks alone
    assert [step.index for step in detect_steps(values)] == [15]


def test_a_hiccup_and_a_certain_shift_of_a_per_mille_are_no_steps() -> None:
    values = shifted(0.005, 0.0, 1)
    values[20] *= 4
    assert detect_steps(values) == []
    assert detect_steps([100.0 + index % 2 * 0.01 for index in range(30)] + [100.1] * 30) == []


@pytest.mark.parametrize("count", [0, 1, 9])
def test_few_points_have_no_steps(count: int) -> None:
    assert detect_steps([1.0 + index for index in range(count)]) == []


def test_equal_values_have_no_steps_and_equal_input_gives_equal_steps() -> None:
    assert detect_steps([1.0] * 40) == []
    values = shifted(0.01, 0.03, 2)
    assert detect_steps(values) == detect_steps(list(values))


# --- what is shown


def test_the_summary_says_since_which_commit() -> None:
    text = render_history_text(summarize(history_of([0.05] * 12 + [0.053] * 12)))
    assert "plain/step_seconds: 24 points, 50.00 → 53.00 ms, 1 step\n" in text
    assert "step: 6.0 % more from c12 (2026-01-13) on" in text


def test_the_picture_is_svg_by_itself_with_a_dot_a_point_and_a_line_a_step() -> None:
    summary = summarize(history_of([0.05] * 12 + [0.053] * 12))
    svg = render_history_svg(summary)
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    kinds = [element.get("class") for element in root.iter()]
    assert kinds.count("point") == 24
    assert kinds.count("step") == 1
    assert kinds.count("level") == 2
    assert not re.search(r"<script|href|url\(|@import", svg)
    assert render_history_svg(summary) == svg


def test_hostile_names_do_nothing_in_text_or_picture() -> None:
    summary = summarize(history_of([0.05] * 3, HOSTILE))
    ElementTree.fromstring(render_history_svg(summary).encode())
    assert "<script" not in render_history_svg(summary)
    assert all(line.isprintable() for line in render_history_text(summary).splitlines())


def test_an_empty_history_says_so() -> None:
    summary = summarize(History([], []))
    assert "nothing measured yet" in render_history_text(summary)
    assert "nothing measured yet" in render_history_svg(summary)


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    entry = {
        "schema": 1,
        "at": None,
        "values": {"a": {"value": None}, "b": 3, "c": {"value": -1.0, "unit": "s"}},
    }
    path.write_text(json.dumps(entry) + "\n")
    (series,) = summarize(read(path))["series"]
    assert series["name"] == "c"
    assert series["steps"] == []
    render_history_svg(summarize(read(path)))

"""What a board says of tuning: what won, what it cost, every trial, and a winner at the end of its range."""

import copy
import re

from harness.board.chart_searched import value_chart
from harness.board.chart_tuning import best_so_far, search_curves
from harness.board.html_tuning import MOST_SETTINGS
from harness.board.html_tuning import tuning as tuning_section
from harness.board.leaderboard import build
from harness.board.render import csv, html, json, markdown
from harness.board.tuning import setting_words, space_words, tuned_words, tuning_line


def tuned(k, value, edge=()):
    return {
        "setting": {"optimizer.lr": 0.031, "tricks.ema.decay": 0.9},
        "k": k,
        "trials": 3,
        "train_seconds": 12.0,
        "training_flops": 3e9,
        "validation_top1": value,
        "edge": list(edge),
    }


def tried(values):
    return [
        {
            "k": k,
            "setting": {"optimizer.lr": 0.1 * (k + 1)},
            "status": "diverged" if value is None else "completed",
            "validation_top1": value,
            "train_seconds": 4.0,
            "training_flops": 1e9,
            "trials": [f"t{k}"],
        }
        for k, value in enumerate(values)
    ]


def inputs_with_tuning(inputs):
    made = inputs({"plain": 0.0, "ema": 1.0, "lost": -1.0})
    plan = made.plan
    plan["arms"][0]["tuned"] = tuned(1, 96.5)
    plan["arms"][1]["tuned"] = tuned(0, 97.25, ["optimizer.lr"])
    plan["arms"][2]["tuned"] = tuned(0, None)
    plan["tuning"] = {
        "trials": 3,
        "method": "quasi-random",
        "replicates": 1,
        "metric": "top1",
        "plan": "beef",
        "space": {"plain": {"optimizer.lr": {"low": 0.001, "high": 1.0, "log": True, "step": None}}},
        "arms": {
            "ema": tried([97.25, 97.0, None]),
            "plain": tried([96.0, 96.5, 95.0]),
            "lost": tried([None, None, None]),
        },
    }
    return made


def board_of(made):
    return build(made.plan, made.records, made.timings, shared=made.shared)


def test_rows_tell_what_won_and_what_the_search_cost(inputs):
    made = inputs_with_tuning(inputs)
    board = board_of(made)
    rows = {row["arm"]: row for row in board["rows"]}
    one = rows["plain"]["training_flops"]
    assert rows["plain"]["tuned"] == {**tuned(1, 96.5), "trainings": 3e9 / one}
    assert rows["plain"]["stamps"] == []
    assert rows["ema"]["stamps"] == ["tuning: the best optimizer.lr lies at the end of what was searched"]
    assert rows["lost"]["stamps"] == ["tuning: all 3 trials failed; the arm runs at its own setting"]
    assert rows["ema"]["verdict"] == "better"  # an edge is said, and takes no verdict away


def test_the_board_lists_every_trial_and_no_test_result_of_one(inputs):
    board = board_of(inputs_with_tuning(inputs))
    told = board["tuning"]
    assert list(told["arms"]) == ["plain", "ema", "lost"]  # the plan's order
    assert [one["validation_top1"] for one in told["arms"]["ema"]] == [97.25, 97.0, None]
    assert {key for many in told["arms"].values() for one in many for key in one} == {
        "k",
        "setting",
        "status",
        "validation_top1",
        "train_seconds",
        "training_flops",
    }
    assert (told["trials"], told["method"], told["replicates"]) == (3, "quasi-random", 1)


def test_a_board_without_tuning_has_no_word_of_it(inputs):
    board = board_of(inputs({"plain": 0.0, "ema": 1.0}))
    assert "tuning" not in board and not any("tuned" in row for row in board["rows"])
    assert tuning_line(board) == "" and tuned_words(board["rows"][0]) == ""
    assert "Tuning" not in markdown(board)


def test_words_of_a_search(inputs):
    board = board_of(inputs_with_tuning(inputs))
    rows = {row["arm"]: row for row in board["rows"]}
    trainings = f"{rows['plain']['tuned']['trainings']:.3g}"
    assert tuned_words(rows["plain"]) == (
        "tuned: optimizer.lr = 0.031, tricks.ema.decay = 0.9 (the 2nd of 3, 96.50 % on validation, "
        f"for the FLOPs of {trainings} trainings)"
    )
    assert "(its own setting, 97.25 % on validation" in tuned_words(rows["ema"])
    assert tuning_line(board) == (
        "Tuning: 3 settings of each arm, its own first (quasi-random), chosen on the validation split, run anew on "
        "fresh replicates; 9 G FLOPs and 36 s of training in all."
    )
    assert setting_words({"a": True, "b": "x\x1b[2J"}) == "a = true, b = x\\x1b[2J"


def test_every_format_shows_it_and_equal_input_gives_equal_bytes(inputs):
    made = inputs_with_tuning(inputs)
    board = board_of(made)
    assert tuning_line(board) in markdown(board) and "tuned: optimizer.lr = 0.031" in markdown(board)
    heading, *lines = csv(board).splitlines()
    assert "tuned_training_flops" in heading and "tuned_setting_optimizer.lr" in heading and len(lines) == 3
    assert "optimizer.lr" in html(board)
    shuffled = copy.deepcopy(made)
    shuffled.records.reverse()
    shuffled.plan["tuning"]["arms"] = dict(reversed(shuffled.plan["tuning"]["arms"].items()))
    assert json(board_of(shuffled)) == json(board)


def rows_of(table):
    """Return the text of each cell of each body row."""
    body = table.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr.*?</tr>", body)]
    return [[re.sub("<[^>]+>", "", cell).strip() for cell in row] for row in cells]


def test_the_page_has_a_row_an_arm_and_every_setting_that_was_tried(inputs):
    board = board_of(inputs_with_tuning(inputs))
    section = str(tuning_section(board))
    assert tuning_line(board) in section
    summary, *searches = section.split("<table")[1:]
    found = {row[0]: row[1:] for row in rows_of(summary)}
    assert found["plain"][1:5] == ["2 of 3", "96.50", "+0.50", "12 s"]
    assert found["ema"][1:4] == ["1 of 3, its own", "97.25", "0.00"]
    assert found["lost"][1:4] == ["1 of 3, its own", "–", "–"]  # absent is no zero
    order = [row["arm"] for row in board["rows"]]
    of_ema = rows_of(searches[order.index("ema")])
    assert of_ema == [
        ["1", "0.1", "97.25", "4.0", "completed chosen"],
        ["2", "0.2", "97.00", "4.0", "completed"],
        ["3", "0.3", "–", "4.0", "diverged"],
    ]
    assert [section.count(f">{arm}</h3>") for arm in ("plain", "ema", "lost")] == [1, 1, 1]
    assert "3 settings, 1 failed" in section and "3 settings, 3 failed" in section
    assert "Searched: optimizer.lr from 0.001 to 1 (logarithmic)." in section


def test_the_best_so_far_never_falls_and_starts_where_something_is_known():
    assert best_so_far(tried([None, 3.0, 2.0, None, 5.0])) == [(2, 3.0), (3, 3.0), (4, 3.0), (5, 5.0)]
    assert best_so_far(tried([None, None])) == []


def test_a_line_rises_where_a_setting_was_better_and_its_dot_is_the_chosen_one(inputs):
    board = board_of(inputs_with_tuning(inputs))
    drawing = str(search_curves(board))
    line = re.search(r'points="([^"]+)" class="line s0"', drawing)[1]  # the baseline has the first colour
    corners = [tuple(map(float, pair.split(","))) for pair in line.split()]
    # 96.0, 96.5, 95.0: level to the second, up there, level to the third.
    assert [corner[0] for corner in corners] == [52.0, 299.0, 299.0, 546.0]
    assert corners[0][1] == corners[1][1] > corners[2][1] == corners[3][1]
    dot = re.search(r'<circle cx="([^"]+)" cy="([^"]+)" r="4" class="setting-dot s0"', drawing)
    assert (float(dot[1]), round(float(dot[2]), 1)) == corners[2]
    assert drawing.count("<polyline") == 2 and "lost:" not in drawing  # nothing is known of the third


def test_a_setting_stands_at_its_value_on_the_scale_of_its_range(inputs):
    board = board_of(inputs_with_tuning(inputs))
    board["tuning"]["arms"]["plain"] = [
        {**one, "setting": {"optimizer.lr": rate}}
        for one, rate in zip(tried([90.0, 92.0, 91.0, None]), (0.01, 1.0, 0.1, 0.5), strict=True)
    ]
    board["tuning"]["arms"] = {"plain": board["tuning"]["arms"]["plain"], "lost": tried([None, None])}
    drawing = str(value_chart(board))
    dots = re.findall(r'<circle cx="([^"]+)" cy="([^"]+)" r="3.2" class="setting-dot s0"', drawing)
    (left, low), (middle, between), (right, high) = [tuple(map(float, dot)) for dot in dots]
    assert abs(2 * middle - left - right) < 0.05  # 0.1 lies half way between 0.01 and 1
    assert abs(2 * between - low - high) < 0.05 and high < low  # 91 between 90 and 92, upwards
    assert (
        ">0.01</text>" in drawing and ">1</text>" in drawing and "by its optimizer.lr, logarithmic" in drawing
    )
    board["tuning"]["space"] = {"plain": {"optimizer.lr": [0.01, 0.1, 1.0]}}
    assert not value_chart(board)  # choices are no scale
    board["tuning"]["space"] = {"plain": {"tricks.ema.decay": {"low": 0.1, "high": 0.9}}}
    assert not value_chart(board)  # which no setting has


def test_a_page_of_many_arms_and_settings_shows_the_best_and_says_so(inputs):
    made = inputs_with_tuning(inputs)
    values = [50.0 + (37 * k % 1000) / 100 for k in range(1000)]
    made.plan["tuning"]["trials"] = 1000
    made.plan["tuning"]["arms"] = {arm: tried(values) for arm in ("plain", "ema", "lost")}
    board = board_of(made)
    section = str(tuning_section(board))
    most = MOST_SETTINGS // 3
    shown = rows_of(section.split("<table")[2])
    assert len(shown) == most and f"The best {most}; {1000 - most} more in leaderboard.json." in section
    assert min(float(row[2]) for row in shown) >= sorted(values)[1000 - most]
    assert [int(row[0]) for row in shown] == sorted(int(row[0]) for row in shown)
    assert len(html(board).encode()) < 2_000_000


def test_what_was_searched_in_words():
    space = {
        "a": {"low": 0.0, "high": 0.3, "log": False, "step": 0.1},
        "b": [0.9, 0.99],
        "c": ["x\x1b[2J", True],
    }
    assert space_words(space) == "a from 0 to 0.3 in steps of 0.1, b 0.9 or 0.99, c x\\x1b[2J or true"

"""What a board says of tuning: what won, what it cost, every trial, and a winner at the end of its range."""

import copy

from harness.board.leaderboard import build
from harness.board.render import csv, html, json, markdown
from harness.board.tuning import setting_words, tuned_words, tuning_line


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
        "fresh replicates; 9e+09 FLOPs and 36 s of training in all."
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

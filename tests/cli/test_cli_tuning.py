"""`[tuning]` and the commands that do not search: each says at which settings it looks, and does so."""

import json

import pytest

from harness.cli.tuning import outlook_line, with_hours

TUNING = """
[tuning]
trials = 3
[tuning.space]
optimizer.lr = { low = 0.01, high = 0.5, log = true }
"""


@pytest.fixture
def suite(suite_text, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(suite_text + TUNING)
    return path


def test_a_check_takes_a_step_at_the_ends_of_the_search_too(harness, suite):
    smoothing = '[arms.smooth.tuning]\n"tricks.label-smoothing.smoothing" = [0.1, 0.3, 0.2]\n'
    suite.write_text(suite.read_text() + smoothing)
    done = harness("check", suite)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "plain: ok",
        "plain, tuning at optimizer.lr = 0.01: ok",
        "plain, tuning at optimizer.lr = 0.5: ok",
        "smooth: ok",
        "smooth, tuning at optimizer.lr = 0.01, tricks.label-smoothing.smoothing = 0.1: ok",
        "smooth, tuning at optimizer.lr = 0.5, tricks.label-smoothing.smoothing = 0.2: ok",
    ]
    assert "at its own setting and at both ends of what is searched" in done.stderr


def test_a_check_finds_what_breaks_at_one_end_alone(harness, suite, tmp_path):
    (tmp_path / "shift.py").write_text(PLUGIN)
    text = suite.read_text().replace('name = "tiny"', 'name = "tiny"\nplugins = ["./shift.py"]')
    text += '[arms.shift]\ntricks = [{ name = "shift", by = 1 }]\n'
    suite.write_text(text + '[arms.shift.tuning]\n"tricks.shift.by" = { low = 0, high = 3, step = 1 }\n')
    done = harness("check", suite, "--arms", "shift", "--json")
    assert done.returncode == 1
    told = [(one["setting"], one["error"]) for one in json.loads(done.stdout) if one.get("setting")]
    low, high = ({"optimizer.lr": rate, "tricks.shift.by": by} for rate, by in ((0.01, 0), (0.5, 3)))
    assert told[2] == (low, None) and told[3][0] == high and "by too much" in told[3][1]
    assert [one["arm"] for one in json.loads(done.stdout) if one["status"] == "failed"] == ["shift"]
    assert "1 of 2 arms do not work" in done.stderr  # the baseline is checked with it


PLUGIN = '''
"""A trick that works up to a point."""
from dataclasses import dataclass

from harness.contract import Slots, Trick, hookimpl


@dataclass(frozen=True)
class Shift(Trick):
    """Shifts."""

    by: int = 0

    def bind(self, ctx):
        if self.by > 2:
            raise ValueError("by too much")
        return Slots(gradients=lambda gradients: None)


@hookimpl
def harness_register(registry):
    registry.add("trick", "shift", Shift, summary="Shifts.")
'''


def test_the_hours_of_a_search_are_those_of_its_arms_trials():
    arms = [{"name": name, "cost": seconds and {"seconds": seconds}} for name, seconds in COSTS.items()]
    search = {"arms": ["plain", "smooth", "new"], "missing": 9}
    # Nine trials at the mean of 100 and 300 seconds, four at a time; what is not tuned does not count.
    assert with_hours(search, {"arms": arms, "jobs": 4})["hours"] == 9 * 200 / 4 / 3600
    assert with_hours({**search, "arms": ["new"]}, {"arms": arms, "jobs": 4})["hours"] is None
    assert with_hours({**search, "arms": ["new"], "missing": 0}, {"arms": arms, "jobs": 4})["hours"] == 0.0
    assert with_hours(None, {"arms": arms, "jobs": 4}) is None
    line = {"method": "tpe", "trials": 3, "replicates": 2, "total": 18, "reused": 9, **search, "hours": 0.125}
    assert outlook_line(line) == (
        "tuning first (tpe): 3 arms × 3 settings × 2 replicates = 18 trials, 9 reused, 9 to run in about 0.12 h; "
        "the arms below are at their own settings"
    )
    assert "9 to run in about 2.38 s;" in outlook_line({**line, "hours": 0.00066})


COSTS = {"plain": 100.0, "smooth": 300.0, "teacher": 9000.0, "new": None}


def test_a_preview_says_that_the_search_is_not_over(harness, suite, tmp_path):
    mixup = '[arms.mix]\naugmentations = [{ name = "mixup", alpha = 0.5 }]\n'
    suite.write_text(suite.read_text() + mixup)
    done = harness("preview", suite, "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert "shown at their own settings; preview again when the search is over" in done.stdout


def test_a_gate_says_that_it_measures_what_the_suite_writes(harness, suite, suite_text, tmp_path):
    note = "note: the suite tunes, and this searches nothing: it measures both commits at the settings"
    # There is no repository here: what is told comes before anything is built.
    done = harness("gate", suite, "--base", "HEAD", cwd=tmp_path)
    assert done.returncode == 2 and note in done.stderr
    suite.write_text(suite_text)
    assert "tunes" not in harness("gate", suite, "--base", "HEAD", cwd=tmp_path).stderr


@pytest.mark.slow
def test_copies_of_the_baseline_are_at_the_suites_own_setting_and_it_is_said(harness, suite, tmp_path):
    text = suite.read_text().replace("verdicts = false", "").replace("rounds = 1", "rounds = 0")
    suite.write_text(text.replace("replicates = 1", "replicates = 6").replace("epochs = 1", "steps = 2"))
    done = harness("aa", suite, "--copies", 1, "--results", tmp_path / "results")
    assert done.returncode in (0, 1, 3), done.stderr
    assert "note: the suite tunes, and this searches nothing: it copies the baseline" in done.stderr
    (board,) = (tmp_path / "results").glob("*/leaderboard.json")
    rates = {row["recipe"]["optimizer"][0]["params"]["lr"] for row in json.loads(board.read_bytes())["rows"]}
    assert rates == {0.1}


def test_a_wrong_number_of_trials_is_one_line_that_names_the_key(harness, suite):
    suite.write_text(suite.read_text().replace("trials = 3", "trials = 0"))
    done = harness("plan", suite)
    (line,) = [line for line in done.stderr.splitlines() if "tuning" in line]
    assert done.returncode == 2 and "tuning.trials: must be at least 2, not 0" in line


def test_the_disk_that_a_plan_forecasts_holds_the_search(harness, suite, suite_text, tmp_path):
    plain = tmp_path / "plain.toml"
    plain.write_text(suite_text.replace('name = "tiny"', 'name = "untuned"'))
    results = ("--results", tmp_path / "results", "--json", "--jobs", 1)
    tuned, without = (json.loads(harness("plan", path, *results).stdout) for path in (suite, plain))
    assert tuned["tuning"]["missing"] == 6  # two arms, three settings
    assert tuned["disk_bytes"] - without["disk_bytes"] == 6 * 20_000

"""`harness aa`: the baseline of a suite against copies of itself, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parents[2] / "benchmarks" / "suites" / "aa-digits.toml"


def board_of(folder):
    return json.loads((folder / "leaderboard.json").read_text())


@pytest.mark.slow
def test_copies_run_in_a_folder_of_their_own_and_the_exit_code_is_the_verdict(place):
    path = place.suite("[arms.other]\noptimizer = { lr = 0.5 }\n".replace("{ lr", '{ name = "toy-sgd", lr'))
    path.write_text(path.read_text().replace("alpha = 0.5", "alpha = 0.05"))
    arguments = ("aa", "toy.toml", "--copies", "1", "--replicates", "6", "--device", "cpu")
    running = place.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    told, errors = running.communicate(timeout=300)
    folder = place.folder / "results" / "toy-aa"
    board = board_of(folder)
    verdict = board["calibration"]["verdict"]
    assert running.returncode == {"calibrated": 0, "not calibrated": 1}[verdict], errors
    # Exploratory as the suite is, copies get verdicts; its other arms have no part in this.
    assert sorted(row["arm"] for row in board["rows"]) == ["plain", "plain-aa"]
    assert board["calibration"]["copies"][0]["verdict"]
    assert "1 copy of plain, 6 replicates each" in told
    assert f"{verdict}: " in told.splitlines()[-1]
    records = [json.loads(one.read_text()) for one in folder.glob("trials/*/*.json")]
    assert len(records) == 12
    for key in ("order", "initial_weights", "final_weights"):
        assert len({record["digests"][key] for record in records}) == 12
    assert not (place.folder / "results" / "toy").exists()


def test_so_few_replicates_that_nothing_could_be_told_are_refused(place):
    place.suite()
    done = place.run("aa", "toy.toml", "--copies", "20", "--replicates", "3", code=2)
    assert "give --replicates 7, or fewer --copies" in done.stderr
    assert not (place.folder / "results").exists()


@pytest.mark.slow
def test_twenty_copies_on_real_digits_stay_within_the_band(tmp_path):
    """210 trials, three to four minutes on two cores: the whole path from suite file to verdict, where nothing is."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", "aa", str(SUITE), "--copies", "20", "--results", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stderr[-3000:]
    told = board_of(tmp_path / "aa-digits-aa")["calibration"]
    assert told["verdict"] == "calibrated"
    assert told["accuracy"]["copies"] == 20
    assert told["accuracy"]["beyond"] <= told["accuracy"]["band"] == 5
    assert {split["by"] for split in told["splits"] if split["differs"] is False} >= {"time"}

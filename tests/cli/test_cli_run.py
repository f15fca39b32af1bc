"""From a suite file to a leaderboard, through the command line, with the real engine on a hundred digits."""

import csv
import io
import json

import pytest

TRICK = '''
"""Two tricks: one that works and one that does not."""
from dataclasses import dataclass
from harness.contract import Slots, Trick, hookimpl

@dataclass(frozen=True)
class Halve(Trick):
    """Halve the gradients."""
    def bind(self, ctx):
        def gradients(all_gradients):
            for gradient in all_gradients:
                gradient.mul_(0.5)
        return Slots(gradients=gradients)

@dataclass(frozen=True)
class Breaks(Trick):
    """Raise in the step."""
    def bind(self, ctx):
        def gradients(all_gradients):
            raise RuntimeError("gradients are not for me")
        return Slots(gradients=gradients)

@hookimpl
def harness_register(registry):
    registry.add("trick", "halve", Halve, summary="half of every gradient")
    registry.add("trick", "breaks", Breaks, summary="nothing but an error")
'''


def snapshot(folder):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def finished(harness, suite_text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(suite_text)
    done = harness("run", "tiny.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_a_run_ends_in_a_leaderboard(finished):
    folder, done = finished
    assert "plain" in done.stdout
    assert "smooth" in done.stdout
    results = folder / "results" / "tiny"
    assert str(results.relative_to(folder) / "leaderboard.html") in done.stdout
    board = json.loads((results / "leaderboard.json").read_text())
    assert {row["arm"] for row in board["rows"]} == {"plain", "smooth"}
    assert len(list(csv.DictReader(io.StringIO((results / "leaderboard.csv").read_text())))) == 2
    assert len(list((results / "trials").glob("*/0.json"))) == 2
    assert len(list((results / "timings").glob("*/0-*.json"))) == 2


def test_a_second_run_trains_nothing_and_changes_no_byte(finished, harness):
    folder, first = finished
    before = snapshot(folder / "results")
    done = harness("run", "tiny.toml", cwd=folder)
    assert done.returncode == 0
    assert not done.torch
    assert "0 trials run, 2 had a record" in done.stderr
    assert done.stdout == first.stdout
    assert snapshot(folder / "results") == before


def test_the_leaderboard_is_rebuilt_byte_for_byte(finished, harness):
    folder, _ = finished
    results = folder / "results" / "tiny"
    before = {path.name: path.read_bytes() for path in results.glob("leaderboard.*")}
    assert len(before) == 5
    for path in results.glob("leaderboard.*"):
        path.unlink()
    done = harness("leaderboard", cwd=folder, PYTHONHASHSEED="7", TZ="Asia/Tokyo", LC_ALL="C")
    assert done.returncode == 0
    assert not done.torch
    assert {path.name: path.read_bytes() for path in results.glob("leaderboard.*")} == before
    as_json = harness("leaderboard", "results/tiny", "--json", cwd=folder)
    assert json.loads(as_json.stdout) == json.loads(before["leaderboard.json"])


def test_a_damaged_record_is_run_again_alone(finished, harness):
    folder, _ = finished
    record = next((folder / "results" / "tiny" / "trials").glob("*/0.json"))
    whole = record.read_bytes()
    try:
        record.write_bytes(whole[:-100])
        summary = json.loads(harness("plan", "tiny.toml", "--json", cwd=folder).stdout)
        assert (summary["reused"], summary["missing"], summary["set_aside"]) == (1, 1, 1)
    finally:
        record.write_bytes(whole)


def test_a_folder_with_a_plan_and_no_record_has_nothing_to_compare(finished, harness, tmp_path):
    import shutil

    shutil.copytree(finished[0] / "results" / "tiny" / "plans", tmp_path / "tiny" / "plans")
    assert harness("leaderboard", tmp_path / "tiny").returncode == 3


def test_a_trick_that_fails_is_a_row_and_exit_5(harness, suite_text, tmp_path):
    (tmp_path / "mine.py").write_text(TRICK)
    text = suite_text.replace("[budget]", 'plugins = ["mine.py"]\n[budget]', 1)
    (tmp_path / "tiny.toml").write_text(text + '[arms.broken]\ntricks = ["breaks"]\n')
    check = harness("check", "tiny.toml", "--json", cwd=tmp_path)
    assert check.returncode == 1
    assert {one["arm"]: one["status"] for one in json.loads(check.stdout)} == {
        "plain": "ok",
        "smooth": "ok",
        "broken": "failed",
    }
    assert not check.torch
    done = harness("run", "tiny.toml", "--arms", "broken", cwd=tmp_path)
    assert done.returncode == 5
    assert "gradients are not for me" in done.stderr
    board = json.loads((tmp_path / "results" / "tiny" / "leaderboard.json").read_text())
    assert {row["arm"] for row in board["rows"]} == {"plain", "broken"}
    assert harness("run", "tiny.toml", "--arms", "broken", cwd=tmp_path).returncode == 5


def test_an_arm_that_cannot_be_resolved_stops_a_run_unless_it_is_to_keep_going(harness, suite_text, tmp_path):
    (tmp_path / "tiny.toml").write_text(suite_text + '[arms.gone]\ntricks = ["no-such-trick"]\n')
    done = harness("run", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "no-such-trick" in done.stderr
    assert not (tmp_path / "results").exists()
    done = harness("plan", "tiny.toml", "--keep-going", "--json", cwd=tmp_path)
    assert {arm["name"]: bool(arm["failure"]) for arm in json.loads(done.stdout)["arms"]} == {
        "plain": False,
        "smooth": False,
        "gone": True,
    }


@pytest.mark.parametrize(
    ("replicates", "told"),
    [
        ("1", "probe: none, nothing is left to run"),
        ("2", "probe: none, every arm that is left to run has a record"),
    ],
)
def test_a_plan_probes_nothing_that_records_tell(finished, harness, replicates, told):
    folder, _ = finished
    done = harness("plan", "tiny.toml", "--probe", "--replicates", replicates, "--json", cwd=folder)
    assert done.stderr == told
    summary = json.loads(done.stdout)
    assert {arm["cost"]["source"] for arm in summary["arms"]} == {"records"}
    assert (summary["hours"] > 0) == (replicates == "2")


UNFIT = """
from dataclasses import dataclass
from typing import Annotated
from annotated_types import Interval
from harness.contract import Trick, hookimpl

@dataclass(frozen=True)
class Fading(Trick):
    start: Annotated[float, Interval(ge=0, lt=1)] = 1.5

@dataclass(frozen=True)
class Lonely(Trick):
    requires = frozenset({"company"})

@hookimpl
def harness_register(registry):
    registry.add("trick", "fading", Fading, summary="a default out of its own range")
    registry.add("trick", "lonely", Lonely, summary="needs what nobody provides")
"""


def test_what_try_finds_wrong_is_told_of_the_plugin_and_not_of_a_suite_that_is_gone(harness, tmp_path):
    (tmp_path / "mine.py").write_text(UNFIT)
    done = harness("try", "mine.py", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        "mine.py: trick fading: start: the plugin's own default is wrong: must be less than 1, not 1.5"
        in done.stderr.splitlines()
    )
    assert "try.toml" not in done.stderr and "arms." not in done.stderr
    (tmp_path / "mine.py").write_text(UNFIT.replace("1.5", "0.5"))
    done = harness("try", "mine.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("mine.py: trick lonely: ") and "company" in done.stderr


@pytest.mark.slow
def test_try_shows_each_component_of_a_file_against_the_baseline(harness, tmp_path):
    (tmp_path / "mine.py").write_text(TRICK)
    done = harness("try", "mine.py", cwd=tmp_path)
    assert done.returncode == 5  # one of the two breaks
    for arm in ("baseline", "trick-halve", "trick-breaks"):
        assert arm in done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.py"]

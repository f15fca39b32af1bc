"""Damaged records, odd results folders, two runs at once, and readers that go away."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.contract.hooks import HookSpecs

pytestmark = pytest.mark.slow

ARMS = '[arms.penalty]\ntricks = ["toy-penalty"]\n[arms.noise]\naugmentations = ["toy-noise"]\n'

HOOKS = '''
"""All four hooks: each writes a line beside this file."""
import os
from pathlib import Path
from harness.contract import hookimpl

def note(*words):
    with (Path(__file__).parent / "hooks.log").open("a") as file:
        print(os.getpid(), *words, file=file)

@hookimpl
def harness_register(registry):
    pass

@hookimpl
def harness_suite_started(suite, trials):
    note("harness_suite_started", suite["suite"], len(trials))

@hookimpl
def harness_trial_finished(trial, record):
    note("harness_trial_finished", trial.arm, record["status"])
    raise RuntimeError("a hook that raises ends no run")

@hookimpl
def harness_board_built(board):
    note("harness_board_built", len(board["rows"]))
'''


@pytest.fixture(scope="module")
def finished(new_place):
    place = new_place()
    place.write("hooks.py", HOOKS)
    place.suite(ARMS, plugins=["hooks.py"])
    place.warned = place.run("run", "toy.toml").stderr
    return place


def test_every_hook_is_called_in_the_launcher(finished):
    lines = [line.split() for line in (finished.folder / "hooks.log").read_text().splitlines()]
    first_run = lines[: next(i for i, line in enumerate(lines) if line[1] == "harness_board_built") + 1]
    assert {line[0] for line in first_run} == {first_run[0][0]}
    assert first_run[0][1:] == ["harness_suite_started", "toy", "3"]
    assert sorted(line[2] for line in first_run[1:-1]) == ["noise", "penalty", "plain"]
    assert {line[1] for line in first_run[1:-1]} == {"harness_trial_finished"}
    assert first_run[-1][1:] == ["harness_board_built", "3"]
    called = {line[1] for line in first_run} | {"harness_register"}
    assert called == {name for name in vars(HookSpecs) if name.startswith("harness_")}
    assert "a hook that raises ends no run" in finished.warned


def damage_truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


def damage_empty(path):
    path.write_bytes(b"")


def damage_edited(path):
    record = json.loads(path.read_text())
    record["results"]["test"]["top1"] = 100.0
    record["note"] = "edited"
    path.write_text(json.dumps(record))


def damage_flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage_duplicated(path):
    shutil.copy(path, path.with_name("1.json"))


DAMAGES = [damage_truncated, damage_empty, damage_edited, damage_flipped, damage_duplicated]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_record_is_set_aside_counted_and_run_again(finished, new_place, damage):
    place = new_place()
    shutil.copytree(finished.folder / "results", place.folder / "results")
    shutil.copy(finished.folder / "hooks.py", place.folder)
    shutil.copy(finished.folder / "toy.toml", place.folder)
    whole = finished.completed()["penalty", 0]
    path = place.results / "trials" / whole["trial"] / "0.json"
    damage(path)
    damaged = path.read_bytes()

    place.run("leaderboard", place.results)
    (aside,) = place.board()["set_aside"]
    counted = "1.json" if damage is damage_duplicated else "0.json"
    assert aside["path"] == f"trials/{whole['trial']}/{counted}"
    assert aside["reason"]
    for suffix in ("md", "html"):
        assert "set aside" in (place.results / f"leaderboard.{suffix}").read_text().lower()
    if damage is damage_duplicated:
        assert place.rows()["penalty"]["replicates"]["good"] == 1
        return
    assert place.rows()["penalty"]["replicates"]["missing"] == 1
    assert place.rows()["noise"]["replicates"]["good"] == 1

    done = place.run("run", "toy.toml")
    assert "1 trials run, 2 had a record" in done.stderr
    again = json.loads(path.with_name("1.json").read_text())
    assert again["digests"] == whole["digests"]
    assert path.read_bytes() == damaged
    assert len(place.board()["set_aside"]) == 1


def test_a_file_in_the_place_of_the_results_is_refused(place):
    place.suite(ARMS)
    place.write("results", "not a folder")
    done = place.run("run", "toy.toml", code=2)
    assert "results" in done.stderr
    assert (place.folder / "results").read_text() == "not a folder"
    (place.folder / "other").mkdir()
    (place.folder / "other" / "toy").write_text("no folder either")
    assert "other/toy" in place.run("run", "toy.toml", "--results", "other", code=2).stderr


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc, which nobody can write to")
def test_a_results_folder_that_cannot_be_written_is_refused_before_training(place):
    place.suite(ARMS)
    done = place.run("run", "toy.toml", "--results", "/proc/self", code=2)
    assert "/proc/self" in done.stderr
    assert "to run" not in done.stderr


def test_a_second_run_on_one_folder_is_refused_and_names_the_first(place):
    place.suite(ARMS, epochs=2000)
    first = place.start("run", "toy.toml", "--jobs", "1")
    deadline = time.monotonic() + 60
    while not place.trial_processes():
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.1)
    done = place.run("run", "toy.toml", code=2)
    assert f"in use by process {first.pid}" in done.stderr
    assert "run toy.toml --jobs 1" in done.stderr
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 130
    assert place.all_gone()
    # What it left is free again, and a preempted trial is held against nobody.
    assert json.loads(place.run("plan", "toy.toml", "--json").stdout)["missing"] == 3


def through_head(place, *arguments):
    command = " ".join([f"'{sys.executable}' -m harness", *arguments, "| head -1; exit ${PIPESTATUS[0]}"])
    return subprocess.run(
        ["bash", "-c", command],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_reader_that_goes_away_ends_no_run(place):
    place.suite(ARMS)
    done = through_head(place, "run", "toy.toml")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert len(place.completed()) == 3
    assert len(list(place.results.glob("leaderboard.*"))) == 5
    before = place.snapshot()
    place.run("run", "toy.toml")
    assert place.snapshot() == before


def test_progress_into_a_pipe_that_is_closed_ends_no_run(place):
    place.suite(ARMS)
    process = place.start("run", "toy.toml", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stderr.close()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert len(place.completed()) == 3


@pytest.mark.parametrize(
    "command", [("list",), ("schema",), ("show", "mixup"), ("list", "--json")], ids=" ".join
)
def test_head_is_no_error(place, command):
    done = through_head(place, *command)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1

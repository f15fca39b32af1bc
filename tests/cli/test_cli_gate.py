"""The gate from the command line, on a git repository whose `harness` is a fake that measures what it is told."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

FINE = (0, 4)
"""Of a state against itself: a busy machine may be too noisy to say."""


@pytest.fixture
def gate(harness, tmp_path, monkeypatch):
    """Return a function that runs `harness gate` in the fake repository; no temporary file may stay."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "launch"))
    from gate_fakes import Repository

    repository = Repository(tmp_path / "repository")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # The tool itself must not import the fake of the folder that it stands in.
    settings = {"PYTHONSAFEPATH": "1", "TMPDIR": str(scratch)}

    def run(*arguments, cwd=repository.root, **environment):
        done = harness("gate", *arguments, cwd=cwd, **settings, **environment)
        assert list(scratch.iterdir()) == []
        return done

    run.repository, run.settings, run.scratch = repository, settings, scratch
    return run


def against_itself(gate, *arguments):
    return gate("suite.toml", "--base", "HEAD", "--candidate", "HEAD", "--rounds", "9", *arguments)


def test_a_commit_against_itself_is_no_regression_and_the_report_comes_in_every_form(gate, tmp_path):
    gate.repository.commit(plain={})
    files = {name: tmp_path / "out" / f"report.{name}" for name in ("json", "junit", "markdown")}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    done = against_itself(gate, *options, "--history", tmp_path / "history")
    assert done.returncode in FINE, done.stdout + done.stderr
    assert "plain/step_seconds" in done.stdout
    report = json.loads(files["json"].read_text())
    assert report["exit_code"] == done.returncode
    assert {row["base_count"] for row in report["rows"]} == {9}
    assert report["base"]["commit"] == gate.repository.git("rev-parse", "HEAD").strip()
    assert len(ElementTree.parse(files["junit"]).getroot().findall(".//testcase")) == len(report["rows"])
    assert "plain/step" in files["markdown"].read_text()
    [history] = (tmp_path / "history").glob("*.jsonl")
    assert len(history.read_text().splitlines()) == 1
    ElementTree.parse(history.with_suffix(".svg"))

    shown = gate("--history", tmp_path / "history")
    assert shown.returncode == 0
    assert "plain/peak_resident_bytes: 1 points" in shown.stdout


def test_json_on_standard_output_is_alone_there(gate):
    gate.repository.commit(plain={})
    done = against_itself(gate, "--json", "-")
    assert json.loads(done.stdout)["exit_code"] == done.returncode
    assert "plain/step_seconds" in done.stderr


@pytest.mark.parametrize(
    ("change", "name"),
    [({"step": 0.001}, "plain/step_seconds"), ({"memory": 212 * 2**20}, "plain/peak_resident_bytes")],
)
def test_a_planted_regression_in_the_working_tree_is_measured_twice_and_fails(gate, tmp_path, change, name):
    gate.repository.commit(plain={})
    gate.repository.plant(plain=change)
    file = tmp_path / "report.json"
    done = gate("suite.toml", "--base", "HEAD", "--json", file)
    assert done.returncode == 1, done.stdout + done.stderr
    row = next(row for row in json.loads(file.read_text())["rows"] if row["name"] == name)
    assert (row["verdict"], row["confirmed"]) == ("regression", True)
    assert "measured again" in row["reason"]


def test_lost_accuracy_fails(gate):
    gate.repository.commit(plain={"top1": 90.0})
    gate.repository.plant(plain={"top1": 89.0})
    done = gate("suite.toml", "--base", "HEAD", "--rounds", "9", "--accuracy", "5")
    assert done.returncode == 1
    assert "plain/top1" in done.stdout


def test_a_vanished_arm_is_listed_and_is_no_pass(gate):
    gate.repository.commit(plain={}, renamed={})
    gate.repository.commit(plain={}, other={})
    done = gate("suite.toml", "--base", "HEAD~1", "--candidate", "HEAD", "--rounds", "9")
    assert done.returncode in (3, 4)
    assert "renamed/step_seconds: vanished" in done.stdout


def test_an_arm_that_fails_on_one_side_is_five(gate):
    gate.repository.commit(plain={}, bad={})
    gate.repository.plant(plain={}, bad={"fails": "ValueError: no"})
    done = gate("suite.toml", "--base", "HEAD", "--rounds", "9")
    assert done.returncode == 5
    assert "ValueError: no" in done.stdout


def test_when_nothing_can_be_measured_it_is_five_with_the_reason(gate):
    gate.repository.commit(plain={"broken": "there is no trick"})
    done = against_itself(gate)
    assert done.returncode == 5
    assert "there is no trick" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give one of"),
        (["suite.toml"], 2, "give one of"),
        (["a", "b", "--base", "HEAD"], 2, "give one of"),
        (["suite.toml", "--base", "no-such"], 2, 'no commit "no-such"'),
        (["absent.toml", "--base", "HEAD"], 2, "no such suite file"),
        (["suite.toml", "--base", "HEAD", "--rounds", "8"], 2, "can never find a regression"),
        (["suite.toml", "--base", "HEAD", "--accuracy", "2"], 2, "at least 5"),
        (["suite.toml", "--base", "HEAD", "--arms", "plane"], 2, 'did you mean "plain"'),
        (["new.toml", "--base", "HEAD"], 3, "new.toml is not in the base"),
        (["nothing-a", "nothing-b"], 2, "nothing-a"),
        (["--history", "nothing"], 3, "no history yet"),
    ],
)
def test_a_command_that_cannot_be_held_says_what_is_wrong(gate, arguments, code, said):
    gate.repository.commit(plain={})
    gate.repository.write("new.toml", 'name = "new"\n')
    done = gate(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert said in done.stderr
    assert not done.torch


def test_outside_of_a_repository(gate, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    done = gate("suite.toml", "--base", "HEAD", cwd=outside)
    assert done.returncode == 2
    assert "not in a git repository" in done.stderr


def test_empty_result_folders_are_nothing_measured(gate, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert gate(tmp_path / "a", tmp_path / "b").returncode in (2, 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_process_and_no_file(gate, number):
    gate.repository.commit(plain={"hangs": "at the start"})
    command = [sys.executable, "-m", "harness", "gate", "suite.toml", "--base", "HEAD"]
    environment = {**os.environ, **gate.settings}
    process = subprocess.Popen(
        command, cwd=gate.repository.root, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stderr.readline()
        while "warm-up" not in line:
            assert line, process.wait()
            line = process.stderr.readline()
        children = _drivers(process.pid)
        process.send_signal(number)
        process.send_signal(number)  # a second one does not keep it from cleaning up
        assert process.wait(timeout=30) == 130
        assert "interrupted" in process.stderr.read()
        assert children
        assert not [child for child in children if _is_alive(child)]
        assert list(gate.scratch.iterdir()) == []
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _is_alive(child):
    """Whether a process still runs. One that has ended is there, as a zombie, until its parent has asked after it."""
    import psutil

    try:
        return child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _drivers(pid):
    import psutil

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = psutil.Process(pid).children()
        if len(found) == 2:
            return found
        time.sleep(0.02)
    return []

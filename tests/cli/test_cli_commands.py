"""The commands that train nothing: what they print, what they exit with, and that torch stays out."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def suite(tmp_path, suite_text):
    path = tmp_path / "tiny.toml"
    path.write_text(suite_text)
    return path


def test_help_tells_of_every_command(harness):
    done = harness("--help")
    assert done.returncode == 0
    for command in ("run", "try", "plan", "check", "list", "show", "leaderboard", "schema"):
        assert f"  {command} " in done.stdout
        help_text = harness(command, "--help").stdout
        assert f"harness {command}" in help_text
    assert not done.torch


def test_version_is_the_distributions(harness):
    from importlib.metadata import version

    assert harness("--version").stdout == f"harness {version('harness-bench')}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lsit"], "'list'"),
        (["run"], "SUITE"),
        (["run", "nope.toml"], "nope.toml"),
        (["run", "nope.toml", "--replicates", "0"], "replicates"),
        (["list", "trik"], 'did you mean "trick"'),
        (["show", "mixupp"], 'did you mean "mixup"'),
        (["leaderboard", "nowhere"], "there is no folder nowhere"),
        (["leaderboard", "."], "holds no plan"),
        (["try", "nope.py"], "nope.py"),
        (["schema", "--nope"], "--nope"),
    ],
)
def test_a_usage_error_is_told_without_a_traceback(harness, tmp_path, arguments, told):
    done = harness(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not done.torch


def test_all_errors_of_a_suite_come_at_once(harness, suite):
    suite.write_text(
        suite.read_text().replace('"label-smoothing"', '"label-smothing"').replace("width = 4", 'width = "4"')
    )
    done = harness("plan", suite)
    assert done.returncode == 2
    assert "label-smoothing" in done.stderr
    assert "width" in done.stderr
    assert len(done.stderr.splitlines()) >= 2
    assert all(line.startswith(str(suite)) for line in done.stderr.splitlines())


def test_list_as_json_is_a_list_of_objects(harness):
    done = harness("list", "--json")
    entries = json.loads(done.stdout)
    assert {"kind": "augmentation", "name": "mixup"}.items() <= next(
        e for e in entries if e["name"] == "mixup"
    ).items()
    for entry in entries:
        assert {"kind", "name", "source", "status", "summary"} <= set(entry)
    assert not done.torch
    tricks = json.loads(harness("list", "trick", "--json").stdout)
    assert {entry["kind"] for entry in tricks} == {"trick"}


def test_show_tells_parameters_stage_and_paper(harness):
    done = harness("show", "mixup")
    assert done.returncode == 0
    for text in ("alpha", "at least 0", "default 0.2", "MIX", "Zhang", "alpha = 0"):
        assert text in done.stdout
    assert not done.torch
    (one,) = json.loads(harness("show", "mixup", "--json").stdout)
    assert one["parameters"]["alpha"]["default"] == 0.2


def test_a_broken_plugin_file_is_told_with_the_end_of_its_traceback(harness, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import does_not_exist\n")
    done = harness("try", file)
    assert done.returncode == 2
    assert "does_not_exist" in done.stderr
    assert 'File "' in done.stderr  # the plugin's traceback, not ours
    assert "harness/cli" not in done.stderr


def test_plan_counts_trials_and_says_why_there_is_no_verdict(harness, suite, tmp_path):
    done = harness("plan", suite, "--json", "--replicates", "3", "--results", tmp_path / "results")
    summary = json.loads(done.stdout)
    assert (summary["trials"], summary["missing"], summary["reused"]) == (6, 6, 0)
    assert summary["needed_replicates"] == 6  # ceil(log2(2 * 1 / 0.05))
    assert summary["verdicts"] is False
    assert not done.torch
    assert not (tmp_path / "results").exists()
    text = harness("plan", suite, "--replicates", "3").stdout
    assert "6 trials, 0 reused, 6 to run" in text
    assert "exploratory" in text


def test_arms_narrow_a_plan_and_keep_the_baseline(harness, suite):
    summary = json.loads(harness("plan", suite, "--json", "--arms", "smooth").stdout)
    assert [arm["name"] for arm in summary["arms"]] == ["plain", "smooth"]
    summary = json.loads(harness("plan", suite, "--json", "--arms", "plain").stdout)
    assert [arm["name"] for arm in summary["arms"]] == ["plain"]
    done = harness("plan", suite, "--arms", "smoth")
    assert done.returncode == 2
    assert "smooth" in done.stderr


def test_the_schema_is_one_and_knows_the_plugins(harness):
    import jsonschema

    done = harness("schema")
    schema = json.loads(done.stdout)
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert "label-smoothing" in done.stdout
    assert not done.torch


def test_a_reader_that_goes_away_is_no_error(cache):
    environment = {**os.environ, "HARNESS_CACHE": str(cache)}
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""


def test_control_characters_in_a_message_do_not_reach_the_terminal(harness, suite):
    done = harness("plan", suite, "--arms", "a\x1b[31mb")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["completion", "bash"]])
def test_help_imports_the_command_line_alone(harness, arguments):
    """Its time is held by benchmarks/gates/test_cli_start.py; what it is spent on is held here."""
    done = harness(*arguments)
    assert done.returncode == 0
    ours = {name.partition(".")[2].partition(".")[0] for name in done.modules if name.startswith("harness.")}
    assert ours == {"cli", "errors"}
    others = {name.partition(".")[0] for name in done.modules} - sys.stdlib_module_names
    assert not others & {"numpy", "pluggy", "rich", "scipy", "jinja2", "harness_plugins"}


@pytest.mark.parametrize("arguments", [["list"], ["show", "mixup"], ["list", "--json"]])
def test_what_is_installed_is_told_without_boards_and_without_tensors(harness, arguments):
    done = harness(*arguments)
    assert done.returncode == 0
    assert not done.modules & {
        "numpy", "torch", "scipy", "timm", "harness.board.leaderboard", "harness.board.render", "harness.engine"
    }  # fmt: skip
    loaded = {name for name in done.modules if name.startswith("harness_plugins.") and name.count(".") == 2}
    assert loaded <= {"harness_plugins.augmentations.mixup", "harness_plugins.augmentations.beta"}

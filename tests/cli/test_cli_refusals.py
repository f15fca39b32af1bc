"""What a command line or a folder has wrong is told in one line, before anything is run."""

import pytest


@pytest.fixture(scope="module")
def place(made_results, suite_text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refusals")
    made_results(folder / "results" / "s", (0, 1))
    (folder / "results" / "empty").mkdir()
    (folder / "tiny.toml").write_text(suite_text)
    (folder / "a file").write_text("text")
    return folder


REFUSED = {
    "no such folder": (("leaderboard", "results/nope"), "there is no folder results/nope"),
    "a file": (("leaderboard", "tiny.toml"), "tiny.toml is a file; name the folder of a suite"),
    "an empty folder": (("leaderboard", "results/empty"), "results/empty holds no plan"),
    "two outputs": (("leaderboard", "results/s", "--json", "--format", "csv"), "ask for two outputs"),
    "another format": (
        ("leaderboard", "results/s", "--format", "pdf"),
        "Invalid value for '--format': 'pdf' is not one of",
    ),
    "no replicates": (
        ("plan", "tiny.toml", "--replicates", "0"),
        "Invalid value for '--replicates': must be greater than or equal to 1",
    ),
    "commas for arms": (("plan", "tiny.toml", "--arms", ",,"), "--arms names no arm (arms: "),
    "nothing for arms": (("plan", "tiny.toml", "--arms", ""), "--arms names no arm (arms: "),
    "a folder to try": (("try", "results"), "is a folder; name a plugin file in it"),
    "nothing to try": (("try", "gone.py"), "there is no file"),
    "a plan into a file": (
        ("plan", "tiny.toml", "--results", "a file"),
        "a file: a file stands where a folder should be",
    ),
    "a plan below a file": (
        ("plan", "tiny.toml", "--results", "a file/below"),
        "a file: a file stands where a folder should be",
    ),
    "another device": (
        ("run", "tiny.toml", "--device", "tpu"),
        "Invalid value for '--device': no device is called \"tpu\"",
    ),
    "a GPU without a number": (("check", "tiny.toml", "--device", "cuda:"), 'no device is called "cuda:"'),
    "another device again": (("reproduce", "plain", "--device", "gpu"), 'no device is called "gpu"'),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_is_refused_in_one_line(harness, place, what):
    arguments, told = REFUSED[what]
    done = harness(*arguments, cwd=place)
    assert done.returncode == 2, done.stdout
    line = done.stderr.splitlines()[-1]
    assert told in line and "Value error" not in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and not done.torch


def test_a_board_as_json_may_be_asked_for_twice(harness, place):
    done = harness("leaderboard", "results/s", "--json", "--format", "json", cwd=place)
    assert done.returncode == 0 and done.stdout.startswith("{")


def test_an_edited_plan_is_refused_by_the_leaderboard(harness, made_results, tmp_path):
    made_results(tmp_path / "s", (0, 1))
    (path,) = (tmp_path / "s" / "plans").glob("*.json")
    path.write_text(path.read_text().replace('"alpha": 0.05', '"alpha": 0.5'))
    done = harness("leaderboard", "s", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert "the plan was edited or damaged after it was written" in done.stderr.splitlines()[-1]

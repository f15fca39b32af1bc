"""What the README shows works: its plugin, its suite, its commands."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


@pytest.mark.slow
def test_the_plugin_of_the_readme_can_be_tried(place):
    (text,) = blocks("python")
    place.write("my_trick.py", text)
    done = place.run("try", "my_trick.py")
    assert "baseline" in done.stdout
    assert "trick-fading-smoothing" in done.stdout
    assert "2 trials run" in done.stderr
    assert [path.name for path in place.folder.iterdir()] == ["my_trick.py"]


def test_the_suite_of_the_readme_is_valid_and_can_be_planned(place):
    text, *_ = blocks("toml")
    schema = json.loads(place.run("schema").stdout)
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads(text))
    wrong = tomllib.loads(text.replace("smoothing = 0.1", "smothing = 0.1"))
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)


def test_the_graph_of_the_readme_is_valid_and_its_plan_says_who_needs_whom(place):
    _, text, _ = blocks("toml")
    schema = json.loads(place.run("schema").stdout)
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads(text))
    place.write("graph.toml", text)
    lines = place.run("plan", "graph.toml").stdout.splitlines()
    assert "  teacher (not compared): 0 of 7 have a record" in lines
    assert "  distilled (teacher teacher): 0 of 7 have a record" in lines
    assert "  continued (init distilled): 0 of 7 have a record" in lines
    assert "verdicts: yes" in lines


def test_the_study_of_the_readme_is_valid_and_its_plan_says_what_is_tuned_and_in_which_cells(place):
    *_, text = blocks("toml")
    schema = json.loads(place.run("schema").stdout)
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads(text))
    place.write("study.toml", text)
    lines = place.run("plan", "study.toml").stdout.splitlines()
    assert lines[0].startswith("tuning first (quasi-random): 4 arms × 4 settings = 16 trials")
    assert [line.split(":")[0].strip() for line in lines[2:8]] == [
        "plain (baseline, batch_size 32)",
        "plain-aa (batch_size 32)",
        "smoothing (batch_size 32)",
        "plain.1 (baseline, batch_size 64)",
        "plain.1-aa (batch_size 64)",
        "smoothing.1 (batch_size 64)",
    ]
    assert "verdicts: yes" in lines


@pytest.mark.slow
def test_the_graph_of_the_readme_trains_and_shows_what_its_parents_cost(place):
    _, text, _ = blocks("toml")
    place.write("graph.toml", text.replace("epochs = 8\n", "epochs = 1\n\n[timing]\nrounds = 0\n"))
    done = place.run("run", "graph.toml", "--replicates", "1", "--jobs", "2")
    assert "4 trials run" in done.stderr
    (told,) = re.findall(r"\(`([\d.]+× \+ [\d.]+×)`\)", README)
    board = (place.folder / "results" / "graph" / "leaderboard.md").read_text()
    # Costs are in multiples of the baseline's, so that they are the same at any budget.
    assert told in board


def test_the_commands_of_the_readme_exist(place):
    named = set(re.findall(r"`harness ([a-z]+)", README)) | set(
        re.findall(r"^\$ harness ([a-z]+)", README, re.M)
    )
    assert named == {
        "run",
        "try",
        "plan",
        "check",
        "list",
        "show",
        "leaderboard",
        "schema",
        "gate",
        "preview",
        "aa",
        "doctor",
        "completion",
        "compare",
        "merge",
        "reproduce",
    }
    help_text = place.run("--help").stdout
    assert all(re.search(rf"^  {name} ", help_text, re.M) for name in named)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    wanted = set(re.findall(r"make ([a-z]+)", README))
    assert wanted and wanted <= targets


def test_the_links_of_the_readme_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert len(links) >= 6
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []


def rows_of_boards():
    """Return, by suite, what the README says of its board, and the board."""
    rows = re.findall(r"^\| \[(\w[\w-]*)\]\((results/reference/\S+)\.md\) \|(.*)\|$", README, re.M)
    return {suite: (text, json.loads((ROOT / f"{board}.json").read_text())) for suite, board, text in rows}


def test_a_row_of_the_readme_says_what_its_board_is_stamped_with():
    rows = rows_of_boards()
    assert len(rows) >= 9
    for suite, (text, board) in rows.items():
        stamps = [
            stamp for stamp in board["stamps"] if stamp.startswith(("run under another plan", "mixed code"))
        ]
        assert [stamp for stamp in stamps if f"*{stamp.partition(':')[0]}*" not in text] == [], suite


def test_the_speed_of_checkpointing_is_told_where_it_was_judged():
    rows = rows_of_boards()
    text, board = rows["speed"]
    (row,) = [row for row in board["rows"] if row["arm"] == "grad-checkpointing"]
    assert row["speed_verdict"]["verdict"] == "slower"
    ratio = f"×{row['images_per_second_ratio']['mean']:.2f}"
    assert (
        f"checkpointing {ratio}" in text and f"checkpointing exact ({ratio} of the speed" in rows["tricks"][0]
    )


def test_the_exit_codes_of_the_readme_are_those_of_the_help(place):
    (told,) = re.findall(r"Exit codes: (.*?interrupted)\.", README, re.S)
    (helped,) = re.findall(r"Exit codes: (.*?interrupted)\.", place.run("--help").stdout, re.S)
    assert told.split() == helped.split()

"""`harness preview`: what it writes, that it writes the same again, and what it says where it cannot."""

import json
import re

import pytest

SUITE = """
schema = 1
name = "seen"
replicates = 1
baseline = "plain"
verdicts = false
[budget]
epochs = 2
[timing]
rounds = 1
seconds = 0.1
[recipe]
dataset = { name = "subset", of = "digits", samples = 200 }
backbone = { name = "simple-cnn", width = 4 }
optimizer = { name = "sgd", lr = 0.1 }
schedule = "constant"
batch_size = 32
[arms.plain]
[arms.smooth]
tricks = ["label-smoothing"]
augmentations = [{ name = "cutout", size = 4 }]
[arms.cutout]
augmentations = [{ name = "cutout", size = 4 }]
[arms.mixup]
augmentations = [{ name = "cutout", size = 4 }, { name = "mixup", alpha = 1.0 }]
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "seen.toml"
    path.write_text(SUITE)
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_suite_is_previewed_and_again_with_the_same_bytes(harness, suite, tmp_path):
    done = harness("preview", suite, "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "seen" / "preview"
    first = contents(folder)
    # Two arms with the same augmentations have the same picture, and one copy of it for the pages.
    assert sorted(first) == [
        *("cutout.png", "index.html", "mixup.png", "mixup.webp", "preview.json", "smooth.png", "smooth.webp")
    ]
    assert first["cutout.png"] == first["smooth.png"] != first["mixup.png"]
    assert all(first[name].startswith(b"\x89PNG") for name in ("cutout.png", "mixup.png"))
    assert "smooth, cutout: distances" in done.stdout and str(folder / "index.html") in done.stdout
    assert re.search(r"  mixup +pixels \d+\.\d, brightness \d+\.\d", done.stdout)
    told = json.loads(first["preview.json"])
    assert [arm["arm"] for arm in told["arms"]] == ["smooth", "cutout", "mixup"]
    rows = {row["label"]: row for row in told["arms"][2]["rows"]}
    assert list(rows) == ["cutout", "mixup", "all"]
    assert sorted(rows["cutout"]["classes"]) == [str(digit) for digit in range(10)]
    assert rows["cutout"]["classes"]["3"]["pixels"] > 0
    assert rows["cutout"]["classes"]["3"]["saturation"] is None  # grey
    assert rows["cutout"]["distances"] == told["arms"][1]["rows"][0]["distances"]
    page = first["index.html"].decode()
    assert "smooth, cutout" in page and page.count("<img ") == 2

    again = harness("preview", suite, "--results", tmp_path / "again")
    assert again.returncode == 0
    assert contents(tmp_path / "again" / "seen" / "preview") == first

    fewer = harness("preview", suite, "--results", tmp_path / "results", "--arms", "mixup", "--samples", "2")
    assert fewer.returncode == 0
    assert sorted(contents(folder)) == ["index.html", "mixup.png", "mixup.webp", "preview.json"]


@pytest.mark.slow
def test_the_board_shows_the_preview_that_is_there(harness, suite, tmp_path):
    results = tmp_path / "results"
    assert harness("preview", suite, "--results", results).returncode == 0
    run = harness("run", suite, "--results", results, "--jobs", "1")
    assert run.returncode == 0, run.stderr
    page = (results / "seen" / "leaderboard.html").read_text()
    assert page.count("<img ") == 2 and "What the augmentations do" in page
    assert "What its augmentations cost" in page
    board = json.loads((results / "seen" / "leaderboard.json").read_text())
    costs = {row["arm"]: row.get("augmentations") for row in board["rows"]}
    assert costs["plain"] is None
    assert [cost["label"] for cost in costs["mixup"]] == ["cutout", "mixup"]
    assert all(cost["seconds_per_batch"] > 0 for cost in costs["mixup"])
    assert "augmentations: cutout" in (results / "seen" / "leaderboard.md").read_text()

    path = results / "seen" / "preview" / "preview.json"
    path.write_text(path.read_text().replace('"samples": 8', '"samples": 9'))
    done = harness("leaderboard", results / "seen")
    assert done.returncode == 0
    page = (results / "seen" / "leaderboard.html").read_text()
    assert "<img " not in page and "preview left out" in page


def test_a_suite_without_augmentations_has_nothing_to_preview(harness, tmp_path, suite_text):
    path = tmp_path / "tiny.toml"
    path.write_text(suite_text)
    done = harness("preview", path, "--results", tmp_path / "results")
    assert done.returncode == 3
    assert "nothing to preview" in done.stderr and "augmentations" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.torch and not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arms", "mixupp"], 'did you mean "mixup"'),
        (["--samples", "0"], "--samples"),
        (["--samples", "33"], "--samples"),
    ],
)
def test_mistakes_are_told_without_a_traceback(harness, suite, tmp_path, arguments, words):
    done = harness("preview", suite, "--results", tmp_path / "results", *arguments)
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr


def test_a_mistake_in_the_suite_names_its_line(harness, suite, tmp_path):
    suite.write_text(SUITE.replace("size = 4", "size = -4", 1))
    done = harness("preview", suite, "--results", tmp_path / "results")
    assert done.returncode == 2
    assert "seen.toml:" in done.stderr and "size" in done.stderr and "Traceback" not in done.stderr


def test_an_augmentation_that_fails_is_a_row_of_its_own(harness, suite, tmp_path):
    plugin = tmp_path / "broken.py"
    plugin.write_text(
        "from dataclasses import dataclass\n"
        "from harness.contract import Augmentation, hookimpl\n\n\n"
        "@dataclass(frozen=True)\n"
        "class Broken(Augmentation):\n"
        '    """Fails."""\n\n'
        "    def bind(self, ctx):\n"
        '        """Fail when it is called."""\n'
        "        return lambda batch: batch.no_such_thing\n\n\n"
        "@hookimpl\n"
        "def harness_register(registry):\n"
        '    registry.add("augmentation", "broken", Broken, summary="fails")\n'
    )
    text = SUITE.replace("verdicts = false", 'verdicts = false\nplugins = ["./broken.py"]')
    suite.write_text(text + '[arms.broken]\naugmentations = ["broken"]\n')
    done = harness("preview", suite, "--results", tmp_path / "results")
    assert done.returncode == 1
    assert "broken: augmentation broken" in done.stderr and "Traceback" not in done.stderr
    folder = tmp_path / "results" / "seen" / "preview"
    assert (folder / "mixup.png").exists() and not (folder / "broken.png").exists()
    assert "no_such_thing" in (folder / "index.html").read_text()


def test_an_arm_whose_augmentations_are_set_to_do_nothing_says_so(harness, tmp_path):
    path = tmp_path / "seen.toml"
    path.write_text(SUITE + '[arms.still]\naugmentations = [{ name = "rand-augment", num_ops = 0 }]\n')
    done = harness("preview", path, "--results", tmp_path / "results", "--arms", "still")
    assert done.returncode == 0, done.stderr
    assert "  nothing: each augmentation is set to leave samples as they are" in done.stdout
    (told,) = json.loads((tmp_path / "results" / "seen" / "preview" / "preview.json").read_text())["arms"]
    assert told["rows"] == [] and told["error"] is None


def test_help_teaches_by_an_example(harness):
    done = harness("preview", "--help")
    assert done.returncode == 0 and not done.torch
    for words in ("harness preview suite.toml", "--arms", "--samples", "--results", "--data", "Wasserstein"):
        assert words in done.stdout

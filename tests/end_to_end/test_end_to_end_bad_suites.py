"""Suite files, data and plugin files that are wrong, through the command line: one clear error each and exit 2."""

import re

import pytest

BAD_TOML = {
    "syntax": (b'schema = 1\nname = "toy\n', ":2:12: ", "not TOML"),
    "byte order mark": (b"\xef\xbb\xbfschema = 1\n", ":1:1: ", "byte order mark"),
    "a NUL": (b'schema = 1\nname = "a\0b"\n', ":2:10: ", "character"),
    "twice": (b'schema = 1\nname = "a"\nname = "b"\n', ":3:11: ", "overwrite"),
    "not UTF-8": (b'schema = 1\nname = "\xff"\n', ":2:9: ", "not UTF-8"),
}


@pytest.mark.parametrize("case", BAD_TOML)
def test_a_file_that_is_no_toml_is_one_line_with_its_place(place, case):
    data, where, told = BAD_TOML[case]
    (place.folder / "toy.toml").write_bytes(data)
    done = place.run("run", "toy.toml", code=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"toy.toml{where}")
    assert told in done.stderr
    assert not (place.folder / "results").exists()


def test_windows_line_ends_are_no_error(place):
    path = place.suite("[arms.other]\ntricks = ['toy-penalty']\n")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert "2 trials" in place.run("plan", "toy.toml").stdout


WRONG = """
[arms.mixing]
augmentations = [{ name = "mixup", alpha = "0.2" }, "mixxup"]
tricks = [{ name = "sam", rho = -1.0, rhoo = 1 }]
[arms.other]
extends = "mixin"
batch_size = true
budget = { epochs = 0 }
colour = 1
[arms."../up"]
tricks = []
[arms.round]
extends = "about"
[arms.about]
extends = "round"
"""


def test_all_errors_of_a_file_come_at_once_with_line_and_path_and_nearest_name(place):
    path = place.suite(WRONG)
    first = path.read_text().splitlines().index("[arms.mixing]") + 1
    expected = {
        (first + 1, "arms.mixing.augmentations[0].alpha"): "must be a number",
        (first + 1, "arms.mixing.augmentations[1]"): 'did you mean "mixup"',
        (first + 2, "arms.mixing.tricks[0].rho"): "at least 0",
        (first + 2, "arms.mixing.tricks[0].rhoo"): 'did you mean "rho"',
        (first + 4, "arms.other.extends"): 'did you mean "mixing"',
        (first + 5, "arms.other.batch_size"): "whole number",
        (first + 6, "arms.other.budget.epochs"): "more than 0",
        (first + 7, "arms.other.colour"): "unknown key",
        (first + 8, 'arms."../up"'): "must be a name",
        (first + 11, "arms.round.extends"): "circle",
    }
    done = place.run("run", "toy.toml", code=2)
    lines = done.stderr.splitlines()
    for (line, where), told in expected.items():
        assert any(
            text.startswith(f"toy.toml:{line}:") and f" {where}" in text and told in text for text in lines
        ), f"{line} {where} {told}\n{done.stderr}"
    assert len(lines) == len(expected)
    assert not (place.folder / "results").exists()
    print(f"{len(expected)} errors told at once")


DATASET = '''
from dataclasses import dataclass, replace
import numpy as np
from harness.contract import Dataset, Prepared, Split, hookimpl

@dataclass(frozen=True)
class Odd(Dataset):
    """Data with something wrong in it."""
    how: str = "nothing"

    def prepare(self, root):
        generator = np.random.default_rng(0)
        def split(count):
            images = generator.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
            return Split({"image": images}, np.arange(count, dtype=np.int64) % 3)
        train, test, classes = split(96), split(48), ("a", "b", "c")
        match self.how:
            case "missing":
                raise FileNotFoundError("/nowhere/odd.bin: get it from https://example.org/odd")
            case "damaged":
                raise ValueError("odd-7.png: truncated")
            case "bug":
                return 1 / 0
            case "none":
                return None
            case "exits":
                raise SystemExit(0)
            case "empty set":
                test = split(0)
            case "empty class":
                classes = (*classes, "d")
            case "one class":
                train, test = (Split(s.inputs, s.labels * 0) for s in (train, test))
                classes = ("a",)
            case "label out of range":
                train = Split(train.inputs, train.labels + 1)
            case "16 bit":
                train = Split({"image": train.inputs["image"].astype(np.uint16)}, train.labels)
            case "CMYK":
                train = Split({"image": np.repeat(train.inputs["image"], 4, axis=1)}, train.labels)
            case "fewer labels":
                train = Split(train.inputs, train.labels[:-1])
            case "few samples":
                train = split(12)
        return Prepared(train, test, classes)

@hookimpl
def harness_register(registry):
    registry.add("dataset", "odd", Odd, summary="odd data")
'''
ODD = {
    "missing": "/nowhere/odd.bin",
    "damaged": "odd-7.png: truncated",
    "bug": "division by zero",
    "none": "None",
    "exits": "SystemExit",
    "empty set": "test",
    "empty class": "1 of 4 classes have no sample (d)",
    "one class": "class",
    "label out of range": "3",
    "16 bit": "uint8",
    "CMYK": "4",
    "fewer labels": "95",
    "few samples": "batch_size",
}


@pytest.mark.parametrize("how", ODD)
def test_data_that_cannot_be_trained_on_is_refused_before_anything_is_run(place, how):
    place.write("odd.py", DATASET)
    path = place.suite(plugins=["odd.py"])
    path.write_text(path.read_text().replace('"toy-dataset", samples = 96', f'"odd", how = "{how}"'))
    done = place.run("run", "toy.toml", code=2)
    assert ODD[how] in done.stderr
    assert "harness/suite" not in done.stderr  # no frame of ours
    assert not (place.folder / "results").exists()
    assert place.all_gone()


PLUGIN_HEAD = """
from dataclasses import dataclass
from harness.contract import Slots, Trick, hookimpl
@dataclass(frozen=True)
class Mine(Trick):
    '''Mine.'''
    strength: float = 1.0
"""
REGISTER = """
@hookimpl
def harness_register(registry):
    registry.add("trick", "mine", Mine, summary="mine")
"""
BROKEN = {
    "raises": ("raise RuntimeError('no luck')\n", "RuntimeError: no luck"),
    "exits": ("import sys\nsys.exit(0)\n", "SystemExit"),
    "syntax": ("def broken(:\n", "SyntaxError"),
    "needs a package": ("import a_package_that_nobody_has\n", "a_package_that_nobody_has"),
    "no hook": ("x = 1\n", "defines no hook"),
    "misspelt hook": (
        PLUGIN_HEAD + REGISTER.replace("def harness_register", "def harness_registr"),
        'did you mean "harness_register"',
    ),
    "wrong signature": (
        PLUGIN_HEAD + REGISTER.replace("(registry)", "(registry, more)"),
        "harness_register(registry)",
    ),
    "misspelt kind": (PLUGIN_HEAD + REGISTER.replace('"trick"', '"trik"'), 'did you mean "trick"'),
    "not frozen": (PLUGIN_HEAD.replace("(frozen=True)", "") + REGISTER, "frozen"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_plugin_file_that_cannot_be_used_is_named_with_the_reason(place, case):
    text, told = BROKEN[case]
    place.write("mine.py", text)
    place.suite('[arms.mine]\ntricks = ["mine"]\n', plugins=["mine.py"])
    done = place.run("run", "toy.toml", code=2)
    assert "mine.py" in done.stderr
    assert told in done.stderr
    assert re.match(r"toy\.toml:7:\d+: plugins\[1\]: ", done.stderr), done.stderr
    assert "harness/registry" not in done.stderr
    assert not (place.folder / "results").exists()


def test_what_a_plugin_prints_at_import_is_kept_out_of_the_json(place):
    import json

    place.write("mine.py", "print('x' * 5_000_000)\n" + PLUGIN_HEAD + REGISTER)
    place.suite('[arms.mine]\ntricks = ["mine"]\n', plugins=["mine.py"])
    assert json.loads(place.run("plan", "toy.toml", "--json").stdout)["trials"] == 2

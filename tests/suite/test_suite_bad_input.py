from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import Problem, SuiteError
from harness.suite.load import load

Problems = Callable[..., dict[str, Problem]]

SHORT = """\
schema = 1
name = "t"
baseline = "p"
plugins = [{0}]
[budget]
steps = 1
[recipe]
dataset = "digits"
backbone = "simple-cnn"
optimizer = {{ name = "sgd", lr = 1 }}
[arms.p]
"""


@pytest.mark.parametrize(
    ("data", "line", "column", "told"),
    [
        (b"a = [1,\n b = 2\n", 2, 2, "Invalid value"),
        (b"schema = 1\nname = \n", 2, 8, "Invalid value"),
        (b"\xef\xbb\xbfschema = 1\n", 1, 1, "byte order mark"),
        (b"schema = 1\nname = 'a\0b'\n", 2, 10, "invalid character"),
        (b"schema = 1\nname = 'a'\nname = 'b'\n", 3, 11, "overwrite"),
        (b"[recipe]\na=1\n[recipe]\n", 3, 8, "twice"),
        (b"schema = 1\nname = '\xff'\n", 2, 9, "not UTF-8"),
        (b"a = " + b"[" * 100_000, 0, 0, "not TOML"),
        (b"a = " + b"9" * 5000, 0, 0, "not TOML"),
    ],
)
def test_what_is_no_toml_is_one_line_with_its_place(
    tmp_path: Path, data: bytes, line: int, column: int, told: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    with pytest.raises(SuiteError) as error:
        load(path)
    (problem,) = error.value.problems
    assert (problem.line, problem.column) == (line, column)
    text = str(error.value)
    assert told.lower() in text.lower() and "\n" not in text and text.startswith(str(path))
    assert error.value.exit_code == 2


@pytest.mark.parametrize("path", ["absent.toml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(SuiteError, match="cannot be read"):
        load(tmp_path / path)


BAD = """\
schema = 2
name = "../x"
replicates = "10"
baseline = "plian"
colour = 1
seed = true
alpha = 0
[budget]
epochs = 0
[recipe]
dataset = { name = "digits", validation = 2 }
backbone = { name = "simple-cnn", width = true }
augmentations = ["translat", "...", 3]
optimizer = { name = "sgd", lr = inf, momentun = 0.9 }
batch_size = -3
numerics = "bf16"
[timing]
rounds = -1
[arms.plain]
numerics = { precision = "fp3", theads = 1 }
[arms.mixup]
augmentations = ["...", { name = "mixup", alpha = "0.2" }, "..."]
tricks = []
[arms.adam]
optimizer = []
tricks = [
  # a comment, and a [bracket] in "quotes"
  { name = "sam", rho = -0.05 },
  { rho = 1 },
]
extends = "plainn"
varies = ["batch_sise"]
extend = "x"
[arms."a b"]
backbone = 5
"""


def test_every_error_comes_at_once_with_path_and_line(problems_of: Problems) -> None:
    problems = problems_of(BAD, top="")
    found = {path: (problem.line, problem.message) for path, problem in problems.items()}
    expected = {
        "schema": (1, "must be 1, not 2"),
        "name": (2, "must be a name of 1 to 64 letters"),
        "replicates": (3, 'must be a whole number, not the text "10"'),
        "baseline": (4, 'there is no arm "plian"; did you mean "plain"?'),
        "colour": (5, 'unknown key "colour"; allowed: aa, alpha'),
        "seed": (6, "must be a whole number, not true"),
        "alpha": (7, "must be at least 1e-06, not 0"),
        "budget.epochs": (9, "must be more than 0, not 0"),
        "recipe.dataset.validation": (11, "must be less than 1, not 2"),
        "recipe.backbone.width": (12, "must be a whole number, not true"),
        "recipe.augmentations[0]": (13, 'there is no augmentation "translat"; did you mean "translate"?'),
        "recipe.augmentations[1]": (13, '"..." stands for what an arm inherits'),
        "recipe.augmentations[2]": (13, "must be the name of an augmentation or a table with a name, not 3"),
        "recipe.optimizer.lr": (14, "must be a finite number, not inf"),
        "recipe.optimizer.momentun": (14, 'unknown key "momentun"; did you mean "momentum"?'),
        "recipe.batch_size": (15, "must be at least 1, not -3"),
        "recipe.numerics": (16, 'must be a table, not the text "bf16"'),
        "timing.rounds": (18, "must be at least 0, not -1"),
        "arms.plain.numerics.precision": (20, 'must be one of "fp32", "tf32", "bf16"'),
        "arms.plain.numerics.theads": (20, 'unknown key "theads"; did you mean "threads"?'),
        "arms.mixup.augmentations[1].alpha": (22, 'must be a number, not the text "0.2"'),
        "arms.mixup.augmentations[2]": (22, '"..." may stand in a list only once'),
        "arms.adam.optimizer": (25, "must name at least one optimizer"),
        "arms.adam.tricks[0].rho": (28, "must be at least 0, not -0.05"),
        "arms.adam.tricks[1].name": (29, "is missing: the name of a trick"),
        "arms.adam.extends": (31, 'there is no arm "plainn"; did you mean "plain"?'),
        "arms.adam.varies[0]": (32, '"batch_sise" is not held equal; did you mean "batch_size"?'),
        "arms.adam.extend": (33, 'unknown key "extend"; did you mean "extends"?'),
        'arms."a b"': (34, "must be a name of 1 to 64 letters"),
        'arms."a b".backbone': (35, "must be the name of a backbone or a table with a name, not 5"),
    }
    assert set(found) == set(expected)
    for path, (line, message) in expected.items():
        assert found[path][0] == line, path
        assert found[path][1].startswith(message), path


def test_a_problem_in_the_recipe_is_told_once_at_its_source(problems_of: Problems) -> None:
    top = SHORT.format("").replace('{ name = "sgd", lr = 1 }', '"sgd"')
    problems = problems_of('[arms.y]\ntricks = ["sam"]\n', top)
    assert {path: problem.message for path, problem in problems.items()} == {
        "recipe.optimizer.lr": "is missing"
    }


@pytest.mark.parametrize(
    ("more", "path", "told"),
    [
        ('extends = "a"', "extends", "circle: a → a"),
        ("grid = { x = [1] }", "grid", "unknown key"),
        ('tricks = "sam"', "tricks", 'must be a list of tricks, not the text "sam"'),
        ('tricks = ["sam", "sam"]', "tricks[1]", "stage ASCENT holds one at the most"),
        ('metrics = ["top-k", "top-k"]', "metrics[1]", "listed twice"),
        ('tricks = ["mixup"]', "tricks[0]", "of kind augmentation"),
        (
            "budget = { epochs = 1, steps = 2 }",
            "budget",
            "exactly one of epochs, steps, samples and seconds, not epochs and",
        ),
        ("budget = {}", "budget", "exactly one"),
        ("budget = { steps = 1.5 }", "budget.steps", "must be a whole number"),
        ("budget = { epochs = 1000001 }", "budget.epochs", "must be at most 1e+06, not 1000001"),
        ("budget = { seconds = 0 }", "budget.seconds", "must be more than 0, not 0"),
        ("budget = { seconds = -2.5 }", "budget.seconds", "must be more than 0, not -2.5"),
        ("budget = { seconds = 1e9 }", "budget.seconds", "must be at most 1e+08, not 1"),
        ("budget = { seconds = inf }", "budget.seconds", "inf"),
        ("budget = { seconds = nan }", "budget.seconds", "nan"),
        ("budget = { seconds = 'ten' }", "budget.seconds", "must be a number"),
        ("budget = { seconds = 1, steps = 2 }", "budget", "exactly one of"),
        ("budget = { steps = 9223372036854775807 }", "budget.steps", "must be at most 1e+09, not 92233"),
        ("budget = { samples = 9223372036854775807 }", "budget.samples", "must be at most 1e+12, not 92233"),
        ("budget = 5", "budget", "must be a table"),
        ("varies = []", "varies", "must hold at least 1 entries"),
        (
            'optimizer = { name = "sgd", parameters = "matrixes" }',
            "optimizer.parameters",
            'did you mean "matrices"',
        ),
        ('optimizer = ["...", { name = "adam", parameters = "rest" }]', "OPT", '"rest" is what they leave'),
    ],
)
def test_one_wrong_thing_in_an_arm(problems_of: Problems, more: str, path: str, told: str) -> None:
    path = "recipe.optimizer.parameters" if path == "OPT" else f"arms.a.{path}"
    problems = problems_of(f"[arms.a]\n{more}\n")
    assert list(problems) == [path]
    assert told in problems[path].message
    assert problems[path].line > 0


@pytest.mark.parametrize("name", ["é", "a" * 65, "..", ".", "a/b", "", "-x", "a\\u0000b", "\\u001b[31m"])
def test_names_become_folders_and_are_checked(problems_of: Problems, name: str) -> None:
    (problem,) = problems_of(f'[arms."{name}"]\ntricks = ["sam"]\n').values()
    assert (
        "1 to 64 letters" in problem.message and problem.path.isprintable() and problem.message.isprintable()
    )


def test_an_arm_is_a_table(problems_of: Problems) -> None:
    assert "must be a table, not 3" in problems_of("[arms]\na = 3\n", top="")["arms.a"].message


def test_a_circle_is_told_once_whoever_leads_into_it(problems_of: Problems) -> None:
    chain = {"a": "b", "b": "c", "c": "b"}
    problems = problems_of("".join(f'[arms.{arm}]\nextends = "{to}"\n' for arm, to in chain.items()))
    assert [(one.path, one.message) for one in problems.values()] == [
        ("arms.b.extends", "goes round in a circle: b → c → b")
    ]


def test_no_arms_and_nothing_at_all(problems_of: Problems) -> None:
    assert "at least one" in problems_of(top='schema = 1\nname = "a"\nbaseline = "b"\n')["arms"].message
    empty = problems_of(top="")
    assert set(empty) == {"schema", "name", "baseline", "arms"}
    odd = problems_of(
        top='schema = 1\nname = "a"\nbaseline = "b"\narms = []\nrecipe = 1\nbudget = 2\ntiming = 3\n'
    )
    assert set(odd) == {"arms", "recipe", "timing"}


def test_missing_parts_are_named(problems_of: Problems) -> None:
    problems = problems_of(top='schema = 1\nname = "a"\nbaseline = "p"\n[arms.p]\n')
    assert set(problems) == {"recipe.dataset", "recipe.backbone", "recipe.optimizer", "budget"}


def test_tricks_that_cannot_go_together_say_why(problems_of: Problems, tmp_path: Path) -> None:
    (tmp_path / "tags.py").write_text(
        "from dataclasses import dataclass\nfrom harness.contract import Trick, hookimpl\n"
        "@dataclass(frozen=True)\nclass A(Trick):\n    provides = frozenset({'dense-targets'})\n"
        "@dataclass(frozen=True)\nclass B(Trick):\n    conflicts = frozenset({'dense-targets'})\n"
        "@dataclass(frozen=True)\nclass C(Trick):\n    requires = frozenset({'dense-targets'})\n"
        "@hookimpl\ndef harness_register(registry):\n"
        "    for cls in (A, B, C): registry.add('trick', cls.__name__.lower(), cls, summary='s')\n"
    )
    top = SHORT.format('"tags.py"')
    more = '[arms.ab]\ntricks = ["b", "a"]\n[arms.c]\ntricks = ["c"]\n[arms.ac]\ntricks = ["c", "a"]\n'
    problems = problems_of(more, top)
    assert {path: problem.message for path, problem in problems.items()} == {
        "arms.ab.tricks[0]": '"b" cannot go together with "a": it conflicts with "dense-targets"',
        "arms.c.tricks[0]": '"c" requires "dense-targets", which nothing in the recipe provides',
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "there is no file"),
        ("import nowhere_at_all\n", "No module named 'nowhere_at_all'"),
        ("x = 1\n", "defines no hook"),
    ],
)
def test_a_plugin_file_that_cannot_be_loaded_is_named(
    problems_of: Problems, tmp_path: Path, text: str | None, told: str
) -> None:
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    top = SHORT.format('"mine.py"')
    problems = problems_of(top=top)
    assert list(problems) == ["plugins[0]"] and told in problems["plugins[0]"].message
    assert problems["plugins[0]"].line == 4


@pytest.mark.parametrize(
    ("old", "new", "key", "told"),
    [
        ("schema = 1", "schema = true", "schema", "must be 1, not true"),
        ("schema = 1", "schema = 1.0", "schema", "must be 1, not 1.0"),
        ("schema = 1", "schema = 1\nalpha = 5e-324", "alpha", "must be at least 1e-06, not 5e-324"),
        ("schema = 1", "schema = 1\nalpha = 0.0", "alpha", "must be at least 1e-06, not 0.0"),
    ],
)
def test_what_equals_a_literal_alone_and_a_level_that_no_test_reaches_are_refused(
    tmp_path: Path, old: str, new: str, key: str, told: str
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(SHORT.format("").replace(old, new))
    with pytest.raises(SuiteError) as error:
        load(path)
    (problem,) = error.value.problems
    assert (problem.path, problem.message) == (key, told) and problem.line > 0

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import Problem
from harness.suite.load import load

SUBSET = """
schema = 1
name = "t"
baseline = "p"
[budget]
steps = 1
[recipe]
dataset = { name = "subset", of = "digits", fraction = 0.5 }
backbone = "simple-cnn"
optimizer = { name = "sgd", lr = 1 }
[arms.p]
"""


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("batch_size = 64", "batch_size"),
        ("budget = { epochs = 3 }", "budget"),
        ("budget = { steps = 2 }", "budget"),
        ('numerics = { precision = "bf16" }', "numerics.precision"),
        ("numerics = { threads = 2 }", "numerics.threads"),
        ("evaluation = { batch_size = 100 }", "evaluation.batch_size"),
        ('dataset = { name = "digits", validation = 0.2 }', "dataset.validation"),
        ('dataset = { name = "subset", of = "digits", fraction = 0.5 }', "dataset"),
    ],
)
def test_what_is_held_equal_has_to_be_declared(
    suite_file: Callable[..., Path], problems_of: Callable[..., dict[str, Problem]], change: str, path: str
) -> None:
    problems = problems_of(f"[arms.other]\n{change}\n")
    assert list(problems) == [f"arms.other.{path}"]
    assert f'varies = ["{path}"]' in problems[f"arms.other.{path}"].message
    for declared in {path, path.split(".")[0]}:
        suite = load(suite_file(f'[arms.other]\n{change}\nvaries = ["{declared}"]\n'))
        assert suite.arms["other"].varies == (declared,)


def test_parameters_of_the_dataset_are_told_apart(problems_of: Callable[..., dict[str, Problem]]) -> None:
    problems = problems_of(
        '[arms.q]\ndataset = { name = "subset", fraction = 0.25, seed = 1 }\nvaries = ["dataset.seed"]\n',
        SUBSET,
    )
    assert list(problems) == ["arms.q.dataset.fraction"]


@pytest.mark.parametrize(
    "change",
    [
        'backbone = { name = "simple-cnn", width = 4 }', 'optimizer = { name = "adam", lr = 1e-3 }',
        'schedule = "cosine"', 'augmentations = ["mixup"]', 'tricks = ["sam"]', 'metrics = ["top-k"]',
    ],
)  # fmt: skip
def test_what_suites_compare_is_free(suite_file: Callable[..., Path], change: str) -> None:
    assert load(suite_file(f"[arms.other]\n{change}\n")).arms["other"].varies == ()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('varies = ["batch_size"]', 'it is as in the baseline "plain"'),
        ('batch_size = 64\nvaries = ["batch_size", "budget"]', "what does: batch_size"),
        ('tricks = ["sam"]\nvaries = ["tricks"]', "is not held equal"),
    ],
)
def test_what_is_declared_has_to_vary(
    problems_of: Callable[..., dict[str, Problem]], more: str, told: str
) -> None:
    (problem,) = problems_of(f"[arms.other]\n{more}\n").values()
    assert told in problem.message


def test_varies_is_not_inherited(problems_of: Callable[..., dict[str, Problem]]) -> None:
    problems = problems_of(
        '[arms.a]\nbatch_size = 64\nvaries = ["batch_size"]\n[arms.b]\nextends = "a"\ntricks = ["sam"]\n'
    )
    assert list(problems) == ["arms.b.batch_size"]

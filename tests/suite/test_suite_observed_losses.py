"""A schedule that goes by the validation loss needs a validation split."""

from collections.abc import Callable
from pathlib import Path

from harness.errors import Problem
from harness.suite.load import load

PLATEAU = (
    'schedule = {{ name = "plateau", patience = 1 }}\ndataset = {{ name = "digits", validation = {} }}\n'
)


def test_without_one_it_is_refused_where_the_share_was_written(
    problems_of: Callable[..., dict[str, Problem]],
) -> None:
    problems = problems_of(f'[arms.follows]\n{PLATEAU.format(0)}varies = ["dataset"]\n')
    assert list(problems) == ["arms.follows.dataset.validation"]
    problem = problems["arms.follows.dataset.validation"]
    assert 'must be above 0 for schedule "plateau"' in problem.message
    assert problem.line > 0


def test_with_one_it_is_fine(suite_file: Callable[..., Path]) -> None:
    suite = load(suite_file(f'[arms.follows]\n{PLATEAU.format(0.2)}varies = ["dataset"]\n'))
    assert suite.arms

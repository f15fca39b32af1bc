"""A target accuracy is measured on the validation split, so there has to be one."""

from collections.abc import Callable
from pathlib import Path

from harness.errors import Problem
from harness.suite.load import load

TARGET = "[measure]\ntarget_top1 = 90.0\n"


def test_a_target_without_a_validation_split_is_refused_with_the_key_and_the_arms(
    problems_of: Callable[..., dict[str, Problem]],
) -> None:
    bare = '[arms.bare]\ndataset = { name = "digits", validation = 0 }\nvaries = ["dataset"]\n'
    problems = problems_of(f"{bare}{TARGET}")
    assert list(problems) == ["measure.target_top1"]
    problem = problems["measure.target_top1"]
    assert 'arm "bare" hold none out' in problem.message.replace("arms", "arm")
    assert '"plain"' not in problem.message
    assert problem.line > 0


def test_a_target_beside_validation_splits_and_no_target_without_them_are_fine(
    suite_file: Callable[..., Path],
) -> None:
    assert load(suite_file(TARGET)).measure["target_top1"] == 90.0
    bare = '[arms.bare]\ndataset = { name = "digits", validation = 0 }\nvaries = ["dataset"]\n'
    assert load(suite_file(bare)).measure["target_top1"] is None

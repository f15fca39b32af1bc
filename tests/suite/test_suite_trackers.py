"""`trackers` of a suite: checked as components are, and no part of a plan."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.errors import Problem
from harness.registry import discover
from harness.suite.expand import expand
from harness.suite.load import load
from harness.suite.schema import suite_schema


def with_trackers(written: str, top: str) -> str:
    return top.replace('baseline = "plain"\n', f'baseline = "plain"\ntrackers = {written}\n')


@pytest.fixture
def top(suite_file: Callable[..., Path]) -> str:
    return suite_file().read_text()


def test_names_and_tables_become_the_normal_form(suite_file: Callable[..., Path], top: str) -> None:
    suite = load(
        suite_file(top=with_trackers('["tensorboard", { name = "mlflow", experiment = "ours" }]', top))
    )
    assert suite.trackers == (
        {"name": "tensorboard", "params": {}},
        {"name": "mlflow", "params": {"tracking_uri": None, "experiment": "ours"}},
    )
    assert load(suite_file(top=top)).trackers == ()


def test_plan_and_trial_ids_are_those_of_a_suite_without(
    suite_file: Callable[..., Path], top: str, manifest: dict[str, Any]
) -> None:
    plain = load(suite_file(top=top))
    tracked = load(suite_file(top=with_trackers('["tensorboard"]', top)))
    assert expand(tracked, {"plain": manifest}) == expand(plain, {"plain": manifest})


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        ('["tensorbord"]', "trackers[0].name", 'did you mean "tensorboard"?'),
        ('["mlflow", "mlflow"]', "trackers[1]", "is listed twice"),
        ('"mlflow"', "trackers", "must be a list of trackers"),
        ("[7]", "trackers[0]", "must be the name of a tracker"),
        ('[{ name = "mlflow", uri = "x" }]', "trackers[0].uri", "unknown key"),
        ('["sam"]', "trackers[0].name", "there is a component of that name of kind trick"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    problems_of: Callable[..., dict[str, Problem]], top: str, written: str, path: str, message: str
) -> None:
    problems = problems_of(top=with_trackers(written, top))
    assert list(problems) == [path]
    assert message in problems[path].message


def test_the_schema_knows_them() -> None:
    validator = jsonschema.Draft202012Validator(suite_schema(discover(allow="first-party")))
    suite = {"schema": 1, "name": "a", "baseline": "b", "arms": {"b": {}}}
    assert not list(validator.iter_errors({**suite, "trackers": ["mlflow", {"name": "tensorboard"}]}))
    assert len(list(validator.iter_errors({**suite, "trackers": ["sam"]}))) == 1

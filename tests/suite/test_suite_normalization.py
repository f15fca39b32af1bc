"""`normalization` of a suite's dataset: read by the core, in the normal form only where it is given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.errors import Problem, SuiteError
from harness.registry.discovery import discover
from harness.suite.expand import expand
from harness.suite.load import load
from harness.suite.plan import Plan
from harness.suite.schema import suite_schema

GIVEN = 'dataset = { name = "digits", normalization = { mean = [0.5], std = [0.25] } }\n'


def arm(table: str, varies: str = "dataset.normalization") -> str:
    return f'[arms.other]\nvaries = ["{varies}"]\n{table}'


@pytest.fixture
def images() -> dict[str, Any]:
    return {
        "hash": "m" * 32,
        "modalities": {"image": {"shape": [1, 8, 8], "mean": [0.3], "std": [0.4]}},
        "splits": {"train": {"count": 1000}, "test": {"count": 500}},
    }


def plan_of(file: Path, manifest: dict[str, Any]) -> Plan:
    suite = load(file)
    return expand(suite, dict.fromkeys(suite.arms, manifest))


def ids(plan: Plan, name: str) -> list[str]:
    return [trial.id for trial in plan.trials if trial.arm == name]


def test_it_is_in_the_recipe_only_where_it_is_given(suite_file: Callable[..., Path]) -> None:
    suite = load(suite_file(arm(GIVEN)))
    assert suite.arms["plain"].recipe["dataset"] == {"name": "digits", "params": {}, "validation": 0.1}
    assert suite.arms["other"].recipe["dataset"]["normalization"] == {"mean": [0.5], "std": [0.25]}


def test_it_moves_the_ids_of_its_own_arm_alone(
    suite_file: Callable[..., Path], images: dict[str, Any]
) -> None:
    without = plan_of(suite_file(), images)
    with_one = plan_of(suite_file(arm(GIVEN)), images)
    with_other = plan_of(suite_file(arm(GIVEN.replace("0.25", "0.5"))), images)
    assert ids(without, "plain") == ids(with_one, "plain") == ids(with_other, "plain")
    assert set(ids(with_one, "other")).isdisjoint(ids(with_other, "other"))


def test_it_is_held_equal_across_arms(problems_of: Callable[..., dict[str, Problem]]) -> None:
    problems = problems_of(f"[arms.other]\n{GIVEN}")
    assert list(problems) == ["arms.other.dataset.normalization"]
    assert 'varies = ["dataset.normalization"]' in problems["arms.other.dataset.normalization"].message


def test_an_arm_may_inherit_one_of_its_keys(suite_file: Callable[..., Path]) -> None:
    top = suite_file().read_text().replace('dataset = "digits"\n', GIVEN)
    more = arm(GIVEN.replace("mean = [0.5], std = [0.25]", "std = [0.3]"), "dataset.normalization.std")
    suite = load(suite_file(more, top))
    assert suite.arms["other"].recipe["dataset"]["normalization"] == {"mean": [0.5], "std": [0.3]}


@pytest.mark.parametrize(
    ("table", "path", "message"),
    [
        ("{ mean = [0.5, 0.5, 0.5], std = [0.2, 0.2] }", "", "mean has 3 and std 2 values"),
        ("{ mean = [0.5] }", ".std", "is missing"),
        ("{ mean = [0.5], sdt = [0.5] }", ".sdt", 'did you mean "std"?'),
        ("{ mean = [127.0], std = [0.5] }", ".mean[0]", "must be at most 1, not 127"),
        ("{ mean = [0.5], std = [0.0] }", ".std[0]", "must be at least 0.0001, not 0"),
        ('{ mean = ["0.5"], std = [0.5] }', ".mean[0]", "must be a number"),
        ("{ mean = [], std = [] }", ".mean", "must hold at least 1"),
        ("[0.5, 0.5]", "", "must be a table with mean and std, not a list"),
        ('"imagenet"', "", "must be a table with mean and std, not"),
    ],
)
def test_what_it_cannot_be_is_refused_at_load_with_its_key(
    problems_of: Callable[..., dict[str, Problem]], table: str, path: str, message: str
) -> None:
    problems = problems_of(arm(f'dataset = {{ name = "digits", normalization = {table} }}\n'))
    assert message in problems[f"arms.other.dataset.normalization{path}"].message


def test_it_stands_beside_the_outermost_dataset_alone(problems_of: Callable[..., dict[str, Problem]]) -> None:
    inner = '{ name = "digits", normalization = { mean = [0.5], std = [0.5] } }'
    problems = problems_of(arm(f'dataset = {{ name = "cache", of = {inner} }}\n', "dataset"))
    assert "unknown key" in problems["arms.other.dataset.of.normalization"].message


def test_another_number_of_channels_is_refused_with_the_key(
    suite_file: Callable[..., Path], images: dict[str, Any]
) -> None:
    images["modalities"]["image"]["shape"] = [3, 32, 32]
    with pytest.raises(SuiteError) as error:
        plan_of(suite_file(arm(GIVEN)), images)
    (problem,) = error.value.problems
    assert problem.path == "arms.other.dataset.normalization"
    assert problem.message == "has 1 values each of mean and std, the images have 3 channel(s)"


def test_the_schema_knows_it_with_every_dataset() -> None:
    schema = suite_schema(discover(allow="first-party"))
    fine = {"name": "label-noise", "of": {"name": "digits"}, "normalization": {"mean": [0.5], "std": [0.5]}}
    definitions = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": "#/$defs/dataset"}
    validator = jsonschema.Draft202012Validator(definitions)
    assert list(validator.iter_errors(fine)) == []
    for wrong in ({"mean": [2], "std": [0.5]}, {"mean": [0.5], "sd": [0.5]}, {"mean": [0.5] * 4}, [0.5]):
        assert list(validator.iter_errors({**fine, "normalization": wrong})) != []

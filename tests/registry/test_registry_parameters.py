import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.discovery import discover
from harness.registry.registry import Registry

BODY = """
@dataclass(frozen=True)
class Toy(Optimizer):
    lr: Annotated[float, Ge(0)]
    steps: Annotated[int, Interval(ge=1, lt=10)] = 3
    mode: Literal["fast", "slow"] = "fast"
    betas: tuple[float, float] = (0.9, 0.99)
    flag: bool = False
    width: Annotated[int, Ge(1)] | Literal["auto"] = "auto"
    limit: float | None = None
    copy: str = "x"
    def __post_init__(self):
        if self.steps == 7:
            raise ValueError("seven steps are unlucky")
        if self.steps == 8:
            raise KeyError("eight")
    def build(self, groups): ...
"""
NESTED = """
@dataclass(frozen=True)
class Half(Dataset):
    of: Dataset
    also: Dataset | None = None
    share: Annotated[float, Interval(gt=0, le=1)] = 0.5
    def prepare(self, root): ...
"""


@pytest.fixture
def toy(plugin_file: Callable[..., Path]) -> Registry:
    return discover([plugin_file(BODY, "optimizer")], allow="none")


@functools.cache
def _first_party() -> Registry:
    return discover(allow="harness-bench")


def check(registry: Registry, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    normal, problems = registry.validate("optimizer", {"name": "toy", **params}, "optimizer")
    return normal, {problem.path: problem.message for problem in problems}


def test_normal_form_has_every_default(toy: Registry) -> None:
    normal, problems = check(toy, lr=1)
    assert problems == {}
    assert normal == {
        "name": "toy",
        "params": {
            "lr": 1.0, "steps": 3, "mode": "fast", "betas": [0.9, 0.99], "flag": False, "width": "auto",
            "limit": None, "copy": "x",
        },
        "parameters": "all",
    }  # fmt: skip
    assert isinstance(normal["params"]["lr"], float)
    built = toy.build("optimizer", normal)
    assert built.betas == (0.9, 0.99) and built.copy == "x"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lr", "10", 'must be a number, not the text "10"'),
        ("lr", True, "must be a number, not true"),
        ("lr", float("inf"), "must be a finite number, not inf"),
        ("lr", float("nan"), "must be a finite number, not nan"),
        ("lr", -1, "must be at least 0, not -1"),
        ("lr", [], "must be a number, not a list"),
        ("lr", {}, "must be a number, not a table"),
        ("steps", 0, "must be at least 1, not 0"),
        ("steps", 10, "must be less than 10, not 10"),
        ("steps", 2.0, "must be a whole number, not 2.0"),
        ("steps", True, "must be a whole number, not true"),
        ("steps", 2**70, "must be a whole number that fits into 64 bits"),
        ("steps", 7, None),
        ("mode", "fats", 'must be one of "fast", "slow", not the text "fats"; did you mean "fast"?'),
        ("flag", 1, "must be true or false, not 1"),
        ("width", 0, None),
        ("width", 1.5, 'must be a whole number or one of "auto", not 1.5'),
        ("limit", "none", 'must be a number, not the text "none"'),
        ("parameters", 3, "must be text, not 3"),
    ],
)
def test_wrong_values_are_told_in_plain_english(
    toy: Registry, key: str, value: object, message: str | None
) -> None:
    normal, problems = check(toy, **{"lr": 0.1, key: value})
    assert normal == {}
    if message is not None:
        assert problems == {f"optimizer.{key}": message}
    else:
        assert len(problems) == 1


def test_a_list_of_the_wrong_kind_names_the_element(toy: Registry) -> None:
    _, problems = check(toy, lr=0.1, betas=[0.9, "x"])
    assert problems == {"optimizer.betas[1]": 'must be a number, not the text "x"'}


def test_all_errors_come_at_once_with_the_nearest_key(toy: Registry) -> None:
    _, problems = check(toy, stepz=3, flag="yes")
    assert set(problems) == {"optimizer.lr", "optimizer.stepz", "optimizer.flag"}
    assert problems["optimizer.lr"] == "is missing"
    assert problems["optimizer.stepz"].startswith(
        'unknown key "stepz"; did you mean "steps"? allowed: betas, copy,'
    )


def test_a_component_may_refuse_its_parameters(toy: Registry) -> None:
    assert check(toy, lr=0.1, steps=7)[1] == {"optimizer": "seven steps are unlucky"}
    (message,) = check(toy, lr=0.1, steps=8)[1].values()
    assert "cannot be made: KeyError" in message


def test_a_default_that_its_own_constraint_refuses_is_told_by_the_parameters_name(
    plugin_file: Callable[..., Path],
) -> None:
    body = BODY.replace("ge=1, lt=10)] = 3", "ge=1, lt=10)] = 30").replace("(0.9, 0.99)", '(0.9, "high")')
    registry = discover([plugin_file(body, "optimizer")], allow="none")
    _, problems = check(registry, lr=1)
    assert problems == {
        "optimizer.steps": "the plugin's own default is wrong: must be less than 10, not 30",
        "optimizer.betas[1]": 'the plugin\'s own default is wrong: must be a number, not the text "high"',
    }


def test_control_characters_are_escaped(toy: Registry) -> None:
    _, problems = check(toy, lr="\x1b[31m\x9b", **{"\x1b": 1})
    assert all(text.isprintable() for pair in problems.items() for text in pair)


@given(st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False))
def test_validating_a_normal_form_again_changes_nothing(lr: float) -> None:
    registry = _first_party()
    first, problems = registry.validate("optimizer", {"name": "sgd", "lr": lr, "parameters": "rest"}, "o")
    assert problems == []
    again, _ = registry.validate("optimizer", {"name": "sgd", **first["params"], "parameters": "rest"}, "o")
    assert again == first and first["params"]["lr"] == lr


def test_nested_components_are_normal_forms_without_the_cores_keys(plugin_file: Callable[..., Path]) -> None:
    registry = discover([plugin_file(NESTED, "dataset", "half", "Half")])
    normal, problems = registry.validate(
        "dataset", {"name": "half", "of": {"name": "half", "of": "digits"}}, "d"
    )
    assert problems == []
    digits = {"name": "digits", "params": {}}
    inner = {"name": "half", "params": {"share": 0.5, "of": digits, "also": None}}
    assert normal == {"name": "half", "params": {"share": 0.5, "of": inner, "also": None}, "validation": 0.1}
    built = registry.build("dataset", normal)
    assert type(built.of.of).__name__ == "Digits" and built.also is None
    assert [one["name"] for one in registry.describe("dataset", normal)] == ["half", "half", "digits"]


@pytest.mark.parametrize(
    ("of", "path", "told"),
    [
        (None, "d.of", "is missing"),
        (5, "d.of", "must be the name of a dataset"),
        ("digit", "d.of.name", 'did you mean "digits"'),
        ({"name": "digits", "validation": 0.2}, "d.of.validation", "unknown key"),
        ({"name": "half", "of": "digits", "share": 0}, "d.of.share", "must be more than 0"),
        ({"name": 3}, "d.of.name", "must be the name of a dataset, not 3"),
    ],
)
def test_problems_of_nested_components_have_their_path(
    plugin_file: Callable[..., Path], of: object, path: str, told: str
) -> None:
    registry = discover([plugin_file(NESTED, "dataset", "half", "Half")])
    table = {"name": "half"} if of is None else {"name": "half", "of": of}
    _, (problem,) = registry.validate("dataset", table, "d")
    assert problem.path == path and told in problem.message


def test_parameters_schema_names_types_limits_and_what_is_needed(toy: Registry) -> None:
    schema = toy.parameters_schema("optimizer", toy.find("optimizer", "toy"))
    assert schema["required"] == ["lr"] and schema["additionalProperties"] is False
    assert schema["properties"]["steps"] == {
        "default": 3,
        "minimum": 1,
        "exclusiveMaximum": 10,
        "type": "integer",
    }
    assert list(schema["properties"])[-1] == "parameters"

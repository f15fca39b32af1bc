"""`trackers` of a suite: checked as components are, and no part of a plan."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from harness.contract import Tracker
from harness.errors import Problem
from harness.registry.discovery import discover
from harness.suite.expand import expand
from harness.suite.load import load
from harness.suite.schema import suite_schema
from harness.suite.trackers import missing_libraries


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


def test_a_tracker_without_its_libraries_is_told_with_the_command_that_gets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = discover(allow="first-party")
    trackers = [{"name": "tensorboard", "params": {}}, {"name": "mlflow", "params": {}}]
    installed = {"tensorboard", "mlflow", "alembic"}
    asked: list[str] = []

    def find(name: str) -> object:
        asked.append(name)
        return name if name in installed else None

    monkeypatch.setattr("harness.suite.trackers.find_spec", find)
    (line,) = missing_libraries(trackers, registry)
    assert line.startswith("a run would go on without the tracker mlflow (needs sqlalchemy)")
    assert "harness-bench[track]" in line
    assert asked == ["tensorboard", "mlflow", "sqlalchemy", "alembic"]
    installed -= {"tensorboard", "alembic"}
    (line,) = missing_libraries(trackers, registry)
    assert "trackers tensorboard (needs tensorboard) and mlflow (needs sqlalchemy, alembic);" in line
    installed |= {"tensorboard", "alembic", "sqlalchemy"}
    assert list(missing_libraries(trackers, registry)) == []


def test_a_tracker_that_names_no_libraries_needs_none() -> None:
    bare = type("Bare", (Tracker,), {})
    registry = SimpleNamespace(find=lambda kind, name: name, load=lambda entry: bare)
    assert list(missing_libraries([{"name": "bare", "params": {}}], registry)) == []  # type: ignore[arg-type]


def test_the_extra_brings_every_library_that_first_party_trackers_name() -> None:
    registry = discover(allow="first-party")
    document = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extra = {re.split(r"[<>=]", one)[0] for one in document["project"]["optional-dependencies"]["track"]}
    entries = registry.entries("tracker")
    assert {entry.name for entry in entries} == {"tensorboard", "mlflow"}
    for entry in entries:
        assert {name.replace("mlflow", "mlflow-skinny") for name in registry.load(entry).libraries} <= extra  # type: ignore[attr-defined]

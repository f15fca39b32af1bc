import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.registry.discovery import discover
from harness.suite.schema import suite_schema

GOOD = """
[arms.all]
extends = "plain"
varies = ["batch_size", "dataset.validation"]
batch_size = 64
budget = { samples = 900 }
dataset = { name = "subset", of = { name = "digits" }, fraction = 0.5, validation = 0 }
backbone = { name = "timm:resnet18" }
augmentations = ["...", { name = "mixup", alpha = 0.2 }]
optimizer = [{ name = "adam", lr = 1e-3, parameters = "matrices" }, "..."]
schedule = { name = "cosine", warmup = 0.05 }
tricks = ["sam", { name = "label-smoothing" }]
metrics = ["top-k"]
numerics = { precision = "bf16" }
[arms.list]
tricks = []
"""


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = suite_schema(discover(allow="harness-bench"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_it_takes_what_load_takes(validator: Any, suite_file: Callable[..., Path]) -> None:
    assert list(validator.iter_errors(tomllib.loads(suite_file(GOOD).read_text()))) == []


@pytest.mark.parametrize(
    "suite",
    sorted((Path(__file__).parents[2] / "benchmarks" / "suites").glob("*.toml")),
    ids=lambda p: p.stem,
)
def test_it_takes_our_own_suites(validator: Any, suite: Path) -> None:
    assert list(validator.iter_errors(tomllib.loads(suite.read_text()))) == []


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ('[arms.a]\ntricks = [{ name = "sam", rho = "x" }]\n', "$.arms.a.tricks[0]"),
        ('[arms.a]\ntricks = [{ name = "sam", rho = -1 }]\n', "$.arms.a.tricks[0]"),
        ('[arms.a]\ntricks = [{ name = "sam", rh = 1 }]\n', "$.arms.a.tricks[0]"),
        ('[arms.a]\ntricks = ["samm"]\n', "$.arms.a.tricks[0]"),
        ('[arms.a]\ntricks = ["mixup"]\n', "$.arms.a.tricks[0]"),
        ('[arms.a]\ntricks = "sam"\n', "$.arms.a.tricks"),
        ('[arms.a]\nbackbone = "timm:"\n', "$.arms.a.backbone"),
        ('[arms.a]\nbackbone = { name = "timm:x", model = "y" }\n', "$.arms.a.backbone"),
        ('[arms.a]\ndataset = { name = "subset", of = "digit" }\n', "$.arms.a.dataset"),
        ("[arms.a]\noptimizer = []\n", "$.arms.a.optimizer"),
        ("[arms.a]\nbatch_size = 0\n", "$.arms.a.batch_size"),
        ("[arms.a]\nbudget = { epochs = 1, steps = 1 }\n", "$.arms.a.budget"),
        ('[arms.a]\nvaries = ["tricks"]\n', "$.arms.a.varies[0]"),
        ("[arms.a]\nnumerics = { precision = 'fp8' }\n", "$.arms.a.numerics.precision"),
        ("[arms.a]\ntrick = []\n", "$.arms.a"),
        ('[arms."a b"]\n', "$.arms"),
        ("[extra]\n", "$"),
    ],
)
def test_it_refuses_what_load_refuses(
    validator: Any, suite_file: Callable[..., Path], more: str, where: str
) -> None:
    (error,) = validator.iter_errors(tomllib.loads(suite_file(more).read_text()))
    assert error.json_path == where


def test_an_installed_plugin_is_in_it_and_a_broken_component_by_name_only(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom enum import Enum\n"
        "from harness.contract import Trick, hookimpl\n"
        "class Mode(Enum):\n    ONE = 'one'\n"
        "@dataclass(frozen=True)\nclass Mine(Trick):\n    mode: Mode = Mode.ONE\n"
        "@hookimpl\ndef harness_register(registry):\n    registry.add('trick', 'mine', Mine, summary='mine')\n"
        "    registry.add('trick', 'lost', 'nowhere.at_all:X', summary='lost')\n"
    )
    schema = suite_schema(discover([file], allow="none"))
    jsonschema.Draft202012Validator.check_schema(schema)

    def errors(tricks: list[object]) -> int:
        suite = {"schema": 1, "name": "a", "baseline": "b", "arms": {"b": {"tricks": tricks}}}
        return len(list(jsonschema.Draft202012Validator(schema).iter_errors(suite)))

    assert errors(["mine", "lost", {"name": "mine", "mode": "one"}, {"name": "lost", "any": 1}]) == 0
    assert errors([{"name": "mine", "mode": "two"}]) == 1
    assert errors(["sam"]) == 1

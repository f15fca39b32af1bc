from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Problem, SuiteError
from harness.suite.load import load

TOP = """\
schema = 1
name = "toy"
baseline = "plain"
[budget]
epochs = 2
[recipe]
dataset = "digits"
backbone = { name = "simple-cnn", width = 8 }
augmentations = ["translate"]
optimizer = { name = "sgd", lr = 0.1, momentum = 0.5 }
batch_size = 32
[arms.plain]
"""


@pytest.fixture
def suite_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a suite file: the small recipe above, and what the test adds to it."""

    def write(more: str = "", top: str = TOP) -> Path:
        path = tmp_path / "suite.toml"
        path.write_text(top + more)
        return path

    return write


@pytest.fixture
def problems_of(suite_file: Callable[..., Path]) -> Callable[..., dict[str, Problem]]:
    """Loads a suite file that has to be refused, and returns its problems by path."""

    def read(more: str = "", top: str = TOP) -> dict[str, Problem]:
        with pytest.raises(SuiteError) as error:
            load(suite_file(more, top))
        return {problem.path: problem for problem in error.value.problems}

    return read


@pytest.fixture
def manifest() -> dict[str, Any]:
    return {"hash": "m" * 32, "splits": {"train": {"count": 1000}, "test": {"count": 500}}}

"""A job on toy data, made by hand: the engine is tested without suite, launcher or store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.suite.plan import Job
from harness.testing.jobs import toy_job, write_toy_data

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("prepared")
    return folder, write_toy_data(folder)


@pytest.fixture
def make_job(prepared: tuple[Path, dict[str, Any]], tmp_path: Path) -> Callable[..., Job]:
    folder, manifest = prepared
    place = tmp_path / "trial"
    place.mkdir(exist_ok=True)
    return lambda **changes: toy_job(folder, manifest, place, **changes)

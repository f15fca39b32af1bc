"""The count of conformance checks at the end of a run, and the failure of a run that made none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
BATTERY = """
import pytest

@pytest.mark.parametrize("setting", {settings})
def test_a_component_conforms(setting, record_property):
    record_property("conformance_checks", {checks})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "checks", "said", "code"),
    [
        ([1, 2], 5, "conformance: 10 checks of 2 settings", 0),
        ([1, 2], 0, "conformance: 0 checks of 2 settings", 1),
        ([], 5, "conformance: 0 checks of 1 settings", 1),
    ],
    ids=["some", "none", "no settings"],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_the_run_tells_its_checks_and_fails_on_none(
    settings: list[int], checks: int, said: str, code: int, workers: int, tmp_path: Path
) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_plugins_conform.py").write_text(BATTERY.format(settings=settings, checks=checks))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(workers), "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert said in done.stdout
    assert done.returncode == code

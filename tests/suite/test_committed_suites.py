"""The suites in benchmarks/suites: each loads with the first-party plugins, and says what it has to."""

from pathlib import Path

import pytest

from harness.suite.load import load
from harness.suite.plan import needed_replicates

SUITES = sorted((Path(__file__).parents[2] / "benchmarks" / "suites").glob("*.toml"))


def test_there_are_suites() -> None:
    assert len(SUITES) >= 10


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_committed_suite_loads_under_its_files_name(path: Path) -> None:
    suite = load(path, allow="first-party")
    assert suite.name == path.stem
    assert all(arm.failure is None for arm in suite.arms.values())


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_committed_suite_has_the_replicates_that_its_verdicts_take(path: Path) -> None:
    suite = load(path, allow="first-party")
    compared = [arm for arm in suite.arms.values() if arm.compared and arm.name != suite.baseline]
    if suite.verdicts and compared:
        assert suite.replicates >= needed_replicates(len(compared), suite.alpha)


@pytest.mark.parametrize("name", ["tricks", "augmentations", "optimizers", "distillation", "fine-tuning"])
def test_a_suite_on_other_data_has_a_sister_on_digits(name: str) -> None:
    """Whoever has no data root still sees each comparison; what it is about is named alike in both."""
    folder = SUITES[0].parent
    whole, small = (load(folder / f"{stem}.toml", allow="first-party") for stem in (name, f"{name}-digits"))
    assert str(small.arms[small.baseline].recipe["dataset"]).count("'digits'") == 1
    assert len(set(small.arms) & set(whole.arms)) >= 3

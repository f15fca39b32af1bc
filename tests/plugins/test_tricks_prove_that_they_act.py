"""Each trick declares an observable; a trial's record shows it at work, and shows nothing where it does nothing."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from harness.registry.discovery import discover
from harness.registry.entry import FIRST_PARTY
from harness.testing.conformance import BATCH_NORM
from harness.testing.jobs import component
from harness.testing.trials import Trials

TABLE = runpy.run_path(str(Path(__file__).with_name("technique_settings.py")))
TRICKS: dict[str, dict[str, Any]] = {}
for kind, name, params in TABLE["SETTINGS"]:
    if kind == "trick":
        TRICKS.setdefault(name, params)
BLOCKS = component("toy-conv", width=4, norm="batch", dropout=0.2)


def test_every_trick_declares_an_observable_and_is_in_the_table() -> None:
    registry = discover(allow="first-party")
    entries = [entry for entry in registry.entries("trick") if entry.distribution == FIRST_PARTY]
    assert {entry.name for entry in entries} == set(TRICKS)
    assert [entry.name for entry in entries if not registry.load(entry).observable] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TRICKS)
def test_a_record_shows_whether_a_trick_acted(name: str, tmp_path: Path) -> None:
    trials = Trials("trick", name, tmp_path, (), 3 if name in TABLE["ON_COLOUR"] else 1)
    backbone = BLOCKS if name in TABLE["ON_BLOCKS"] else BATCH_NORM
    seen = trials.run(trials.recipe(TRICKS[name], backbone=backbone))["observables"][f"trick {name}"]
    assert seen["value"] != 0.0
    assert seen["name"] == trials.component.observable
    if trials.identity is not None:
        still = trials.run(trials.recipe({**TRICKS[name], **trials.identity}, backbone=backbone))
        idle = still["observables"].get(f"trick {name}", {"value": 0.0})
        assert idle["value"] == 0.0

"""Every first-party component that acts in a step, at settings that act, through the conformance kit."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.contract import Stage
from harness.registry.discovery import discover
from harness.registry.entry import FIRST_PARTY, Entry
from harness.testing.conformance import BATCH_NORM, conform
from harness.testing.documentation import documentation_gaps
from harness.testing.jobs import component
from harness.testing.ranges import unbounded_numbers

TABLE = runpy.run_path(str(Path(__file__).with_name("technique_settings.py")))
SETTINGS: list[tuple[str, str, dict]] = TABLE["SETTINGS"]
REPRESENTATIVES: tuple[tuple[str, str, dict], ...] = TABLE["REPRESENTATIVES"]
BLOCKS = component("toy-conv", width=4, norm="batch", dropout=0.2)

PLAIN = [row for index, row in enumerate(SETTINGS) if row[:2] not in [one[:2] for one in SETTINGS[:index]]]
"""The first setting of each component; those after it are stronger ones."""


def hold(
    kind: str, name: str, params: dict, folder: Path, record: Callable[[str, object], None], **options: Any
) -> None:
    made = conform(
        kind,
        name,
        params,
        folder,
        backbone=BLOCKS if name in TABLE["ON_BLOCKS"] else BATCH_NORM,
        channels=3 if name in TABLE["ON_COLOUR"] else 1,
        **options,
    )
    record("conformance_checks", len(made))
    assert len(made) >= 14


@pytest.mark.parametrize(("kind", "name", "params"), SETTINGS, ids=lambda value: str(value))
def test_a_component_conforms(
    kind: str, name: str, params: dict, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    beside = REPRESENTATIVES if (kind, name, params) in PLAIN else ()
    hold(kind, name, params, tmp_path, record_property, beside=beside)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "params"), [row for row in SETTINGS if row not in PLAIN], ids=lambda value: str(value)
)
def test_a_strong_setting_works_beside_one_of_every_other_stage(
    kind: str, name: str, params: dict, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    hold(kind, name, params, tmp_path, record_property, beside=REPRESENTATIVES)


def first_party(*kinds: str) -> list[Entry]:
    entries = discover(allow="first-party").entries()
    return [entry for entry in entries if entry.distribution == FIRST_PARTY and entry.kind in kinds]


OF_A_STEP = ("sampler", "augmentation", "optimizer", "schedule", "trick", "metric")
REGISTRY = discover(allow="first-party")


def settings_of(entry: Entry) -> list[dict]:
    return [
        params
        for kind, name, params in SETTINGS
        if kind == entry.kind and (name.startswith(entry.name) if entry.is_family else name == entry.name)
    ]


@pytest.mark.parametrize("entry", first_party(*OF_A_STEP), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_every_component_of_a_step_is_in_the_table_with_a_plain_and_a_strong_setting(entry: Entry) -> None:
    schema = REGISTRY.parameters_schema(entry.kind, entry)
    own = set(schema["properties"]) - {"warmup", "parameters"}
    assert len(settings_of(entry)) >= (2 if own else 1)


def test_the_representatives_are_one_of_each_stage_that_there_is() -> None:
    def stages(entries: list[tuple[str, str]]) -> list[Stage]:
        return [REGISTRY.load(REGISTRY.find(kind, name)).stage for kind, name in entries]  # type: ignore[attr-defined]

    chosen = stages([row[:2] for row in REPRESENTATIVES])
    assert len(chosen) == len(set(chosen))
    entries = first_party("augmentation", "trick")
    assert set(chosen) == set(stages([(entry.kind, entry.name) for entry in entries]))


UNSOURCED = {"shuffle", "constant"}
"""Nobody's in particular: what everything else is compared with."""


@pytest.mark.parametrize("entry", first_party(*OF_A_STEP), ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_every_technique_tells_its_source_its_limits_and_its_parameters(entry: Entry) -> None:
    gaps = documentation_gaps(REGISTRY.load(entry))
    assert [gap for gap in gaps if not (entry.name in UNSOURCED and gap.startswith("a reference"))] == []


EVERY = first_party(*OF_A_STEP, "dataset", "backbone")


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_every_component_describes_its_parameters_and_bounds_its_numbers(entry: Entry) -> None:
    assert [gap for gap in documentation_gaps(REGISTRY.load(entry)) if gap.startswith("the parameter")] == []
    assert unbounded_numbers(REGISTRY.parameters_schema(entry.kind, entry)) == []

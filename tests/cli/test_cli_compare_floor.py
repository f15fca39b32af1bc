"""Before both sides are trained, `compare --base` says where no difference of theirs could be significant."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.board import two_sample
from harness.board.compare_verdict import Rules, too_few
from harness.cli import compare_floor, comparing
from harness.cli.compare_floor import Foreseen, floor_note, foresee
from harness.record.plans import plan_hash
from harness.record.store import Store


def side(*arms: str, replicates: int = 6, **more: Any) -> Foreseen:
    told = {"alpha": 0.05, "seed": 0, "verdicts": True, **more}
    return Foreseen(frozenset(arms), replicates, **told)


def test_two_arms_take_seven_replicates_and_the_note_names_the_option() -> None:
    two = side("plain", "a")  # ceil(log2(2 * 2 / 0.05)) = ceil(6.32)
    assert floor_note([two, two]) == (
        "note: no verdict is possible: 2 arms on both sides, the baseline among them, take 7 replicates at alpha 0.05, "
        "and there are 6; give --replicates 7"
    )


@pytest.mark.parametrize(
    "sides",
    [
        (side("plain", "a", replicates=7), side("plain", "a", replicates=7)),
        (side("plain", "a"), side("plain", "b")),  # one arm in common takes 6
        (side("plain", "a", verdicts=False), side("plain", "a")),
        (side("plain"), side("b")),
        (None, side("plain", "a")),
        (
            side("plain", "a", seed=1),
            side("plain", "a"),
        ),  # unpaired: 2 / C(12, 6) = 1 / 462 is below 0.05 / 2
    ],
    ids=["enough", "fewer in common", "exploratory", "nothing in common", "not told", "unpaired"],
)
def test_nothing_is_said_where_a_verdict_is_possible_or_unwanted(sides: tuple[Any, Any]) -> None:
    assert floor_note(sides) == ""


def test_the_stricter_level_and_the_fewer_replicates_count() -> None:
    note = floor_note([side("plain", replicates=9), side("plain", replicates=1, alpha=0.01)])
    # ceil(log2(2 / 0.01)) = ceil(7.64)
    assert "1 arm on both sides" in note and "takes 8 replicates at alpha 0.01, and there is 1;" in note


def test_unpaired_sides_have_a_floor_of_their_own() -> None:
    # 2 / C(10, 5) = 0.0079, 2 / C(12, 6) = 0.0022, 2 / C(14, 7) = 0.00058; fewer than 5 know too little of a spread.
    assert [two_sample.needed_each(level) for level in (0.1, 0.05, 0.01, 0.005, 0.001)] == [5, 5, 5, 6, 7]


@pytest.mark.parametrize(("few", "told"), [(4, True), (5, False)])
def test_what_is_foreseen_of_unpaired_sides_is_what_the_comparison_says(few: int, told: bool) -> None:
    # 1 / C(44, 4) and 1 / C(45, 5) are both far below 0.05 / 20, which 5 against 5 would not reach.
    arms = [f"a{number}" for number in range(20)]
    note = floor_note([side(*arms, replicates=40), side(*arms, replicates=few, seed=1)])
    assert bool(note) == told
    assert not told or note.endswith("there are 4; give --replicates 6")
    rules = Rules(alpha=0.05, margin=0.1, equal_margin=0.1, family=20, seed=0)
    assert bool(too_few(None, 40, few, rules)) == told


def test_what_a_side_will_run_comes_from_its_own_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "s.toml"
    suite.write_text("schema = 1\nalpha = 0.1\nseed = 3\n")
    arms = [
        {"name": name, "compared": name != "teacher", "failure": "x" if name == "broken" else None}
        for name in ("plain", "a", "teacher", "broken")
    ]
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        seen.append(command)
        return SimpleNamespace(stdout=json.dumps({"arms": arms, "replicates": 4}).encode())

    monkeypatch.setattr(compare_floor.subprocess, "run", run)
    given: Any = SimpleNamespace(python="python", suite=suite, tree=tmp_path, environment=dict)
    assert foresee(given, ["--replicates", "4"]) == Foreseen(frozenset({"plain", "a"}), 4, 0.1, 3, True)
    assert seen[0][-3:] == ["--json", "--replicates", "4"]


def test_an_older_side_that_does_not_tell_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 2, stdout=b"no such option")
    monkeypatch.setattr(compare_floor.subprocess, "run", lambda *_, **__: done)
    given: Any = SimpleNamespace(python="python", suite=tmp_path / "s.toml", tree=tmp_path, environment=dict)
    assert foresee(given, []) is None


def test_a_folder_is_read_with_the_history_of_its_plan(tmp_path: Path) -> None:
    plan: dict[str, Any] = {"suite": "s", "baseline": "plain", "arms": [{"name": "plain"}], "trials": []}
    plan |= {"hash": plan_hash(plan)}
    Store(tmp_path).write_plan(plan)
    given = comparing._read(tmp_path)
    assert given.history is not None and given.history["plan"] == plan["hash"]


def test_a_suite_that_asks_for_no_verdicts_is_foreseen_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "s.toml"
    suite.write_text("schema = 1\nverdicts = false\n")
    arms = [{"name": "plain", "compared": True, "failure": None}]
    told = json.dumps({"arms": arms, "replicates": 4}).encode()
    monkeypatch.setattr(compare_floor.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=told))
    given: Any = SimpleNamespace(python="python", suite=suite, tree=tmp_path, environment=dict)
    found = foresee(given, [])
    assert found is not None and found.verdicts is False
    assert floor_note([found, found]) == ""


def test_folders_of_data_and_cache_are_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"HARNESS_DATA": "data", "HARNESS_CACHE": "../cache", "HARNESS_PLUGINS": "a", "PATH": "bin"}
    assert compare_floor.with_absolute_folders(given) == {
        "HARNESS_DATA": str(tmp_path / "data"),
        "HARNESS_CACHE": str(tmp_path.parent / "cache"),
        "HARNESS_PLUGINS": "a",
        "PATH": "bin",
    }
    assert compare_floor.with_absolute_folders({"HARNESS_DATA": ""}) == {"HARNESS_DATA": ""}

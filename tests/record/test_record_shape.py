"""A well sealed record that holds wrong types is set aside with its reason, and the board is built without it."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from harness.board import render
from harness.board.leaderboard import build
from harness.record.plans import plan_hash
from harness.record.record import canonical, dead_outcome, dead_timing, open_sealed, seal
from harness.record.store import Store

Json = dict[str, Any]

FORMATS = (render.json, render.csv, render.markdown, render.html, render.latex, render.model_index)
ARMS = ("plain", "good")
WHOLE_PLAN: Json = {
    "schema": 1,
    "protocol": 1,
    "suite": "s",
    "seed": 0,
    "replicates": 8,
    "baseline": "plain",
    "alpha": 0.05,
    "margin_points": 0.25,
    "verdicts": True,
    "timing": {"rounds": 2},
    "arms": [{"name": arm, "recipe": {}, "components": [], "varies": []} for arm in ARMS],
    "trials": [{"id": f"{arm}-{r}", "arm": arm, "replicate": r} for arm in ARMS for r in range(8)],
    "manifests": {},
    "plugins": [],
}
PLAN = plan_hash(WHOLE_PLAN)
NUMBERS = {"epoch": [1, 2], "train_loss": [2.0, 1.0], "validation_loss": [2.0, 1.5]}


def trial(arm: str, replicate: int) -> Json:
    top1 = 90.0 + 3.0 * (arm == "good") + 0.1 * replicate
    test = {"count": 100, "top1": top1, "nll": 0.2, "correct_bits": "", "metrics": {"top5": 99.0}}
    heading = {
        "schema": 1,
        "protocol": 1,
        "suite": "s",
        "plan": PLAN,
        "trial": f"{arm}-{replicate}",
        "arm": arm,
    }
    return {
        **dead_outcome("completed", None),
        **heading,
        "replicate": replicate,
        "attempt": 0,
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:09Z",
        "digests": {"order": f"o{replicate}", "final_weights": f"{arm}{replicate}"},
        "results": {"test": test, "validation": {"count": 9, "top1": top1, "nll": 0.2}},
        "curves": {**NUMBERS, "validation_top1": [80.0, 90.0], "learning_rate": [0.1, 0.05]},
        "loader": {"mode": "process", "workers": 0},
        "place": {"device": "cpu", "slot": 0},
        "observables": {"trick a": {"name": "fired", "value": 1.0}},
        "weights": {"digest": "w", "bytes": 8},
        "world_size": 1,
        "refs": {"host": None, "recipe": None},
    }


def timing(arm: str, number: int) -> Json:
    heading = {"schema": 1, "protocol": 1, "suite": "s", "plan": PLAN, "arm": arm, "round": number}
    return {
        **dead_timing("completed", None),
        **heading,
        "images_per_second": 100.0 + number,
        "augmentations": [],
        "refs": {"host": None},
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "s")
    store.write_plan({**WHOLE_PLAN, "hash": PLAN})
    for arm in ARMS:
        for replicate in range(8):
            store.write_trial(seal(trial(arm, replicate)))
        for number in range(2):
            store.write_timing(seal(timing(arm, number)))
    return store


def board_of(store: Store, *, is_flat: bool) -> Json:
    """Read the folder, build the board and render it in every format there is."""
    plan = store.read_plan()
    reading = store.read_flat(plan) if is_flat else store.read(plan)
    board = build(plan, reading.records, reading.timings, reading.set_aside, shared=reading.shared)
    Console(width=100, file=io.StringIO()).print(render.terminal(board))
    assert all(format_(board) for format_ in FORMATS)
    return board


def changed(record: Json, path: str, value: object) -> bytes:
    """Return a record with one value replaced, sealed as it is then."""
    record = copy.deepcopy(record)
    *folders, last = path.split("/")
    at = record
    for key in folders:
        at = at[key]
    at[last] = value
    return canonical(seal(record))


WRONG: tuple[tuple[str, object, str], ...] = (
    ("schema", [1], "schema [1], this harness reads 1"),
    ("schema", True, "schema True, this harness reads 1"),
    ("trial", None, "neither an attempt of a trial nor a round of an arm"),
    ("attempt", "x", "attempt is text, expected a whole number or null"),
    ("attempt", True, "attempt is true or false"),
    ("attempt", None, "neither an attempt"),
    ("finished_at", 3, "finished_at is a whole number, expected text or null"),
    ("changes", 1, "changes is a whole number, expected a list or null"),
    ("observables", 1, "observables is a whole number, expected a table or null"),
    ("world_size", 1.5, "world_size is a number with a point"),
    ("curves", [1], "curves is a list, expected a table or null"),
    ("curves/epoch", 3, "curves.epoch is a whole number, expected a list or null"),
    ("curves/train_loss", {"a": 1}, "curves.train_loss is a table"),
    ("digests/order", ["a"], "digests.order is a list, expected text or null"),
    ("refs/host", ["a"], "refs.host is a list, expected text or null"),
    ("results", 0, "results is a whole number, expected a table or null"),
    ("results/test", "x", "results.test is text, expected a table or null"),
    ("results/test/metrics", 3, "results.test.metrics is a whole number"),
    ("loader/mode", {"x": 1}, "loader.mode is a table, expected text or null"),
    ("place/device", [], "place.device is a list, expected text or null"),
)


@pytest.mark.parametrize(("path", "value", "told"), WRONG)
def test_a_trial_of_wrong_types_is_set_aside_and_the_board_is_built_without_it(
    store: Store, path: str, value: object, told: str
) -> None:
    file = store.trial_folder("good-0") / "0.json"
    file.write_bytes(changed(trial("good", 0), path, value))
    for is_flat in (False, True):
        board = board_of(store, is_flat=is_flat)
        (aside,) = board["set_aside"]
        assert aside["path"] == "trials/good-0/0.json" and told in aside["reason"]
        row = next(row for row in board["rows"] if row["arm"] == "good")
        assert (row["replicates"]["good"], row["replicates"]["missing"]) == (7, 1)


def test_a_timing_without_a_numbered_round_is_set_aside(store: Store) -> None:
    folder = store.root / "timings" / PLAN
    (folder / "x-good.json").write_bytes(changed(timing("good", 0), "round", "x"))
    (folder / "7-good.json").write_bytes(changed(timing("good", 7), "augmentations", 7))
    # A trial's record among the timings has no round at all.
    (folder / "None-good.json").write_bytes(canonical(seal(trial("good", 0))))
    board = board_of(store, is_flat=True)
    reasons = {Path(aside["path"]).name: aside["reason"] for aside in board["set_aside"]}
    assert "round is text, expected a whole number" in reasons["x-good.json"]
    assert "augmentations is a whole number, expected a list" in reasons["7-good.json"]
    assert (
        reasons["None-good.json"] == "a duplicate: it says that it is attempt 0 of good-0"
        and len(reasons) == 3
    )
    assert next(row for row in board["rows"] if row["arm"] == "good")["timing_rounds"] == 2


def keys_of(value: Json, above: str = "") -> Iterator[str]:
    for key, one in value.items():
        yield f"{above}{key}"
        if isinstance(one, dict):
            yield from keys_of(one, f"{above}{key}/")


@pytest.mark.parametrize("value", [3, "x\x00", [["x"]], {"x": [1]}, [1.7e308, "z", -1.7e308]], ids=repr)
def test_no_value_of_any_key_keeps_the_board_from_being_built(store: Store, value: object) -> None:
    """Every key of one trial in turn; what is neither set aside nor a number is taken for absent."""
    file = store.trial_folder("good-0") / "0.json"
    aside = 0
    for number, path in enumerate(keys_of(trial("good", 0))):
        file.write_bytes(changed(trial("good", 0), path, value))
        aside += bool(board_of(store, is_flat=bool(number % 2))["set_aside"])
    assert aside > 5


def test_a_dead_record_and_a_timing_are_well_shaped() -> None:
    dead = {**dead_outcome("oom", None), "schema": 1, "trial": "t", "attempt": 0, "refs": {}}
    for record in (dead, timing("plain", 0), trial("plain", 0)):
        sealed = canonical(seal(record))
        assert open_sealed(sealed) == orjson.loads(sealed)

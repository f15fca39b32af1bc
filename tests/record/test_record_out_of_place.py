"""A plan that was edited is refused; a record that contradicts the plan, or belongs to none, counts for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.board.leaderboard import build
from harness.errors import StoreError
from harness.record import flat
from harness.record.plans import plan_hash
from harness.record.record import canonical, dead_outcome, dead_timing, seal
from harness.record.store import Store

Json = dict[str, Any]
ARMS = ("plain", "good")
MANIFEST = {"hash": "m", "dataset": "d", "classes": 10, "splits": {"test": {"count": 100}}}


def a_plan(suite: str = "s", **more: Any) -> Json:
    plan = {
        "schema": 1,
        "protocol": 1,
        "suite": suite,
        "seed": 0,
        "replicates": 8,
        "baseline": "plain",
        "alpha": 0.05,
        "margin_points": 0.25,
        "equal_margin_points": 0.25,
        "verdicts": True,
        "timing": {"rounds": 1},
        "arms": [{"name": arm, "recipe": {"batch_size": 32, "arm": arm}, "data": "m"} for arm in ARMS],
        "trials": [{"id": f"{arm}-{r}", "arm": arm, "replicate": r} for arm in ARMS for r in range(8)],
        "manifests": {"m": MANIFEST},
        "plugins": [],
        **more,
    }
    return {**plan, "hash": plan_hash(plan)}


def a_record(store: Store, plan: Json, trial: Json) -> Json:
    arm = next(one for one in plan["arms"] if one["name"] == trial["arm"])
    top1 = 90.0 + 3.0 * (trial["arm"] == "good") + 0.1 * trial["replicate"]
    return {
        **dead_outcome("completed", None),
        "schema": 1,
        "protocol": 1,
        "suite": plan["suite"],
        "plan": plan["hash"],
        "trial": trial["id"],
        "arm": trial["arm"],
        "replicate": trial["replicate"],
        "attempt": 0,
        "results": {"test": {"count": 100, "top1": top1, "nll": 0.2}, "validation": None},
        "curves": {"epoch": [1.0, 2.0], "train_loss": [2.0, 1.0]},
        "digests": {"order": f"o{trial['replicate']}", "final_weights": trial["id"]},
        "budget": {"training_flops": 1e9},
        "seconds": {"train": 1.0},
        "refs": {"recipe": store.share(arm["recipe"]), "manifest": store.share(MANIFEST), "host": None},
    }


@pytest.fixture(params=["few", "many"])
def store(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a folder that is read as a few records are, and as a hundred thousand are."""
    if request.param == "many":
        monkeypatch.setattr(flat, "_FEWEST", 1)
        monkeypatch.setattr("threading.active_count", lambda: 1)
    return fill(Store(tmp_path / "s"), a_plan())


def fill(store: Store, plan: Json) -> Store:
    store.write_plan(plan)
    for trial in plan["trials"]:
        store.write_trial(seal(a_record(store, plan, trial)))
    for arm in ARMS:
        heading = {"schema": 1, "protocol": 1, "suite": plan["suite"], "plan": plan["hash"], "arm": arm}
        rate = {"images_per_second": 100.0, "refs": {}, "round": 0}
        store.write_timing(seal({**dead_timing("completed", None), **heading, **rate}))
    return store


def board_of(store: Store, *, is_flat: bool = True) -> Json:
    """Build the board of a folder that is read whole, or flat as many records are."""
    plan = store.read_plan()
    found = store.read_flat(plan) if is_flat else store.read(plan)
    return build(plan, found.records, found.timings, found.set_aside, shared=found.shared)


def row_of(board: Json, arm: str) -> Json:
    return next(row for row in board["rows"] if row["arm"] == arm)


def change(store: Store, trial: str, **changes: Any) -> None:
    path = store.trial_folder(trial) / "0.json"
    path.write_bytes(canonical(seal(orjson.loads(path.read_bytes()) | changes)))


EDITS: dict[str, Callable[[Json], object]] = {
    "alpha": lambda plan: plan.update(alpha=0.5),
    "the margin": lambda plan: plan.update(margin_points=0.001),
    "an arm's name": lambda plan: plan["arms"][1].update(name="else"),
    "a trial less": lambda plan: plan["trials"].pop(),
    "a key more": lambda plan: plan.update(equal_margin=30.0),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_plan_is_refused_in_one_line(store: Store, what: str) -> None:
    path = store.root / "plans" / f"{store.latest()}.json"
    assert store.read_plan() == a_plan()
    plan = store.read_plan()
    EDITS[what](plan)
    path.write_bytes(orjson.dumps(plan))
    with pytest.raises(StoreError, match="the plan was edited or damaged after it was written") as refused:
        store.read_plan()
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_plan_that_was_only_laid_out_anew_is_the_same(store: Store) -> None:
    path = store.root / "plans" / f"{store.latest()}.json"
    path.write_bytes(orjson.dumps(dict(reversed(list(store.read_plan().items())))))
    assert store.read_plan() == a_plan()


CONTRADICTIONS: dict[str, tuple[Json, str]] = {
    "trials of no arm": ({"arms": [{"name": "plain"}]}, 'its trials name the arm "good", which is none'),
    "no arms": ({"arms": None}, "not as plans have them"),
    "a trial that is text": ({"trials": ["plain-0"]}, "not as plans have them"),
    "a replicate in words": ({"trials": [{"id": "a", "arm": "good", "replicate": "one"}]}, "no whole number"),
    "an id that is none": ({"trials": [{"id": 3, "arm": "good", "replicate": 1}]}, "id is no text"),
}


@pytest.mark.parametrize("how", CONTRADICTIONS)
def test_a_plan_that_contradicts_itself_is_refused(tmp_path: Path, how: str) -> None:
    changes, told = CONTRADICTIONS[how]
    store = Store(tmp_path / "s")
    store.write_plan(a_plan(**changes))
    with pytest.raises(StoreError, match=told):
        store.read_plan()


OUT_OF_PLACE: dict[str, tuple[Json, str]] = {
    "suite": ({"suite": "other"}, "of another suite: it says 'other', the plan 's'"),
    "replicate": ({"replicate": 77}, "of another replicate: it says 77, the plan 5"),
    "replicate in words": ({"replicate": "one"}, "of another replicate: it says 'one', the plan 5"),
    "no refs": ({"refs": {}}, "it names no recipe and no manifest"),
    "no manifest": ({"refs": {"recipe": "r", "manifest": None}}, "it names no manifest"),
    "status": ({"status": "weird"}, "status is 'weird', expected one of completed, crashed, diverged"),
    "crash": ({"status": "crash"}, "status is 'crash', expected one of"),
    "above 100": ({"results": {"test": {"top1": 100.5}}}, "top1 is 100.5, expected points from 0 to 100"),
    "fewer test examples": (
        {"results": {"test": {"top1": 93.0, "count": 50}}},
        "judged on other test examples: it says 50 of them, the plan's data has 100",
    ),
    "no count of them": (
        {"results": {"test": {"top1": 93.0}}},
        "it says None of them, the plan's data has 100",
    ),
    "below 0": ({"results": {"test": {"top1": -1}}}, "top1 is -1, expected points from 0 to 100"),
}


@pytest.mark.parametrize("is_flat", [False, True])
@pytest.mark.parametrize("how", OUT_OF_PLACE)
def test_a_sealed_record_that_contradicts_its_place_is_set_aside(
    store: Store, how: str, is_flat: bool
) -> None:
    assert not board_of(store, is_flat=is_flat)["set_aside"]
    changes, told = OUT_OF_PLACE[how]
    change(store, "good-5", **changes)  # not the first of its kind, which is looked at in full
    board = board_of(store, is_flat=is_flat)
    (aside,) = board["set_aside"]
    assert aside["path"] == "trials/good-5/0.json" and told in aside["reason"]
    assert row_of(board, "good")["replicates"]["missing"] == 1


def test_the_arms_name_of_a_record_says_nothing(store: Store) -> None:
    before = board_of(store)
    change(store, "good-0", arm="an earlier name")
    assert board_of(store)["set_aside"] == [] and row_of(board_of(store), "good") == row_of(before, "good")


def test_a_timing_of_another_plan_or_suite_is_set_aside(store: Store) -> None:
    path = store.timing_path(store.latest(), 0, "good")
    for key in ("plan", "suite"):
        before = path.read_bytes()
        path.write_bytes(canonical(seal(orjson.loads(before) | {key: "other"})))
        (aside,) = board_of(store)["set_aside"]
        assert aside["reason"].startswith(f"of another {key}: it says 'other'")
        path.write_bytes(before)
    assert not board_of(store)["set_aside"]


@pytest.mark.parametrize("is_flat", [False, True])
def test_trials_of_no_plan_are_counted_and_those_of_an_earlier_plan_are_not(
    store: Store, is_flat: bool
) -> None:
    # An earlier plan of the same folder had an arm more; so has a plan of the folder's search.
    trials = [{"id": f"earlier-{r}", "arm": "earlier", "replicate": r} for r in range(2)]
    arms = [*a_plan()["arms"], {"name": "earlier", "recipe": {}, "data": "m"}]
    earlier = a_plan(arms=arms, trials=[*a_plan()["trials"], *trials])
    store.write_plan(earlier, is_latest=False)
    for trial in trials:
        store.write_trial(seal(a_record(store, earlier, trial)))
    (store.root / "trials" / ".DS_Store").mkdir()
    (store.root / "trials" / "notes.txt").write_text("mine")
    board = board_of(store, is_flat=is_flat)
    assert board["set_aside"] == [] and board["stamps"] == []
    for number in range(3):
        shutil.copytree(store.trial_folder("good-1"), store.trial_folder(f"stranger-{number}"))
    board = board_of(store, is_flat=is_flat)
    assert [one["path"] for one in board["set_aside"]] == [f"trials/stranger-{n}" for n in range(3)]
    assert board["stamps"] == ["3 trial folders belong to no plan of this folder, left out"]
    # Without the earlier plan its trials are strangers as well.
    (store.root / "plans" / f"{earlier['hash']}.json").unlink()
    assert "5 trial folders belong" in board_of(store, is_flat=is_flat)["stamps"][0]


def test_what_is_missing_is_called_missing_and_no_path_of_this_machine_is_told(
    store: Store, tmp_path: Path
) -> None:
    assert row_of(board_of(store), "good")["verdict"] == "better"
    shutil.rmtree(store.root / "shared")
    board = board_of(store)
    assert [one["reason"].partition(":")[0] for one in board["set_aside"]] == ["missing"] * 3
    assert all(one["path"].startswith("shared/") for one in board["set_aside"])
    assert str(tmp_path) not in orjson.dumps(board).decode()
    assert board["stamps"] == ["comparability checked by hashes alone: 3 shared files are missing or damaged"]
    # The hashes say that every recipe and the manifest are those of the plan.
    assert row_of(board, "good")["verdict"] == "better" and board["comparability"]["left_out"] == 0


def test_a_record_made_with_something_else_that_is_missing_is_left_out(store: Store) -> None:
    other = store.share({"batch_size": 512, "arm": "good"})
    path = store.trial_folder("good-0") / "0.json"
    refs = orjson.loads(path.read_bytes())["refs"]
    change(store, "good-0", refs={**refs, "recipe": other})
    assert "they differ in world_size × batch_size" in board_of(store)["stamps"][0]
    (store.root / "shared" / f"{other}.json").unlink()
    board = board_of(store)
    assert board["comparability"]["left_out"] == 1
    assert "they differ in recipe" in board["stamps"][0]
    assert board["stamps"][1] == "comparability checked by hashes alone: 1 shared file is missing or damaged"

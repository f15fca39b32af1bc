"""Trials whose records name another plan than the board's: told, where the log of plans has not told of as many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.board import render
from harness.board.leaderboard import build
from harness.record.history import history_of
from harness.record.merge import merge
from harness.record.plans import plan_hash
from harness.record.record import seal
from harness.record.store import Store

Json = dict[str, Any]

WORDS = (
    "run under another plan: 6 of 20 trials of the arms that are compared; they do not show that this plan (its arms, "
    "replicates, level, margins and claims) was fixed before them"
)


def board_of(made: Any, *, history: Json | None = None) -> Json:
    board: Json = build(made.plan, made.records, made.timings, shared=made.shared, history=history)
    return board


@pytest.fixture
def made(inputs: Callable[..., Any]) -> Any:
    """Return a study of a baseline and two arms, ten replicates each; of one arm six were run under another plan."""
    found = inputs({"plain": 0.0, "a": 1.0, "b": 0.5}, 10)
    for record in found.of("a")[:6]:
        record["plan"] = "another"
    return found


def line(there: int) -> Json:
    counts = {"trials": 30, "there": there, "judged": 20, "judged_there": there}
    return {"plan": "p", "at": "now", **counts, "earlier": None, "late_claims": []}


def test_trials_of_another_plan_are_counted_in_every_format(made: Any) -> None:
    board = board_of(made)
    assert board["run_under_other_plans"] == {"judged": 20, "others": 6}
    assert WORDS in board["stamps"]
    for text in (render.markdown(board), render.html(board), render.latex(board)):
        assert "run under another plan: 6 of 20 trials" in text
    assert orjson.loads(render.json(board))["run_under_other_plans"]["others"] == 6


@pytest.mark.parametrize(("there", "is_told"), [(0, True), (5, True), (6, False), (20, False)])
def test_what_the_log_has_told_is_not_told_again(made: Any, there: int, is_told: bool) -> None:
    assert ("run_under_other_plans" in board_of(made, history=line(there))) is is_told


def test_a_baseline_of_another_plan_and_records_that_name_none_are_not_told(
    inputs: Callable[..., Any],
) -> None:
    found = inputs({"plain": 0.0, "a": 1.0}, 10)
    as_it_was = board_of(found)
    for record in found.of("plain"):
        record["plan"] = "another"
    for record in found.of("a"):
        record.pop("plan")
    board = board_of(found)
    assert board["stamps"] == as_it_was["stamps"] and "run_under_other_plans" not in board


def test_an_arm_that_is_not_compared_is_not_asked_for(made: Any) -> None:
    made.plan["arms"][1]["compared"] = False  # trained for others, as a teacher is
    assert "run_under_other_plans" not in board_of(made)


def test_arms_that_share_their_trials_count_them_once(made: Any) -> None:
    for trial in made.plan["trials"]:
        if trial["arm"] == "b":
            trial["id"] = f"a/{trial['replicate']}"
    made.records = [record for record in made.records if record["arm"] != "b"]
    assert board_of(made)["run_under_other_plans"] == {"judged": 10, "others": 6}


def with_rules(made: Any, alpha: float) -> Json:
    plan = {**made.plan, "suite": "s", "alpha": alpha}
    return {**plan, "hash": plan_hash(plan)}


def run(store: Store, made: Any, plan: Json) -> None:
    """Store a plan, then run its trials, as far as they have no record."""
    store.write_plan(plan)
    recipes = {arm["name"]: store.share(arm["recipe"]) for arm in plan["arms"]}
    for record in made.records:
        number = record["replicate"]
        trial = f"{record['arm']}-{number}"
        if not store.attempts(trial):
            refs = {"recipe": recipes[record["arm"]], "manifest": store.share(plan["manifests"]["m"])}
            own = {"suite": "s", "plan": plan["hash"], "trial": trial, "attempt": 0, "refs": refs}
            store.write_trial(seal({**record, **own}))


def read_board(store: Store, plan: Json) -> Json:
    reading = store.read_flat(plan)
    history = history_of(store.root, plan["hash"])
    board: Json = build(
        plan, reading.records, reading.timings, reading.set_aside, shared=reading.shared, history=history
    )
    return board


@pytest.fixture
def study(inputs: Callable[..., Any]) -> Any:
    found = inputs({"plain": 0.0, "a": 1.0}, 6)
    for trial in found.plan["trials"]:
        trial["id"] = trial["id"].replace("/", "-")
    return found


def test_of_plans_that_were_stored_before_the_run_the_one_that_was_run_alone_is_not_told(
    study: Any, tmp_path: Path
) -> None:
    store, plans = Store(tmp_path / "s"), [with_rules(study, alpha) for alpha in (0.01, 0.05, 0.1)]
    for plan in plans:
        store.write_plan(plan)
    run(store, study, plans[1])
    told = [read_board(store, plan).get("run_under_other_plans") for plan in plans]
    assert told == [{"judged": 6, "others": 6}, None, {"judged": 6, "others": 6}]
    assert not any("rules_fixed_late" in read_board(store, plan) for plan in plans)


def test_records_that_are_merged_into_a_plan_of_before_are_told_and_its_own_are_not(
    study: Any, tmp_path: Path
) -> None:
    here, there = Store(tmp_path / "here" / "s"), Store(tmp_path / "there" / "s")
    mine, theirs = with_rules(study, 0.05), with_rules(study, 0.1)
    here.write_plan(mine)
    run(there, study, theirs)
    merge(here.root, [there.root])
    board = read_board(here, mine)
    assert board["run_under_other_plans"] == {"judged": 6, "others": 6}
    other = Store(tmp_path / "other" / "s")
    run(other, study, mine)
    again = Store(tmp_path / "again" / "s")
    again.write_plan(mine)
    merge(again.root, [other.root])
    assert "run_under_other_plans" not in read_board(again, mine)


def test_a_plan_that_came_after_the_run_is_told_by_the_log_or_where_that_is_gone_by_the_records(
    study: Any, tmp_path: Path
) -> None:
    store, last = Store(tmp_path / "s"), with_rules(study, 0.1)
    run(store, study, with_rules(study, 0.05))
    store.write_plan(last)
    board = read_board(store, last)
    assert "rules_fixed_late" in board and "run_under_other_plans" not in board
    (store.root / "plans" / "log.jsonl").unlink()
    board = read_board(store, last)
    assert "rules_fixed_late" not in board and "run_under_other_plans" in board


def test_a_narrow_plan_that_was_begun_elsewhere_does_not_hide_what_is_merged_into_it(
    inputs: Callable[..., Any], tmp_path: Path
) -> None:
    """Three arms run here; one of them alone begun there, so that its plan is old; then all is merged there."""
    wide = inputs({"plain": 0.0, "a": 1.0, "b": 0.5, "c": 0.0}, 6)
    narrow = inputs({"plain": 0.0, "a": 1.0}, 6)
    for found in (wide, narrow):
        for trial in found.plan["trials"]:
            trial["id"] = trial["id"].replace("/", "-")
    here, there = Store(tmp_path / "here" / "s"), Store(tmp_path / "there" / "s")
    run(here, wide, with_rules(wide, 0.05))
    mine = with_rules(narrow, 0.05)
    narrow.records = narrow.of("a")[:1]
    run(there, narrow, mine)
    merge(there.root, [here.root])
    board = read_board(there, mine)
    assert {row["replicates"]["good"] for row in board["rows"]} == {6}
    assert board["run_under_other_plans"]["others"] >= 5
    assert any(stamp.startswith("run under another plan: ") for stamp in board["stamps"])

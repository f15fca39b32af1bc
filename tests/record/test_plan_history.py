"""The log of plans: what had been run when each was stored, in facts that a later hand does not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.cli import boards
from harness.record import index
from harness.record.history import history_of
from harness.record.merge import merge
from harness.record.other_looks import count_other_arms
from harness.record.plans import plan_hash
from harness.record.record import dead_outcome, trial_record
from harness.record.store import Store

Json = dict[str, Any]


def a_plan(
    *arms: str, replicates: int = 6, alpha: float = 0.05, claims: tuple[Json, ...] = (), **more: Any
) -> Json:
    names = ("plain", *arms)
    plan: Json = {
        "schema": 1,
        "protocol": 1,
        "suite": "s",
        "seed": 0,
        "baseline": "plain",
        "replicates": replicates,
        "alpha": alpha,
        "margin_points": 0.1,
        "verdicts": False,
        "arms": [{"name": name, "recipe": {}, "data": "m"} for name in names],
        "manifests": {"m": {"hash": "m"}},
        "claims": list(claims),
        "trials": [
            {"id": f"{name}-{r}", "arm": name, "replicate": r} for r in range(replicates) for name in names
        ],
        **more,
    }
    return {**plan, "hash": plan_hash(plan)}


def a_claim(arm: str, claimed: float = 1.0, **more: Any) -> Json:
    return {
        "name": "c",
        "source": "s",
        "arm": arm,
        "against": "plain",
        "metric": "top1",
        "claimed": claimed,
        **more,
    }


def run(store: Store, plan: Json, arms: tuple[str, ...] | None = None, replicates: int | None = None) -> str:
    """Store a plan, then make the records of it that are missing, as a run does; return its hash."""
    store.write_plan(plan)
    for trial in plan["trials"]:
        wanted = arms is None or trial["arm"] in arms
        if (
            wanted
            and (replicates is None or trial["replicate"] < replicates)
            and not store.attempts(trial["id"])
        ):
            heading = {"protocol": 1, "suite": "s", "plan": plan["hash"], "attempt": 0}
            heading |= {"trial": trial["id"], "arm": trial["arm"], "replicate": trial["replicate"]}
            outcome = {**dead_outcome("completed", None), "results": {"test": {"top1": 90.0}}}
            store.write_trial(
                trial_record(outcome, heading=heading, refs={}, started_at="a", finished_at="b")
            )
    return str(plan["hash"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s")


def told(store: Store, plan: str) -> Json:
    found = history_of(store.root, plan)
    assert found is not None
    return found


def test_a_plan_stored_before_its_run_has_nothing_there_however_often_it_runs(store: Store) -> None:
    plan = a_plan("a", "b")
    run(store, plan)
    run(store, a_plan("a"))
    run(store, plan)
    line = told(store, plan["hash"])
    assert (line["trials"], line["there"], line["judged"], line["judged_there"]) == (18, 0, 12, 0)
    assert line["earlier"] is None and line["late_claims"] == []


def test_a_plan_stored_after_the_run_tells_what_was_there_and_which_plans_judged_it(store: Store) -> None:
    run(store, a_plan("a", "b", replicates=6))
    run(store, a_plan("a", replicates=8))
    last = run(store, a_plan("a", replicates=5, alpha=0.3))
    line = told(store, last)
    assert (line["trials"], line["there"], line["judged"], line["judged_there"]) == (10, 10, 5, 5)
    assert line["earlier"] == {
        "plans": 2,
        "family": [1, 2],
        "alpha": [0.05, 0.05],
        "margin_points": [0.1, 0.1],
        "replicates": [6, 8],
    }


def test_replicates_added_after_a_look_count_those_that_were_there(store: Store) -> None:
    run(store, a_plan("a", replicates=10))
    line = told(store, run(store, a_plan("a", replicates=20)))
    assert (line["trials"], line["there"], line["judged"], line["judged_there"]) == (40, 20, 20, 10)


def test_an_arm_added_beside_the_baseline_has_only_the_baseline_there(store: Store) -> None:
    run(store, a_plan("a"))
    line = told(store, run(store, a_plan("b")))
    assert (line["there"], line["judged_there"], line["earlier"]) == (6, 0, None)


def test_an_arm_that_is_not_compared_is_not_judged(store: Store) -> None:
    plan = a_plan("a", "teacher")
    plan["arms"][2]["compared"] = False
    run(store, {**plan, "hash": plan_hash(plan)}, arms=("plain", "teacher"))
    assert told(store, run(store, a_plan("a")))["judged_there"] == 0


def test_a_checkpoint_without_a_record_is_no_result(store: Store) -> None:
    plan = a_plan("a")
    run(store, plan, arms=())
    folder = store.trial_folder("a-0")
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").write_bytes(b"x")
    assert told(store, run(store, a_plan("a", alpha=0.1), arms=()))["there"] == 0
    (folder / "1.json").write_bytes(b"{}")  # of a second attempt, the first having left nothing
    assert told(store, run(store, a_plan("a", alpha=0.2), arms=()))["there"] == 1


def test_a_claim_is_late_where_no_earlier_plan_made_it_and_its_trials_were_there(store: Store) -> None:
    run(store, a_plan("a", "b", claims=(a_claim("a"),)))
    second = told(store, run(store, a_plan("a", "b", claims=(a_claim("a", name="renamed"), a_claim("b")))))
    assert len(second["late_claims"]) == 1  # that of b; the other one had been made, whatever its name
    # A claim that was late once is late in every plan after it.
    third = told(store, run(store, a_plan("a", "b", alpha=0.1, claims=(a_claim("b"),))))
    assert third["late_claims"] == second["late_claims"]
    other = told(store, run(store, a_plan("a", "b", "c", claims=(a_claim("c"), a_claim("a", 2.0)))))
    assert len(other["late_claims"]) == 1  # another effect is another claim; of c there was nothing


def test_a_plan_keeps_its_first_line_when_its_file_is_deleted(store: Store) -> None:
    plan = a_plan("a")
    path = store.write_plan(plan)
    run(store, plan)
    path.unlink()
    run(store, plan)
    assert told(store, plan["hash"])["there"] == 0
    assert len((store.root / "plans" / "log.jsonl").read_bytes().splitlines()) == 1


def test_an_older_folder_has_no_history_of_its_plans_and_counts_them_for_later_ones(store: Store) -> None:
    old = run(store, a_plan("a"))
    (store.root / "plans" / "log.jsonl").unlink()
    run(store, a_plan("a"))
    assert history_of(store.root, old) is None
    assert not (store.root / "plans" / "log.jsonl").exists()
    assert told(store, run(store, a_plan("a", alpha=0.1)))["earlier"]["plans"] == 1


def test_a_search_is_not_noted_nor_an_earlier_plan(store: Store) -> None:
    search = run(store, a_plan("a", tuning={"is_search": True}))
    assert history_of(store.root, search) is None
    assert told(store, run(store, a_plan("a")))["earlier"] is None


@pytest.mark.parametrize(
    "noise",
    [b"", b'{"plan": "torn', b"\xff\x00", b"[1]", b'{"plan": "p", "at": "now"}'],
    ids=["empty", "torn", "bytes", "list", "foreign"],
)
def test_what_is_torn_or_foreign_is_ignored_and_harms_no_line_after_it(store: Store, noise: bytes) -> None:
    first = run(store, a_plan("a"))
    with (store.root / "plans" / "log.jsonl").open("ab") as file:
        file.write(noise)
    second = run(store, a_plan("a", alpha=0.1))
    assert told(store, first)["there"] == 0 and told(store, second)["there"] == 12


def test_a_line_with_wrong_values_says_nothing(store: Store) -> None:
    run(store, a_plan("a"))
    plan = run(store, a_plan("a", alpha=0.1))
    path = store.root / "plans" / "log.jsonl"
    line = orjson.loads(path.read_bytes().splitlines()[-1])
    for wrong in ({"there": "12"}, {"earlier": {"plans": 1}}, {"late_claims": [1]}, {"judged_there": True}):
        path.write_bytes(orjson.dumps({**line, **wrong}) + b"\n")
        assert history_of(store.root, plan) is None


def test_merging_into_a_new_folder_brings_the_history_along_and_once(store: Store, tmp_path: Path) -> None:
    run(store, a_plan("a", "b"))
    late = run(store, a_plan("a", "b", alpha=0.1))
    into = tmp_path / "joined" / "s"
    merge(into, [store.root])
    assert history_of(into, late) == told(store, late)
    before = (into / "plans" / "log.jsonl").read_bytes()
    merge(into, [store.root])
    assert (into / "plans" / "log.jsonl").read_bytes() == before


def test_of_two_folders_the_one_that_had_run_more_by_then_counts(store: Store, tmp_path: Path) -> None:
    run(store, a_plan("a"))
    late = run(store, a_plan("a", alpha=0.1))
    other = Store(tmp_path / "other" / "s")
    run(other, a_plan("a", alpha=0.1))
    merge(other.root, [store.root])
    assert told(other, late)["judged_there"] == 6


def test_merging_a_folder_without_a_log_makes_none(store: Store, tmp_path: Path) -> None:
    run(store, a_plan("a"))
    (store.root / "plans" / "log.jsonl").unlink()
    merge(tmp_path / "joined" / "s", [store.root])
    assert not (tmp_path / "joined" / "s" / "plans" / "log.jsonl").exists()


def test_the_board_says_it_and_a_changed_log_is_noticed(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "YOUNG_SECONDS", -3600.0)  # else the test would sleep for two seconds
    run(store, a_plan("a", "b"))
    plan = run(store, a_plan("a"))
    boards.rebuild(store.root, as_json=False)
    assert "rules fixed late: 12 of 12 trials" in capsys.readouterr().out
    path = store.root / "plans" / "log.jsonl"
    path.write_bytes(b"\n".join(line for line in path.read_bytes().splitlines() if plan.encode() not in line))
    boards.rebuild(store.root, as_json=False)
    assert "rules fixed late" not in capsys.readouterr().out


def test_other_arms_that_were_compared_with_the_same_baseline_trials_are_counted(store: Store) -> None:
    looks = [told(store, run(store, a_plan(arm)))["other_arms"] for arm in ("a", "b", "c")]
    assert looks == [0, 1, 2]
    # An arm that was judged before is told of by its plan; what that plan compares is no other arm.
    assert told(store, run(store, a_plan("a", "b", "c", alpha=0.1)))["other_arms"] == 0
    # However many plans compare an arm, it is one.
    assert told(store, run(store, a_plan("d", replicates=8)))["other_arms"] == 3


def test_an_arm_of_which_no_pair_was_seen_was_not_compared(store: Store) -> None:
    run(store, a_plan("a"), arms=("a",))
    assert told(store, run(store, a_plan("b"), arms=("plain",)))["other_arms"] == 0
    # By now the baseline of `a` is there; `b` was never run.
    assert told(store, run(store, a_plan("c"), arms=()))["other_arms"] == 1


def test_parts_of_a_plan_that_are_run_by_themselves_are_no_other_arms_of_it(store: Store) -> None:
    run(store, a_plan("a"))
    run(store, a_plan("b"))
    line = told(store, run(store, a_plan("a", "b", "c")))
    assert (line["judged_there"], line["other_arms"]) == (12, 0)


def test_copies_of_the_baseline_and_arms_that_are_not_compared_are_no_other_arms(store: Store) -> None:
    for key, value in (("copy_of", "plain"), ("compared", False)):
        plan = a_plan(key)
        plan["arms"][1][key] = value
        run(store, {**plan, "hash": plan_hash(plan)})
    assert told(store, run(store, a_plan("a")))["other_arms"] == 0


def test_arms_beside_other_baseline_trials_are_no_other_arms(store: Store) -> None:
    run(store, with_seed(a_plan("a"), 7))
    assert told(store, run(store, a_plan("b")))["other_arms"] == 0


def with_seed(plan: Json, seed: int) -> Json:
    """Return a plan with another seed, hence other trials, in which every arm has a recipe of its own."""
    plan = {**plan, "seed": seed}
    plan["arms"] = [{**arm, "recipe": {"of": arm["name"]}} for arm in plan["arms"]]
    plan["trials"] = [{**trial, "id": f"{trial['id']}-seed-{seed}"} for trial in plan["trials"]]
    return {**plan, "hash": plan_hash(plan)}


def test_arms_of_the_same_recipes_with_another_seed_are_told(store: Store) -> None:
    first, second, third = (with_seed(a_plan("a", "b"), seed) for seed in (0, 7, 8))
    lines = [told(store, run(store, plan)) for plan in (first, second, third)]
    assert [line["other_seeds"] for line in lines] == [0, 1, 2]
    assert all(line["judged_there"] == 0 == line["other_arms"] for line in lines)
    # Neither another arm, nor the same seed once more, nor a plan that was never run.
    assert told(store, run(store, with_seed(a_plan("c"), 9), arms=()))["other_seeds"] == 0
    assert told(store, run(store, with_seed(a_plan("c"), 10)))["other_seeds"] == 0
    assert told(store, run(store, with_seed(a_plan("a"), 8)))["other_seeds"] == 2


def test_a_line_of_before_the_other_looks_were_counted_has_none(store: Store) -> None:
    plan = run(store, a_plan("a"))
    path = store.root / "plans" / "log.jsonl"
    line = orjson.loads(path.read_bytes())
    del line["other_arms"], line["other_seeds"]
    path.write_bytes(orjson.dumps(line) + b"\n")
    assert (told(store, plan)["other_arms"], told(store, plan)["other_seeds"]) == (0, 0)


def test_of_two_folders_the_one_that_had_compared_more_arms_counts(store: Store, tmp_path: Path) -> None:
    run(store, a_plan("a"))
    late = run(store, a_plan("b"))
    other = Store(tmp_path / "other" / "s")
    run(other, a_plan("b"))
    merge(other.root, [store.root])
    assert told(other, late)["other_arms"] == 1


def test_a_claim_follows_its_trials_not_the_names_of_its_arms(store: Store) -> None:
    """Cells of a grid in another order: what was `a` is now `a.1`."""
    first = a_plan("a", "a.1", claims=(a_claim("a"),))
    swap = {"plain": "plain", "a": "a.1", "a.1": "a"}
    trials = [{**trial, "arm": swap[trial["arm"]]} for trial in first["trials"]]
    run(store, first)
    swapped = {**first, "trials": trials}
    line = told(store, run(store, {**swapped, "hash": plan_hash(swapped)}))
    assert line["judged_there"] == 12 and len(line["late_claims"]) == 1
    renamed = {**swapped, "claims": [a_claim("a.1")]}
    assert told(store, run(store, {**renamed, "hash": plan_hash(renamed)}))["late_claims"] == []


def test_a_claim_on_an_arm_that_shares_its_trials_with_another_is_late_too(store: Store) -> None:
    run(store, a_plan("a"))
    plan = a_plan("a", "twin", claims=(a_claim("a"),))
    plan["trials"] = [{**trial, "id": trial["id"].replace("twin", "a")} for trial in plan["trials"]]
    assert len(told(store, run(store, {**plan, "hash": plan_hash(plan)}))["late_claims"]) == 1


def test_a_look_at_other_replicates_than_a_plan_has_is_none_at_its_baseline() -> None:
    """Of the two replicates that the plan shares with the earlier one, no baseline trial had been run."""
    plan, earlier = a_plan("a", replicates=2), a_plan("b")
    recorded = {f"{arm}-{number}" for arm in ("plain", "b") for number in (2, 3)}
    assert count_other_arms(plan, [earlier], recorded) == 0
    assert count_other_arms(plan, [earlier], recorded | {"plain-1"}) == 1


def test_an_arm_that_two_plans_compared_with_unlike_replicates_is_one(store: Store) -> None:
    run(store, a_plan("b", replicates=6))
    run(store, a_plan("b", replicates=8))
    assert told(store, run(store, a_plan("a")))["other_arms"] == 1


def test_in_a_grid_an_arm_was_compared_with_the_baseline_of_its_own_cell(store: Store) -> None:
    """The first cell was never run; in the second, `b.1` was held against `plain.1`."""
    first = a_plan("b", "plain.1", "b.1")
    first["arms"][3]["against"] = "plain.1"
    first["arms"][2]["against"] = "plain.1"
    run(store, {**first, "hash": plan_hash(first)}, arms=("plain.1", "b.1"))
    second = a_plan("a", "plain.1", "a.1")
    second["arms"][3]["against"] = second["arms"][2]["against"] = "plain.1"
    assert told(store, run(store, {**second, "hash": plan_hash(second)}))["other_arms"] == 1


def test_an_arm_that_was_run_beside_another_baseline_is_not_the_same_look_with_another_seed(
    store: Store,
) -> None:
    first, second = (with_seed(a_plan("a"), seed) for seed in (0, 7))
    first["arms"][0]["recipe"] = {"of": "another baseline"}
    run(store, {**first, "hash": plan_hash(first)})
    assert told(store, run(store, second))["other_seeds"] == 0

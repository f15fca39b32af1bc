"""What may be compared: groups of records and timings, the largest of which counts; nothing else is pooled."""

from __future__ import annotations

import copy
import random
import statistics
from typing import Any

import pytest

from harness.board import render
from harness.board.comparability import accuracy_entries, differing, speed_entries
from harness.board.leaderboard import build
from harness.registry.digests import digest_json


def board_of(given: Any, **options: Any) -> dict[str, Any]:
    return build(given.plan, given.records, given.timings, shared=given.shared, **options)


def row_of(board: dict[str, Any], arm: str) -> dict[str, Any]:
    return next(row for row in board["rows"] if row["arm"] == arm)


def machine(given: Any, name: str, **speed: Any) -> None:
    """Add a host whose speed part differs."""
    host = copy.deepcopy(given.shared["host"])
    host["speed"] |= speed
    given.shared[name] = host


def timed_elsewhere(given: Any, name: str, factor: float, rounds: int) -> None:
    """Add timings of another machine, `factor` times as fast, for so many rounds."""
    for timing in [timing for timing in given.timings if timing["round"] < rounds]:
        other = copy.deepcopy(timing)
        other["images_per_second"] *= factor
        other["refs"]["host"] = name
        other["content_hash"] += name
        given.timings.append(other)


def test_one_kind_of_everything_leaves_nothing_out(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    told = board_of(given)["comparability"]
    assert told["left_out"] == 0
    assert told["mixed"] is False
    [accuracy], [speed] = told["accuracy"], told["speed"]
    assert (accuracy["trials"], accuracy["shown"], accuracy["differs"]) == (20, True, {})
    assert (speed["timings"], speed["shown"], speed["differs"]) == (6, True, {})


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("cores", 4, "cores: 2 here, 4 there"),
        ("usable_cores", 1, "usable_cores: none here, 1 there"),
        ("memory_bytes", 2**35, "memory: none here, 32 GiB there"),
        (
            "gpus",
            [{"model": "H200", "memory_mib": 143771, "power_limit_watts": 500}],
            "gpus: none here, model H200 memory_mib 143771 power_limit_watts 500 there",
        ),
        ("driver", "580.65", "driver: none here, 580 there"),
    ],
)
def test_a_machine_that_differs_in_what_speed_hangs_on_is_told_apart(
    inputs: Any, key: str, value: Any, told: str
) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    machine(given, "other", **{key: value})
    timed_elsewhere(given, "other", 3.0, rounds=2)
    alone = inputs({"plain": 0.0, "arm": 0.5})
    board = board_of(given)
    for arm in ("plain", "arm"):
        for column in ("images_per_second", "images_per_second_ratio", "timing_rounds"):
            assert row_of(board, arm)[column] == row_of(board_of(alone), arm)[column]
    groups = board["comparability"]["speed"]
    assert [(group["timings"], group["shown"]) for group in groups] == [(6, True), (4, False)]
    assert list(groups[1]["differs"]) == [f"speed.{key}"]
    assert board["comparability"]["left_out"] == 4
    [note] = [stamp for stamp in board["stamps"] if stamp.startswith("speed and memory:")]
    assert "4 of 10 timings left out" in note
    assert note.endswith(f"(they differ in {told})")


@pytest.mark.parametrize(
    "change",
    [
        {"speed": {"kernel": "6.9"}},
        {"shown": {"host": "another"}},
        {"speed": {"memory_bytes": 2**34 + 2**20}},
        {"speed": {"driver": "570.2"}},
    ],
)
def test_host_name_kernel_and_minor_versions_do_not_tell_machines_apart(inputs: Any, change: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    given.shared["host"]["speed"] |= {"memory_bytes": 2**34, "driver": "570.1", "kernel": "6.8"}
    given.shared["same"] = {
        part: {**value, **change.get(part, {})} for part, value in given.shared["host"].items()
    }
    given.timings[0]["refs"] = {"host": "same"}
    assert len(board_of(given)["comparability"]["speed"]) == 1


def test_of_two_equal_groups_the_first_of_the_plan_is_shown_whatever_the_order(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5}, rounds=1)
    machine(given, "other", cores=64)
    given.timings[1]["refs"] = {"host": "other"}  # round 0 of `arm`, which comes after `plain`
    first = board_of(given)
    assert [group["differs"] for group in first["comparability"]["speed"]] == [
        {"speed.cores": 2},
        {"speed.cores": 64},
    ]
    assert row_of(first, "plain")["images_per_second"] is not None
    assert row_of(first, "arm")["images_per_second"] is None
    random.Random(0).shuffle(given.timings)
    assert render.json(board_of(given)) == render.json(first)


def test_rounds_of_different_machines_are_not_paired_even_when_they_are_pooled(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5}, rounds=3)
    machine(given, "other", cores=64)
    timed_elsewhere(given, "other", 5.0, rounds=2)
    rates = {
        arm: [t["images_per_second"] for t in given.timings if t["arm"] == arm] for arm in ("plain", "arm")
    }
    board = board_of(given, allow_mixed=True)
    ratios = [own / base for own, base in zip(rates["arm"], rates["plain"], strict=True)]
    row = row_of(board, "arm")
    assert row["timing_rounds"] == 5
    assert row["images_per_second_ratio"]["rounds"] == 5
    assert row["images_per_second_ratio"]["mean"] == pytest.approx(statistics.geometric_mean(ratios))
    # Unpaired or crossed rounds would reach a ratio of five.
    assert row["images_per_second_ratio"]["high"] == pytest.approx(max(ratios))
    assert row["images_per_second"] == pytest.approx(statistics.geometric_mean(rates["arm"]))
    assert board["comparability"]["mixed"] is True
    assert all(group["shown"] for group in board["comparability"]["speed"])
    assert any(stamp.startswith("mixed speed and memory: 10 timings of 2 kinds") for stamp in board["stamps"])


def test_of_two_timings_of_one_round_on_one_machine_the_first_that_ended_counts(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5}, rounds=1)
    for timing in given.timings:
        timing["finished_at"] = "2026-01-01T00:00:05Z"
    again = copy.deepcopy(given.timings[1])
    again |= {"images_per_second": 1e9, "finished_at": "2026-01-02T00:00:00Z", "content_hash": "0"}
    wanted = row_of(board_of(given), "arm")["images_per_second"]
    for timings in ([*given.timings, again], [again, *given.timings]):
        given.timings = timings
        assert row_of(board_of(given), "arm")["images_per_second"] == wanted
    # One that did not complete does not stand in the way of one that did.
    given.timings = [{**given.timings[-1], "status": "timeout"}, *given.timings[:-1], again]
    assert row_of(board_of(given), "arm")["images_per_second"] is not None


def test_other_hosts_do_not_make_accuracy_incomparable_but_are_stamped(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    other = copy.deepcopy(given.shared["host"])
    other["accuracy"] |= {"cpu": "Another CPU"}
    given.shared["other"] = other
    wanted = row_of(board_of(given), "arm")["top1"]
    given.of("arm")[3]["refs"]["host"] = "other"
    board = board_of(given)
    assert row_of(board, "arm")["top1"] == wanted
    assert board["comparability"]["left_out"] == 0
    assert board["stamps"] == [
        "mixed hosts: trials ran in 2 environments (cpu: A CPU and Another CPU)",
        "shown: accuracy of A CPU (2 cores), torch 2.9.0 (19 trials) and of Another CPU (2 cores), torch 2.9.0 "
        "(1 trial); speed and memory of A CPU (2 cores), torch 2.9.0 (6 timings)",
    ]


def test_accuracy_of_one_machine_and_speed_of_another_is_told_by_their_names(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    assert not any("shown:" in stamp for stamp in board_of(given)["stamps"])
    machine(given, "gpu", gpus=[{"model": "H200"}, {"model": "H200"}])
    given.shared["gpu"]["accuracy"]["libraries"] = {"torch": "2.15.0"}
    timed_elsewhere(given, "gpu", 5.0, rounds=3)
    of_gpu = [one for one in given.timings if one["refs"]["host"] == "gpu" and one["round"] == 0]
    given.timings += [{**one, "round": 3} for one in of_gpu]
    [stamp] = [stamp for stamp in board_of(given)["stamps"] if stamp.startswith("shown:")]
    assert stamp == (
        "shown: accuracy of A CPU (2 cores), torch 2.9.0 (20 trials); "
        "speed and memory of 2 × H200, torch 2.15.0 (8 timings)"
    )
    # A machine of which nothing is shown is none of them; one that nobody knows has no name.
    del given.shared["gpu"]
    assert not any("shown:" in stamp for stamp in board_of(given)["stamps"])


def as_planned(given: Any) -> None:
    """Have all records name the recipe that the plan has now."""
    for arm in given.plan["arms"]:
        name = digest_json(arm["recipe"])
        given.shared[name] = arm["recipe"]
        for record in given.of(arm["name"]):
            record["refs"]["recipe"] = name


def unlike(given: Any, arm: str, replicates: range, **changes: Any) -> None:
    """Say in the records of an arm that they were made from another recipe than the plan's."""
    recipe = next(one["recipe"] for one in given.plan["arms"] if one["name"] == arm)
    given.shared["changed"] = {**recipe, **changes}
    for record in given.of(arm):
        if record["replicate"] in replicates:
            record["refs"]["recipe"] = "changed"


@pytest.mark.parametrize(
    ("changes", "entry", "value"),
    [
        ({"budget": {"unit": "epochs", "amount": 12}}, "budget", "unit epochs amount 12"),
        ({"numerics": {"precision": "bf16"}}, "precision", "bf16"),
        ({"evaluation": {"batch_size": 7}}, "evaluation", "batch_size 7"),
        ({"batch_size": 64}, "world_size × batch_size", "64"),
        ({"dataset": {"validation": 0.2}}, "split.validation", "0.2"),
    ],
)
def test_records_that_are_unlike_their_plan_are_left_out_and_counted(
    inputs: Any, changes: dict[str, Any], entry: str, value: str
) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    for arm in given.plan["arms"]:
        arm["recipe"] |= {
            "budget": {"unit": "epochs", "amount": 24},
            "numerics": {"precision": "fp32"},
            "evaluation": {"batch_size": 500},
            "dataset": {"validation": 0.1},
        }
    as_planned(given)
    kept = [r["results"]["test"]["top1"] for r in given.of("arm")][3:]
    unlike(given, "arm", range(3), **changes)
    board = board_of(given)
    row = row_of(board, "arm")
    assert row["replicates"] == {"planned": 10, "good": 7, "failed": 0, "missing": 3}
    assert row["top1"]["mean"] == pytest.approx(statistics.fmean(kept))
    groups = board["comparability"]["accuracy"]
    assert [(group["trials"], group["shown"]) for group in groups] == [(17, True), (3, False)]
    assert list(groups[1]["differs"]) == [entry]
    assert (
        "accuracy: 3 of 20 records left out, they may not be compared with the others "
        f"(they differ in {entry}: as planned here, {value} there)" in board["stamps"]
    )
    pooled = board_of(given, allow_mixed=True)
    assert row_of(pooled, "arm")["replicates"]["good"] == 10
    assert any(stamp.startswith("mixed accuracy: 20 records of 2 kinds") for stamp in pooled["stamps"])


def test_an_arm_that_declares_to_differ_is_not_left_out(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "large": 0.5})
    given.plan["arms"][1] |= {"recipe": {"batch_size": 256}, "varies": ["batch_size"]}
    as_planned(given)
    board = board_of(given)
    assert board["comparability"]["left_out"] == 0
    assert row_of(board, "large")["replicates"]["good"] == 10


def test_entries_are_those_of_the_protocol() -> None:
    recipe = {
        "batch_size": 128,
        "budget": {"unit": "epochs", "amount": 3},
        "evaluation": {"batch_size": 500},
        "numerics": {"precision": "bf16", "threads": 1},
        "dataset": {"name": "digits", "validation": 0.1},
        "optimizer": [{"name": "sgd"}],
    }
    manifest = {"hash": "m", "splits": {"train": {"digest": "a"}, "test": {"digest": "b"}}}
    entries = accuracy_entries(recipe, manifest, world_size=4)
    assert entries["world_size × batch_size"] == 512
    assert entries["precision"] == "bf16"
    assert "optimizer" not in entries
    assert differing(entries, accuracy_entries({**recipe, "batch_size": 512}, manifest)) == []
    assert differing(entries, {**entries, "data": None}) == []
    assert speed_entries(None, "abc") == {"host": "abc"}


def test_the_power_cap_of_a_card_is_part_of_the_machine() -> None:
    from harness.record import fingerprint

    cards, driver = fingerprint._cards(
        "NVIDIA H200, 143771, 580.65.06, 700.00\nNVIDIA H200, [N/A], 580.65.06, [N/A]\n"
    )
    assert driver == "580.65.06"
    assert cards == [
        {"model": "NVIDIA H200", "memory_mib": 143771, "power_limit_watts": 700},
        {"model": "NVIDIA H200", "memory_mib": None, "power_limit_watts": None},
    ]
    capped = [{**cards[0], "power_limit_watts": 500}]
    hosts = [{"accuracy": {}, "speed": {"gpus": gpus}} for gpus in (cards[:1], capped)]
    assert differing(*(speed_entries(host, None) for host in hosts)) == ["speed.gpus"]
    assert fingerprint._cards("") == ([], None)


@pytest.mark.parametrize(
    ("entry", "changed"),
    [
        ("data", {"hash": "other"}),
        (
            "split.train",
            {"splits": {"train": {"count": 450, "digest": "x"}, "test": {"count": 899, "digest": "b"}}},
        ),
        (
            "split.test",
            {"splits": {"train": {"count": 450, "digest": "a"}, "test": {"count": 899, "digest": "x"}}},
        ),
    ],
)
def test_records_of_other_data_or_another_split_are_left_out(inputs: Any, entry: str, changed: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    given.shared["changed"] = {**given.plan["manifests"]["m"], **changed}
    for record in given.of("arm")[:3]:
        record["refs"]["manifest"] = "changed"
    board = board_of(given)
    assert row_of(board, "arm")["replicates"]["good"] == 7
    assert list(board["comparability"]["accuracy"][1]["differs"]) == [entry]


def test_a_record_made_by_several_processes_had_as_many_times_the_batch(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    for record in given.of("arm")[:3]:
        record["world_size"] = 4
    board = board_of(given)
    assert row_of(board, "arm")["replicates"]["good"] == 7
    assert board["comparability"]["accuracy"][1]["differs"] == {"world_size × batch_size": 128}


def test_what_contradicts_the_plan_is_left_out_however_many_there_are(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    for arm in ("plain", "arm"):
        unlike(given, arm, range(2, 10), batch_size=64)
    for records in (given.records, given.records[::-1]):
        given.records = records
        board = board_of(given)
        groups = board["comparability"]["accuracy"]
        assert [(group["trials"], group["shown"]) for group in groups] == [(4, True), (16, False)]
        assert groups[1]["differs"] == {"world_size × batch_size": 64}
        assert row_of(board, "arm")["replicates"]["good"] == 2


def test_records_that_all_name_another_recipe_than_the_plan_are_none_of_its(inputs: Any) -> None:
    """In nothing that is compared: a learning rate is no entry of its own."""
    given = inputs({"plain": 0.0, "arm": 0.5})
    as_planned(given)
    before = board_of(given)
    assert row_of(before, "arm")["verdict"] == "better"
    changed = {**given.plan["arms"][0]["recipe"], "optimizer": {"lr": 9.0}}
    given.shared["f" * 32] = changed
    for record in given.records:
        record["refs"]["recipe"] = "f" * 32
    board = board_of(given)
    assert row_of(board, "arm")["verdict"] is None and row_of(board, "arm")["top1"] is None
    [stamp] = [one for one in board["stamps"] if one.startswith("accuracy:")]
    assert stamp == (
        "accuracy: 20 of 20 records left out, they are not what the plan says "
        "(they differ in recipe: as planned here, ffffffffffff there)"
    )
    assert [group["shown"] for group in board["comparability"]["accuracy"]] == [False]


def test_one_kind_of_everything_is_not_mixed_whatever_is_allowed(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    board = board_of(given, allow_mixed=True)
    assert board["comparability"]["mixed"] is False and board["stamps"] == board_of(given)["stamps"]


def test_all_pooled_groups_are_shown(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    unlike(given, "arm", range(3), batch_size=64)
    groups = board_of(given, allow_mixed=True)["comparability"]["accuracy"]
    assert [group["shown"] for group in groups] == [True, True]


@pytest.mark.parametrize("order", ["x", None])
def test_an_order_that_differs_or_is_not_shown_to_be_the_same_takes_the_verdict(
    inputs: Any, order: Any
) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    assert row_of(board_of(given), "arm")["verdict"] == "better"
    given.of("arm")[0]["digests"]["order"] = order
    row = row_of(board_of(given), "arm")
    assert row["verdict"] is None and "not comparable: order" in row["stamps"]


def test_an_arm_that_starts_from_other_weights_says_so_unless_it_is_another_network(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    stamp = 'starts from other weights than "plain"'
    for record in given.records:
        record["refs"]["initial_parameters"] = f"of {record['replicate']}"
    assert stamp not in row_of(board_of(given), "arm")["stamps"]
    given.of("arm")[3]["refs"]["initial_parameters"] = "of dirac"
    row = row_of(board_of(given), "arm")
    assert stamp in row["stamps"] and row["verdict"] == "better"
    given.plan["arms"][1]["recipe"]["backbone"] = {"name": "another"}
    assert stamp not in row_of(board_of(given), "arm")["stamps"]
    del given.plan["arms"][1]["recipe"]["backbone"]
    given.of("arm")[3]["refs"]["initial_parameters"] = None
    assert stamp not in row_of(board_of(given), "arm")["stamps"]


@pytest.mark.parametrize("size", ["x", {"a": 1}, [3]])
def test_a_batch_size_that_is_no_number_is_another_recipe_and_no_traceback(inputs: Any, size: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 0.5})
    unlike(given, "arm", range(2), batch_size=size)
    groups = board_of(given)["comparability"]["accuracy"]
    assert [(group["trials"], group["shown"]) for group in groups] == [(18, True), (2, False)]

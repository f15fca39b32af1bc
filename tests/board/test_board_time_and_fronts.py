"""Where time goes, which arms are on a front, and what `harness reproduce` is handed."""

import math
import random
from typing import Any

import pytest

from harness.board.leaderboard import build
from harness.board.pareto import front, with_pareto
from harness.record.attempt import SECONDS


def seconds(**told: float | None) -> dict[str, float | None]:
    return {**dict.fromkeys(SECONDS), **told}


def test_the_parts_of_a_trial_add_up_to_what_its_phases_took(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "old": 0.0}, replicates=2)
    first, second = given.of("plain")
    first["seconds"] = seconds(build=1.0, warm_up=2.0, train=10.0, data_wait=4.0, evaluate=1.0)
    second["seconds"] = seconds(build=3.0, warm_up=2.0, train=20.0, data_wait=2.0, evaluate=1.0)
    for record in given.of("old"):
        record["seconds"] = {}
    rows = {row["arm"]: row for row in build(given.plan, given.records, [])["rows"]}
    split = rows["plain"]["time_split"]
    assert split == {
        "build": 2.0,
        "compile": None,
        "warm_up": 2.0,
        "train": 12.0,
        "data_wait": 3.0,
        "evaluate": 1.0,
    }
    assert sum(filter(None, split.values())) == pytest.approx((14 + 26) / 2)
    assert rows["old"]["time_split"] is None


def test_a_failed_replicate_takes_no_time_but_can_be_run_again(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0}, replicates=3)
    bad = given.of("plain")[1]
    failing(bad, "diverged")
    bad["seconds"]["evaluate"] = 1000.0
    given.records.remove(given.of("plain")[2])
    row = build(given.plan, given.records, [])["rows"][0]
    assert row["time_split"]["evaluate"] == pytest.approx(0.1)
    assert [(one["replicate"], one["id"], one["status"]) for one in row["trials"]] == [
        (0, "plain/0", "completed"),
        (1, "plain/1", "diverged"),
    ]
    assert row["trials"][0]["top1"] is not None and row["trials"][1]["top1"] is None


def test_a_front_holds_what_nothing_beats_by_comparing_every_pair() -> None:
    for seed in range(50):
        draw = random.Random(seed)
        points = {str(n): (float(draw.randrange(8)), float(draw.randrange(8))) for n in range(30)}
        expected = {
            name: not any(a >= x and b >= y and (a, b) != (x, y) for a, b in points.values())
            for name, (x, y) in points.items()
        }
        accuracies = {name: y for name, (_, y) in points.items()}
        found = front(accuracies, lambda one, other, at=points: at[one][0] - at[other][0])
        assert found == expected


def test_an_arm_that_is_off_the_front_keeps_nothing_off() -> None:
    speeds, accuracies = {"a": 1.018, "b": 1.009, "c": 1.0}, {"a": 90.0, "b": 91.0, "c": 92.0}

    def ahead(one: str, other: str) -> float:
        log = math.log(speeds[one] / speeds[other])
        return 0.0 if abs(log) < math.log(1.01) else log

    # b is as fast as c and less accurate; a is as fast as b, and faster than c.
    assert front(accuracies, ahead) == {"a": True, "b": False, "c": True}


def test_noise_of_the_clock_and_copies_are_on_no_front(inputs: Any) -> None:
    given = inputs(
        {"plain": 0.0, "copy": -0.3, "lucky": -0.3, "hair": -0.2, "quick": -0.9}, noise=0.01, rounds=8
    )
    given.plan["arms"][1] |= {"copy_of": "plain", "salt": "aa-1"}
    factors = {"plain": 1.0, "copy": 1.3, "lucky": 1.02, "hair": 1.005, "quick": 1.2}
    for timing in given.timings:
        shaken = (0.05 if timing["arm"] == "lucky" else 0.0002) * (1 if timing["round"] % 2 else -1)
        timing["images_per_second"] = 4000.0 * factors[timing["arm"]] * math.exp(shaken)
        timing["peak_memory_bytes"] = {"allocated": 1e9 * (0.995 if timing["arm"] == "hair" else 1.0)}
    rows = {row["arm"]: row["pareto"] for row in build(given.plan, given.records, given.timings)["rows"]}
    assert {arm: told["speed"] for arm, told in rows.items()} == {
        "plain": True,
        "copy": None,  # no arm that anybody could choose
        "lucky": False,  # 2 % faster, and its rounds say nothing of it
        "hair": False,  # half a hundredth
        "quick": True,
    }
    assert {arm: told["memory"] for arm, told in rows.items()} == {
        "plain": True,
        "copy": None,
        "lucky": False,
        "hair": False,
        "quick": False,
    }


def test_less_memory_is_better_and_cells_have_fronts_of_their_own() -> None:
    def row(arm: str, top1: float, memory: float | None, cell: Any = None, rank: int | None = 1) -> Any:
        speed = None if memory is None else 1.0
        numbers = {"images_per_second": speed, "peak_memory_bytes": memory, "top1": {"mean": top1}}
        return {"arm": arm, "rank": rank, "cell": cell, **numbers}

    rows = [
        row("best", 90.0, 5.0),
        row("small", 80.0, 2.0),
        row("beaten", 80.0, 3.0),
        row("untimed", 99.0, None),
        row("unranked", 99.0, 1.0, rank=None),
        row("elsewhere", 10.0, 9.0, {"batch_size": 8}),
    ]
    rounds = {
        one["arm"]: {n: {"peak_memory_bytes": {"tree": one["peak_memory_bytes"]}} for n in range(3)}
        for one in rows
    }
    found = {one["arm"]: one["pareto"] for one in with_pareto(rows, rounds, 0.05, ())}
    assert {arm: told["memory"] for arm, told in found.items()} == {
        "best": True,
        "small": True,
        "beaten": False,
        "untimed": None,
        "unranked": None,
        "elsewhere": True,
    }
    assert found["best"]["speed"] is True and found["small"]["speed"] is False

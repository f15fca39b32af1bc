"""Where time goes, which arms are on a front, and what `harness reproduce` is handed."""

import random
from typing import Any

import pytest

from harness.board import build
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
        assert front(points) == expected


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
    found = {one["arm"]: one["pareto"] for one in with_pareto(rows)}
    assert {arm: told["memory"] for arm, told in found.items()} == {
        "best": True,
        "small": True,
        "beaten": False,
        "untimed": None,
        "unranked": None,
        "elsewhere": True,
    }
    assert found["best"]["speed"] is True and found["small"]["speed"] is False

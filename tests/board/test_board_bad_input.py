"""Whatever lies in a results folder, the board is built in every format, and says what it left out and why."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from harness.board import render
from harness.board.leaderboard import build
from harness.record.plans import plan_hash
from harness.record.record import canonical, seal
from harness.record.store import Store

Json = dict[str, Any]

FORMATS = (render.json, render.csv, render.markdown, render.html, render.latex, render.model_index)


def rendered(board: Json) -> list[str]:
    """Return the board in every format there is; none of them may be empty or hold a NaN as a number."""
    console = Console(width=100, file=None, record=True)
    with console.capture() as capture:
        console.print(render.terminal(board))
    texts = [*(format_(board) for format_ in FORMATS), capture.get()]
    assert all(texts)
    assert orjson.loads(texts[0])  # which takes no NaN
    return texts


def write_folder(root: Path, given: Any) -> Store:
    """Write what `inputs` made into a results folder, every record sealed."""
    for entry in (*given.plan["trials"], *given.records):
        key = "id" if "id" in entry else "trial"
        entry[key] = entry[key].replace("/", "-")
    given.plan["hash"] = plan_hash(given.plan)
    store = Store(root)
    store.write_plan(given.plan)
    recipes = {arm["name"]: store.share(arm["recipe"]) for arm in given.plan["arms"]}
    manifest = store.share(given.plan["manifests"]["m"])
    for record in given.records:
        record["refs"] = {"recipe": recipes[record["arm"]], "manifest": manifest}
        record["plan"] = given.plan["hash"]
        path = root / "trials" / record["trial"] / f"{record['attempt']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(canonical(seal(record)))
    return store


def board_of(store: Store) -> Json:
    plan = store.read_plan()
    reading = store.read(plan)
    return build(plan, reading.records, reading.timings, reading.set_aside, shared=reading.shared)


def row_of(board: Json, arm: str) -> Json:
    return next(row for row in board["rows"] if row["arm"] == arm)


def in_place(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def resealed(data: bytes, **changes: Any) -> bytes:
    return canonical(seal(orjson.loads(data) | changes))


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "torn": (lambda path: in_place(path, lambda data: data[: len(data) // 2]), "truncated"),
    "empty": (lambda path: in_place(path, lambda data: b""), "empty"),
    "zeros": (lambda path: in_place(path, lambda data: bytes(len(data))), "no JSON"),
    "edited": (
        lambda path: in_place(
            path, lambda data: data.replace(b'"attempt":0', b'"attempt":0 ', 1)[:-2] + b"1}"
        ),
        "no JSON",
    ),
    "another value": (
        lambda path: in_place(
            path, lambda data: data.replace(b'"status":"completed"', b'"status":"completeD"')
        ),
        "changed since it was written",
    ),
    "unknown schema": (lambda path: in_place(path, lambda data: resealed(data, schema=99)), "schema 99"),
    "a list": (lambda path: in_place(path, lambda data: b"[1, 2]"), "no content hash"),
    "no refs": (lambda path: in_place(path, lambda data: resealed(data, refs=None)), "no status or no refs"),
    "another trial's": (
        lambda path: (path.unlink(), shutil.copy(path.parents[1] / "good-1" / "0.json", path))[0],
        "a duplicate",
    ),
    "a folder": (lambda path: (path.unlink(), path.mkdir())[0], "cannot be read"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_record_is_set_aside_and_its_replicate_is_missing(
    inputs: Any, tmp_path: Path, how: str
) -> None:
    spoil, told = SPOILED[how]
    store = write_folder(tmp_path / "s", inputs({"plain": 0.0, "good": 3.0, "fine": 3.0}, 8))
    spoil(store.trial_folder("good-0") / "0.json")
    board = board_of(store)
    (aside,) = board["set_aside"]
    assert aside["path"] == "trials/good-0/0.json" and told in aside["reason"]
    assert row_of(board, "good")["replicates"]["missing"] == 1
    assert "7 of 8 replicates" in row_of(board, "good")["stamps"]
    assert row_of(board, "fine")["verdict"] == "better"
    assert all("good-0/0.json" in text for text in rendered(board)[:1])


def test_a_record_copied_beside_itself_counts_once(inputs: Any, tmp_path: Path) -> None:
    store = write_folder(tmp_path / "s", inputs({"plain": 0.0, "good": 3.0}, 8))
    before = board_of(store)
    path = store.trial_folder("good-0")
    shutil.copy(path / "0.json", path / "1.json")
    board = board_of(store)
    assert "a duplicate: it says that it is attempt 0" in board["set_aside"][0]["reason"]
    assert row_of(board, "good") == row_of(before, "good")
    rendered(board)


def test_records_of_another_suite_are_no_part_of_the_board(inputs: Any, tmp_path: Path) -> None:
    store = write_folder(tmp_path / "s", inputs({"plain": 0.0, "good": 3.0}, 8))
    before = board_of(store)
    other = write_folder(tmp_path / "other", inputs({"plain": 0.0, "else": 1.0}, 8, seed=7))
    for trial in ("else-0", "else-1"):
        shutil.copytree(other.trial_folder(trial), store.trial_folder(trial))
    board = board_of(store)
    assert {one["path"] for one in board["set_aside"]} == {"trials/else-0", "trials/else-1"}
    assert {one["reason"] for one in board["set_aside"]} == {"belongs to no plan of this folder"}
    assert "2 trial folders belong to no plan of this folder, left out" in board["stamps"]
    assert {**board, "set_aside": [], "stamps": before["stamps"]} == before
    rendered(board)


def test_all_records_gone_is_a_board_without_numbers(inputs: Any, tmp_path: Path) -> None:
    store = write_folder(tmp_path / "s", inputs({"plain": 0.0, "good": 3.0}, 8))
    shutil.rmtree(store.root / "trials")
    board = board_of(store)
    assert [(row["top1"], row["rank"], row["verdict"]) for row in board["rows"]] == [(None, None, None)] * 2
    rendered(board)


def without_numbers(record: Json) -> None:
    """Make every metric of a record NaN, as a diverged run that nobody noticed would have it."""
    test = record["results"]["test"]
    test |= {"top1": math.nan, "nll": math.nan, "metrics": {"top5": math.nan}}
    for name, values in record["curves"].items():
        record["curves"][name] = [math.nan] * len(values)


def claim(arm: str, against: str = "plain") -> Json:
    told = {"name": f"{arm} gains", "source": "s", "metric": "top1", "unit": "points", "testable": None}
    return {**told, "arm": arm, "against": against, "claimed": 1.0}


ABSENT: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "NaN in every metric": (lambda g, _: [without_numbers(one) for one in g.of("bad")], "failed: all 8"),
    "no good replicate": (lambda g, failing: [failing(one, "oom") for one in g.of("bad")], "failed: all 8"),
    "no record": (lambda g, _: [g.records.remove(one) for one in g.of("bad")], "0 of 8"),
    "one replicate": (lambda g, _: [g.records.remove(one) for one in g.of("bad")[1:]], "1 of 8"),
}


@pytest.mark.parametrize("how", ABSENT)
def test_an_arm_without_numbers_gets_no_verdict_and_spoils_no_other_arm(
    inputs: Any, failing: Any, how: str
) -> None:
    spoil, told = ABSENT[how]
    given = inputs({"plain": 0.0, "bad": 3.0, "good": 3.0}, 8)
    spoil(given, failing)
    given.plan["claims"] = [claim("bad"), claim("good"), claim("good", "bad")]
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    row = row_of(board, "bad")
    assert row["verdict"] is None
    assert told in " ".join([row["reason"], *row["stamps"]])
    assert row_of(board, "good")["verdict"] == "better"
    assert [one["verdict"] for one in board["claims"]] == [None, "reproduced", None]
    assert all(one["reason"].startswith("no verdict: ") for one in board["claims"][::2])
    rendered(board)


@pytest.mark.parametrize("largest", [1e200, 1.7e308])
def test_a_metric_near_the_largest_float_loses_its_interval_alone(inputs: Any, largest: float) -> None:
    given = inputs({"plain": 0.0, "good": 3.0}, 8)
    for record in given.of("good"):
        sign = -1 if record["replicate"] % 2 else 1
        record["results"]["test"]["metrics"] = {"wild": largest, "both": sign * largest}
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    row = row_of(board, "good")
    assert row["verdict"] == "better"
    assert row["metrics"]["wild"]["mean"] == pytest.approx(largest)
    assert (row["metrics"]["both"]["mean"], row["metrics"]["both"]["low"]) == (0.0, None)
    rendered(board)


@pytest.mark.parametrize("how", [*ABSENT, "not in the plan"])
def test_without_a_baseline_nothing_has_a_verdict(inputs: Any, failing: Any, how: str) -> None:
    given = inputs({"bad": 0.0, "good": 3.0, "fine": 1.0}, 8)
    if how == "not in the plan":
        given.plan["baseline"] = "gone"
    else:
        ABSENT[how][0](given, failing)
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    assert {row["verdict"] for row in board["rows"]} == {None}
    assert all(row["reason"] for row in board["rows"])
    rendered(board)


def test_one_replicate_has_no_interval_and_no_verdict(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "good": 5.0}, 1)
    given.plan["claims"] = [claim("good")]
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    row = row_of(board, "good")
    assert row["verdict"] is None and "1 paired replicate, " in row["reason"]
    assert row["difference"]["low"] is None and board["claims"][0]["verdict"] is None
    assert row["rank_interval"] is None
    rendered(board)


def test_the_most_frequent_reasons_are_told_with_their_counts(inputs: Any, tmp_path: Path) -> None:
    store = write_folder(tmp_path / "s", inputs({"plain": 0.0, "good": 3.0}, 8))
    paths = [store.trial_folder(f"good-{number}") / "0.json" for number in range(8)]
    for path in paths[:2]:
        path.write_bytes(b"")
    for path in paths[2:5]:
        in_place(path, lambda data: data.replace(b'"nll":', b'"nll": 1', 1))
    in_place(paths[5], lambda data: resealed(data, status="weird\x1b[31m"))
    in_place(paths[6], lambda data: resealed(data, status="weird\x1b[31m"))
    in_place(paths[7], lambda data: resealed(data, schema=99))
    told = "set aside, 8 in all: changed since it was written (3), empty (2), status is 'weird"
    board = board_of(store)
    markdown, terminal = render.markdown(board), " ".join(rendered(board)[-1].split())
    assert told in markdown.replace("\\", "") and "other reasons (1)" in markdown
    assert told in terminal and "other reasons (1)" in terminal
    assert "schema 99" not in markdown + terminal  # it stands in the JSON and on the page

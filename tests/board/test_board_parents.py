"""What a board says of a graph: parents' cost beside the child's, and arms that are not compared."""

from __future__ import annotations

import csv as reader
import io
import re
from typing import Any

import pytest
from rich.console import Console

from harness.board.leaderboard import build
from harness.board.render import csv, html, json, markdown, terminal

Json = dict[str, Any]
ARMS = {"plain": 0.0, "better": 2.0, "teacher": 4.0, "distilled": 3.0, "continued": 3.5}
FLOPS = {"plain": 100.0, "better": 100.0, "teacher": 1000.0, "distilled": 300.0, "continued": 100.0}
SECONDS = {"plain": 2.0, "better": 2.0, "teacher": 10.0, "distilled": 4.0, "continued": 2.0}
PARENTS = {
    "distilled": {"teacher": {"arm": "teacher"}},
    "continued": {"init": {"arm": "distilled"}, "teacher": {"arm": "teacher"}},
}


@pytest.fixture
def graph(inputs: Any) -> Any:
    made = inputs(ARMS)
    for arm in made.plan["arms"]:
        arm["recipe"] |= {"parents": PARENTS[arm["name"]]} if arm["name"] in PARENTS else {}
        if arm["name"] == "teacher":
            arm["compared"] = False
    for record in made.records:
        record["budget"] = {**record.get("budget", {}), "training_flops": FLOPS[record["arm"]]}
        record["seconds"] = {**record.get("seconds", {}), "train": SECONDS[record["arm"]]}
        told = {
            role: {
                **parent,
                "trial": f"{parent['arm']}/{record['replicate']}",
                "digest": "d",
                "training_flops": FLOPS[parent["arm"]],
                "train_seconds": SECONDS[parent["arm"]],
            }
            for role, parent in PARENTS.get(record["arm"], {}).items()
        }
        record |= {"parents": told} if told else {}
    return made


def board_of(graph: Any) -> Json:
    return build(graph.plan, graph.records, graph.timings, shared=graph.shared)


def rows_of(board: Json) -> dict[str, Json]:
    return {row["arm"]: row for row in board["rows"]}


def test_the_cost_of_every_ancestor_stands_once_beside_the_childs(graph: Any) -> None:
    rows = rows_of(board_of(graph))
    assert "parents" not in rows["plain"]
    assert rows["distilled"]["parents"] == {
        "teacher": {"arm": "teacher", "training_flops": 1000.0, "train_seconds": 10.0}
    }
    assert rows["distilled"]["parents_cost"] == {
        "training_flops": 1000.0,
        "train_seconds": 10.0,
        "training_flops_ratio": 10.0,
        "train_seconds_ratio": 5.0,
    }
    # The teacher is needed twice, directly and by the start, and was trained once.
    assert rows["continued"]["parents_cost"]["training_flops"] == 1300.0
    assert rows["continued"]["training_flops_ratio"] == 1.0
    assert rows["continued"]["parents_cost"]["training_flops_ratio"] == 13.0


def test_an_arm_that_is_not_compared_is_below_the_ranking_and_in_no_test(graph: Any) -> None:
    board = board_of(graph)
    last = board["rows"][-1]
    assert (last["arm"], last["rank"], last["verdict"], last["difference"]) == ("teacher", None, None, None)
    assert last["top1"]["mean"] > max(row["top1"]["mean"] for row in board["rows"][:-1])
    assert last["reason"].startswith("not compared")
    assert [row["rank"] for row in board["rows"][:-1]] == [1, 2, 3, 4]
    assert board["settings"]["family"] == 3
    for arm in graph.plan["arms"]:
        arm.pop("compared", None)
    everyone = rows_of(board_of(graph))
    assert everyone["teacher"]["rank"] == 1
    assert everyone["better"]["difference"]["p_holm"] >= rows_of(board)["better"]["difference"]["p_holm"]


def test_other_data_of_an_arm_that_is_not_compared_is_no_reproach(graph: Any) -> None:
    split = {"count": 899, "digest": "other"}
    manifest = {**graph.plan["manifests"]["m"], "hash": "o", "splits": {"train": split, "test": split}}
    graph.plan["manifests"]["o"] = manifest
    teacher = next(arm for arm in graph.plan["arms"] if arm["name"] == "teacher")
    teacher["data"] = "o"
    for record in graph.of("teacher"):
        record["digests"]["order"] = "another"
    assert not [stamp for stamp in rows_of(board_of(graph))["teacher"]["stamps"] if "comparable" in stamp]
    teacher.pop("compared")
    stamps = rows_of(board_of(graph))["teacher"]["stamps"]
    assert {"not comparable: test data", "not comparable: order"} <= set(stamps)


def test_a_file_has_no_known_cost(graph: Any) -> None:
    for arm in graph.plan["arms"]:
        if arm["name"] == "distilled":
            arm["recipe"]["parents"] = {"teacher": {"file": "big.safetensors", "digest": "d"}}
    row = rows_of(board_of(graph))["distilled"]
    assert row["parents"]["teacher"]["file"] == "big.safetensors"
    assert row["parents_cost"]["training_flops"] is None
    assert row["parents_cost"]["training_flops_ratio"] is None
    assert "| 3.00× + – |" in markdown(board_of(graph))


def test_every_renderer_shows_it(graph: Any) -> None:
    board = board_of(graph)
    told = "teacher: teacher (1 k FLOPs, 10 s of training)"
    text = markdown(board)
    assert "| 3.00× + 10.00× |" in text
    assert "not compared" in text
    assert told in text
    page = html(board)
    lines = re.sub("<[^>]*>", "", page)  # the parents' cost stands on a line of its own
    assert "3.00× + 10.00×" in lines  # FLOPs
    assert "2.00× + 5.00×" in lines  # time
    assert told in page
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(terminal(board))
    shown = " ".join(console.export_text().split())
    assert "3.00× +10.00×" in shown
    assert told in shown
    (line,) = [row for row in reader.DictReader(io.StringIO(csv(board))) if row["arm"] == "distilled"]
    assert line["parents_teacher_arm"] == "teacher"
    assert float(line["parents_cost_training_flops_ratio"]) == 10.0
    assert '"parents_cost"' in json(board)


def test_a_parent_of_unknown_cost_is_not_written_as_dashes(graph: Any) -> None:
    for record in graph.records:
        if record["arm"] in ("teacher", "distilled"):
            record["budget"]["training_flops"] = record["seconds"]["train"] = None
        for parent in record.get("parents", {}).values():
            parent["training_flops"] = parent["train_seconds"] = None
    text = markdown(board_of(graph))
    assert "teacher: teacher (at an unknown cost)" in text
    assert "– + –" not in text
    assert "1.00× + –" in text


def test_what_stands_behind_the_plus_is_said_where_there_is_one(graph: Any) -> None:
    told = "those of all arms that it needs"
    board = board_of(graph)
    assert all(told in " ".join(text.split()) for text in (markdown(board), html(board)))


def test_a_board_without_parents_has_no_word_of_them(inputs: Any) -> None:
    made = inputs({"plain": 0.0, "better": 2.0})
    board = board_of(made)
    assert not {"parents", "parents_cost", "compared"} & {key for row in board["rows"] for key in row}
    assert " + " not in markdown(board)


def test_a_hostile_parent_name_is_escaped(graph: Any) -> None:
    for arm in graph.plan["arms"]:
        if arm["name"] == "distilled":
            arm["recipe"]["parents"] = {"teacher": {"file": "<script>|x", "digest": "d"}}
    board = board_of(graph)
    assert "<script>|x" not in markdown(board)
    assert "<script>|x" not in html(board)

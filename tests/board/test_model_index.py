"""Model-index metadata: YAML's own parser and the hub's own reader understand it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.board import build, render
from harness.board.model_index import _number

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")


def front_matter(board: dict[str, Any]) -> dict[str, Any]:
    text = render.model_index(board)
    assert text.startswith("---\n") and text.endswith("\n---\n")
    found: dict[str, Any] = yaml.safe_load(text.removeprefix("---\n").removesuffix("---\n"))
    return found


def board_of(inputs: Any, effects: dict[str, float]) -> dict[str, Any]:
    given = inputs(effects)
    return build(given.plan, given.records, given.timings, shared=given.shared)


def test_each_arm_is_a_model_with_task_dataset_and_metrics(inputs: Any) -> None:
    board = board_of(inputs, {"plain": 0.0, "good": 1.5})
    found = front_matter(board)
    assert list(found) == ["model-index"]
    assert [model["name"] for model in found["model-index"]] == ["good", "plain"]
    for model, row in zip(found["model-index"], board["rows"], strict=True):
        (result,) = model["results"]
        assert result["task"] == {"type": "image-classification", "name": "Image Classification"}
        told = {"suite": "digits-tricks", "plan": "f00dfeedf00dfeed"}
        assert result["dataset"] == {"name": "digits", "type": "digits", "split": "test", "args": told}
        by_type = {metric["type"]: metric for metric in result["metrics"]}
        assert by_type["accuracy"]["value"] == pytest.approx(row["top1"]["mean"] / 100, abs=1e-8)
        assert by_type["nll"]["value"] == row["nll"]["mean"]
        assert by_type["top5"]["value"] == row["metrics"]["top5"]["mean"]
        assert all(metric["verified"] is False for metric in result["metrics"])
        assert "mean of 10 replicates, interval 0.9" in by_type["accuracy"]["name"]


def test_the_hubs_own_reader_takes_it(inputs: Any) -> None:
    cards = pytest.importorskip("huggingface_hub.repocard_data", reason="huggingface_hub is not installed")
    (model,) = (
        m for m in front_matter(board_of(inputs, {"plain": 0.0, "b": 1.0}))["model-index"] if m["name"] == "b"
    )
    name, results = cards.model_index_to_eval_results([model])
    assert name == "b"
    assert [result.metric_type for result in results] == ["accuracy", "nll", "top5"]
    assert {result.dataset_type for result in results} == {"digits"}
    assert {result.task_type for result in results} == {"image-classification"}


def test_a_dataset_of_the_hub_has_its_name_there(inputs: Any) -> None:
    given = inputs({"plain": 0.0})
    given.plan["arms"][0]["recipe"]["dataset"] = {"name": "hub", "params": {"path": "uoft-cs/cifar10"}}
    board = build(given.plan, given.records, given.timings)
    (model,) = front_matter(board)["model-index"]
    assert model["results"][0]["dataset"]["type"] == "uoft-cs/cifar10"


def test_an_arm_without_a_result_is_left_out(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "bad": 1.0})
    for record in given.records:
        failing(record, "crashed")
        record["chance_top1"] = None
    given.records.clear()
    assert front_matter(build(given.plan, given.records, given.timings)) == {"model-index": []}


@pytest.mark.parametrize("value", [0.5, 1e-7, 1e22, 2.5e-10, -3e300, 0.0, 123456.0])
def test_every_number_is_a_number_to_yaml(value: float) -> None:
    assert yaml.safe_load(_number(value)) == value

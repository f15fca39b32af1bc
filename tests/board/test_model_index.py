"""Model-index metadata: YAML's own parser and the hub's own reader understand it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from harness.board import render
from harness.board.leaderboard import build
from harness.board.model_index import _number
from harness.errors import HarnessError

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")


REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def front_matter(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the one model of each block."""
    text = render.model_index(board)
    assert text.startswith("---\n") and text.endswith("\n---\n")
    blocks: list[dict[str, Any]] = list(yaml.safe_load_all(text.removesuffix("---\n")))
    assert all(list(block) == ["model-index"] for block in blocks)
    return [model for block in blocks for model in block["model-index"]]


def blocks_of(text: str) -> list[str]:
    """Return what a person would copy into a card: from one line of hyphens to the next, both included."""
    return [f"---\n{block}---\n" for block in text.removeprefix("---\n").split("---\n") if block]


def board_of(inputs: Any, effects: dict[str, float]) -> dict[str, Any]:
    given = inputs(effects)
    return build(given.plan, given.records, given.timings, shared=given.shared)


def test_each_arm_is_a_model_with_task_dataset_and_metrics(inputs: Any) -> None:
    board = board_of(inputs, {"plain": 0.0, "good": 1.5})
    models = front_matter(board)
    assert [model["name"] for model in models] == ["good", "plain"]
    for model, row in zip(models, board["rows"], strict=True):
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


def test_the_hubs_own_reader_has_the_same_numbers_of_every_arm_of_the_reference() -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    for path in sorted(REFERENCE.glob("*/leaderboard.json")):
        board = orjson.loads(path.read_bytes())
        text = render.model_index(board)
        assert (
            hub.ModelCard(text).data.model_name == board["rows"][0]["arm"]
        )  # all of it pasted: the best arm's
        blocks = blocks_of(text)
        assert len(blocks) == len(board["rows"])
        for block, row in zip(blocks, board["rows"], strict=True):
            card = hub.ModelCard(f"{block}\nOur model.\n")
            assert card.data.model_name == row["arm"]
            results = {result.metric_type: result for result in card.data.eval_results}
            assert results["accuracy"].metric_value == pytest.approx(row["top1"]["mean"] / 100, abs=1e-8)
            assert results["nll"].metric_value == row["nll"]["mean"]
            for result in results.values():
                assert isinstance(result, hub.EvalResult)
                assert result.task_type == "image-classification" and result.verified is False
                args = result.dataset_args or {}
                assert (args["suite"], args["plan"]) == (board["suite"], board["plan"])
                assert ("cell" in args) == bool(row.get("cell"))
                assert args.get("stamps", []) == board["stamps"]
            # The hub writes it down again without a loss.
            assert hub.ModelCard(str(card)).data.to_dict() == card.data.to_dict()


def test_the_hubs_own_reader_takes_our_metrics(inputs: Any) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    board = board_of(inputs, {"plain": 0.0, "b": 1.0})
    card = hub.ModelCard(blocks_of(render.model_index(board))[0])
    assert card.data.model_name == "b"
    assert [result.metric_type for result in card.data.eval_results] == ["accuracy", "nll", "top5"]
    assert {result.dataset_type for result in card.data.eval_results} == {"digits"}


def test_a_dataset_within_another_is_named_as_the_board_names_it(inputs: Any) -> None:
    given = inputs({"plain": 0.0})
    cifar = {"name": "cifar10", "params": {}}
    given.plan["arms"][0]["recipe"]["dataset"] = {"name": "subset", "params": {"of": cifar, "samples": 100}}
    (model,) = front_matter(build(given.plan, given.records, given.timings))
    dataset = model["results"][0]["dataset"]
    assert (dataset["name"], dataset["type"]) == ("subset of cifar10", "cifar10")


def test_a_dataset_of_the_hub_has_its_name_there(inputs: Any) -> None:
    given = inputs({"plain": 0.0})
    given.plan["arms"][0]["recipe"]["dataset"] = {
        "name": "hub",
        "params": {"path": "uoft-cs/cifar10", "config": "plain_text", "revision": None},
    }
    board = build(given.plan, given.records, given.timings)
    (model,) = front_matter(board)
    dataset = model["results"][0]["dataset"]
    assert dataset["type"] == "uoft-cs/cifar10" and dataset["config"] == "plain_text"
    assert "revision" not in dataset


def test_an_arm_without_a_result_is_left_out(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "bad": 1.0})
    for record in given.records:
        failing(record, "crashed")
        record["chance_top1"] = None
    given.records.clear()
    assert (
        render.model_index(build(given.plan, given.records, given.timings)) == "---\nmodel-index: []\n---\n"
    )


@pytest.mark.parametrize("value", [0.5, 1e-7, 1e22, 2.5e-10, -3e300, 0.0, 123456.0])
def test_every_number_is_a_number_to_yaml(value: float) -> None:
    assert yaml.safe_load(_number(value)) == value


def test_the_block_of_one_arm_is_the_one_that_all_have_of_it(inputs: Any) -> None:
    board = board_of(inputs, {"plain": 0.0, "good": 1.5, "bad": -1.5})
    blocks = blocks_of(render.model_index(board))
    assert [render.model_index(board, row["arm"]) for row in board["rows"]] == blocks


def test_an_arm_that_is_not_there_is_refused_with_the_nearest(inputs: Any) -> None:
    board = board_of(inputs, {"plain": 0.0, "label-smoothing": 1.5})
    with pytest.raises(HarnessError, match='no arm "label-smothing"; did you mean "label-smoothing"'):
        render.model_index(board, "label-smothing")
    board["rows"][0]["top1"] = None
    with pytest.raises(HarnessError, match='"label-smoothing" has no result yet'):
        render.model_index(board, "label-smoothing")

"""A page does not hang on the order of a table's keys: a board read from its JSON gives that of one just built."""

from __future__ import annotations

import random
from typing import Any

import orjson

from harness.board import render
from harness.board.leaderboard import build


def _shuffled(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict):
        keys = draw.sample(list(value), len(value))
        return {key: _shuffled(value[key], draw) for key in keys}
    return [_shuffled(one, draw) for one in value] if isinstance(value, list) else value


def test_a_page_is_the_same_in_any_order_of_keys(inputs: Any) -> None:
    given = inputs({"zebra": 0.0, "plain": 1.0, "ant": -1.0}, 8, epochs=6)
    for record in given.records:
        record["curves"]["gradient_norms"] = {layer: [1.0, 0.5] for layer in ("stem", "block", "head")}
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    page = render.html(board)
    stored = orjson.loads(render.json(board))
    assert render.html(stored) == page
    for seed in range(3):
        assert render.html(_shuffled(stored, random.Random(seed))) == page

"""How a board was made is told in words and units, not in keys of a record."""

from __future__ import annotations

from typing import Any

import pytest

from harness.board import render
from harness.board.data import data_of
from harness.board.html_provenance import code_in_words, data_in_words, host_in_words, libraries_in_words
from harness.board.leaderboard import build

HOST = {
    "accuracy": {
        "cpu": "AMD EPYC",
        "gpu": ["NVIDIA H200"],
        "libraries": {"numpy": "2.4.6", "pillow": "13.0.0", "torch": "2.15.0"},
        "machine": "x86_64",
        "python": "3.11.7",
        "system": "Linux",
    },
    "shown": {"host": "eb4501a756b0"},
    "speed": {
        "cores": 64,
        "usable_cores": 16,
        "memory_bytes": 25276502016,
        "gpus": [{"model": "NVIDIA H200", "memory_mib": 143771, "power_limit_watts": 700}] * 2,
        "driver": "570.1",
        "kernel": "6.18",
    },
}


def test_a_machine_is_told_in_words() -> None:
    assert host_in_words(HOST) == (
        "AMD EPYC, 64 cores, 16 of them usable, 24 GiB of memory, 2 × NVIDIA H200 (140 GiB, 700 W), driver 570.1, "
        "Linux x86_64 (kernel 6.18), Python 3.11.7, host eb4501a756b0"
    )
    assert libraries_in_words(HOST) == "torch 2.15.0, numpy 2.4.6, pillow 13.0.0"


def test_what_is_not_known_of_a_machine_is_left_out() -> None:
    assert host_in_words({"accuracy": {"gpu": []}, "speed": {"cores": 1, "usable_cores": 1, "gpus": []}}) == (
        "1 core, no GPU"
    )
    assert host_in_words({}) == "" and libraries_in_words({}) == ""
    assert host_in_words("odd") == "odd"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            {"version": "0.1.0", "commit": "1a2b", "dirty": False, "diff": None, "engine": "3c"},
            "version 0.1.0, commit 1a2b, no uncommitted changes, engine 3c",
        ),
        (
            {"version": "0.1.0", "commit": "1a2b", "dirty": True, "diff": "4d"},
            "version 0.1.0, commit 1a2b, with changes that no commit holds (4d)",
        ),
        (
            {"version": "0.1.0", "commit": None, "dirty": None},
            "version 0.1.0, no checkout, so no commit is known",
        ),
    ],
)
def test_a_state_of_the_harness_is_told_in_words(code: Any, told: str) -> None:
    assert code_in_words(code) == told


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ({"name": "digits", "params": {}}, "digits"),
        ({"name": "parquet", "params": {"folder": "steel/neu_cls"}}, "neu_cls (parquet)"),
        ({"name": "parquet", "params": {"folder": "."}}, "parquet"),
        ({"name": "imagenet", "params": {"folder": "imagenet"}}, "imagenet"),
        ({"name": "hub", "params": {"path": "uoft-cs/cifar10"}}, "uoft-cs/cifar10 (hub)"),
        (
            {"name": "subset", "params": {"of": {"name": "parquet", "params": {"folder": "neu_cls"}}}},
            "subset of neu_cls (parquet)",
        ),
    ],
)
def test_a_dataset_has_the_name_of_what_it_reads(dataset: Any, name: str) -> None:
    (entry,) = data_of({}, {"plain": {"data": "m", "recipe": {"dataset": dataset}}})
    assert entry["dataset"] == name


def test_data_are_told_in_words() -> None:
    entry = {
        "dataset": "digits",
        "classes": 10,
        "train": 1500,
        "test": 899,
        "licence": "CC BY 4.0",
        "hash": "m",
    }
    assert data_in_words(entry) == (
        "digits: 10 classes, 1,500 training and 899 test images, licence: CC BY 4.0, hash m"
    )
    assert data_in_words({"dataset": None, "hash": "m"}) == "data: hash m"


def test_the_page_shows_no_key_of_a_record(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "sam": 0.1})
    given.plan["margin_points"] = 0.18552875695732837
    given.shared["host"] = HOST
    page = render.html(build(given.plan, given.records, given.timings, shared=given.shared))
    told = page.partition('<section id="section-provenance">')[2]
    assert "better or worse beyond 0.19 points" in told
    assert "faster or slower beyond 1 %" in told
    assert "smaller or larger beyond 3 %" in told
    assert "level α = 0.05, a family of 1 arm, at least 6 pairs before any difference" in told
    assert "10 replicates, from seed 0, timing rounds: 3" in told
    for key in ("margin_points", "memory_bytes", "dirty", "usable_cores", "needed_replicates", "0.1855"):
        assert key not in told

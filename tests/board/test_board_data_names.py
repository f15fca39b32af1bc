"""A board lists its data sets as the arms come, and a data set that changes another one by that one's name."""

from __future__ import annotations

from typing import Any

from harness.board.data import data_of


def dataset(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": params}


def test_data_stand_in_the_order_of_the_arms_whatever_their_hashes() -> None:
    folders = {"c": "photographs", "a": "shops", "b": "steel"}
    arms = {
        f"{arm}-{digest}": {
            "data": digest,
            "recipe": {"dataset": dataset("parquet", folder=f"data/{folder}")},
        }
        for arm in ("plain", "mixup")
        for digest, folder in folders.items()
    }
    told = data_of({}, arms)
    assert [entry["hash"] for entry in told] == ["c", "a", "b"]
    assert [entry["dataset"] for entry in told] == [
        "photographs (parquet)",
        "shops (parquet)",
        "steel (parquet)",
    ]


def test_a_data_set_of_augmented_copies_is_named_by_what_it_copies() -> None:
    copies = dataset("precomputed-augmentation", augmentation=dataset("mixup"), of=dataset("digits"))
    [entry] = data_of({}, {"plain": {"data": "a", "recipe": {"dataset": copies}}})
    assert entry["dataset"] == "precomputed-augmentation of digits"

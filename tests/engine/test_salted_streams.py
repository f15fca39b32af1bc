"""A salt reaches every stream of a trial: nothing that is random in a copy is as it is in its original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.engine.keys import Keys
from harness.engine.trial import run_trial
from harness.suite.plan import Job
from harness.testing.jobs import component

HELD_EQUAL = {"validation split"}
"""What every arm and replicate of a suite shares, and a copy with them."""
RANDOM = {
    "augmentations": [component("toy-noise", strength=0.1)],
    "backbone": component("toy-net", width=8, batch_norm=False, dropout=0.3),
    "budget": {"unit": "epochs", "amount": 2},
}


def outcome(job: Job) -> dict[str, Any]:
    return run_trial(job, report=lambda message: None, stop=lambda: False)


def test_every_stream_of_a_trial_but_the_split_carries_the_salt(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: set[tuple[str, str]] = set()
    generator = Keys.generator

    def noted(self: Keys, name: str, index: int = 0) -> np.random.Generator:
        drawn.add((self.salt, name))
        return generator(self, name, index)

    monkeypatch.setattr(Keys, "generator", noted)
    assert outcome(replace(make_job(**RANDOM), salt="aa-1"))["status"] == "completed"
    assert {name for salt, name in drawn if salt != "aa-1"} == HELD_EQUAL
    names = {name for _, name in drawn}
    # Order, weights, the steps' seeds, an augmentation's table: all of them were seen.
    assert {"order", "initial weights", "step"} <= names
    assert any("toy-noise" in name for name in names)


def test_a_copy_has_another_order_other_weights_and_the_same_validation_split(
    make_job: Callable[..., Job],
) -> None:
    plain, again, salted, other = (
        outcome(replace(make_job(**RANDOM), salt=salt)) for salt in ("", "", "aa-1", "aa-2")
    )
    assert plain["digests"] == again["digests"]
    for key in ("order", "initial_weights", "final_weights", "evaluation_outputs"):
        assert len({one["digests"][key] for one in (plain, salted, other)}) == 3
    assert len({one["results"]["validation"]["count"] for one in (plain, salted)}) == 1


def test_one_stream_at_a_time_a_salt_changes_its_numbers() -> None:
    names = ("order", "initial weights", "step", "sample/x", "loader/x", "validation split")
    for name in names:
        numbers = {Keys(0, 0, salt).generator(name).integers(0, 2**63) for salt in ("", "aa-1", "aa-2")}
        assert len(numbers) == 3

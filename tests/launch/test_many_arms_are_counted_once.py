"""A grid of thousands of arms: who orders and picks trials looks at the arms once, not once an arm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.launch.parents import Parents
from harness.record.store import Store
from harness.suite.parents import layers_of
from harness.suite.plan import Trial

ARMS = 500


class Walked(dict[str, Any]):
    """A dictionary that counts how often it is walked through."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        self.walks += 1
        return super().__iter__()


class WalkedTrials(tuple[Trial, ...]):
    """Trials that count how often they are walked through."""

    walks = 0

    def __iter__(self) -> Iterator[Trial]:
        WalkedTrials.walks += 1
        return super().__iter__()


def recipes() -> dict[str, Any]:
    parent = {"parents": {"teacher": {"arm": "arm-0"}}}
    return {f"arm-{number}": parent if number == 1 else {} for number in range(ARMS)}


def test_layers_do_not_walk_through_all_arms_for_each() -> None:
    walked = Walked(recipes())
    first, second = layers_of(walked)
    assert (len(first), second) == (ARMS - 1, ["arm-1"])
    assert walked.walks < 5


def test_the_trial_that_is_timed_is_found_without_walking_through_all_trials(tmp_path: Path) -> None:
    trials = WalkedTrials(Trial(f"{arm}/{number}", arm, number) for number in range(2) for arm in recipes())
    arms = [SimpleNamespace(name=arm, recipe=recipe) for arm, recipe in recipes().items()]
    parents = Parents(SimpleNamespace(arms=arms, trials=trials), Store(tmp_path), {})  # type: ignore[arg-type]
    WalkedTrials.walks = 0
    statuses = {"arm-0/1": "completed"}
    found = [parents.timed_trial(arm, statuses) for arm in recipes()]
    # The student waits for the teacher of its own replicate; the others' first trial will do.
    assert [one.id for one in found if one] == [f"{arm}/{int(arm == 'arm-1')}" for arm in recipes()]
    assert parents.timed_trial("arm-1", {}) is None
    hoped = parents.timed_trial("arm-1", {}, {"arm-0/0"})
    assert hoped is not None and hoped.id == "arm-1/0"
    assert WalkedTrials.walks == 0

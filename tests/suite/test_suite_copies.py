"""A/A copies: real arms that differ from their baseline in the salt of their streams alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Problem, SuiteError
from harness.suite.copies import with_copies
from harness.suite.expand import arms_to_run, expand
from harness.suite.load import Suite, load
from harness.suite.plan import Arm, Plan, needed_replicates

AA = """\
schema = 1
name = "toy"
baseline = "plain"
aa = true
[budget]
epochs = 2
[recipe]
dataset = "digits"
backbone = { name = "simple-cnn", width = 8 }
augmentations = ["translate"]
optimizer = { name = "sgd", lr = 0.1, momentum = 0.5 }
batch_size = 32
[arms.plain]
"""
TOP = AA.replace("aa = true\n", "")
MIX = '[arms.mix]\naugmentations = ["...", "mixup"]\n'


def plan_of(suite: Suite, manifest: dict[str, Any], **options: Any) -> Plan:
    return expand(suite, dict.fromkeys(suite.arms, manifest), **options)


def ids(plan: Plan, arm: str) -> list[str]:
    return [trial.id for trial in plan.trials if trial.arm == arm]


def test_a_copy_is_the_baseline_under_a_salt_of_its_own(
    suite_file: Callable[..., Path], manifest: dict[str, Any]
) -> None:
    plan = plan_of(load(suite_file(MIX, AA)), manifest)
    assert [arm.name for arm in plan.arms] == ["plain", "plain-aa", "mix"]
    plain, copy = plan.arm("plain"), plan.arm("plain-aa")
    assert (copy.salt, copy.copy_of) == ("aa-1", "plain")
    assert replace(copy, name="plain", salt="", copy_of="") == plain
    assert len(set(ids(plan, "plain")) | set(ids(plan, "plain-aa"))) == 20
    assert Plan.from_json(plan.to_json()) == plan


def test_a_copy_moves_no_other_trial(suite_file: Callable[..., Path], manifest: dict[str, Any]) -> None:
    without = plan_of(load(suite_file(MIX, TOP)), manifest)
    plan = plan_of(load(suite_file(MIX, AA)), manifest)
    assert [trial for trial in plan.trials if trial.arm != "plain-aa"] == list(without.trials)
    blocks = [plan.trials[i : i + 3] for i in range(0, 30, 3)]
    # A copy runs where chance puts it within its block, as every arm does.
    assert len({[trial.arm for trial in block].index("plain-aa") for block in blocks}) == 3


def test_without_aa_a_plan_says_nothing_of_copies(
    suite_file: Callable[..., Path], manifest: dict[str, Any]
) -> None:
    told = plan_of(load(suite_file(MIX, TOP)), manifest).to_json()
    assert not {"salt", "copy_of"} & {key for arm in told["arms"] for key in arm}


def test_more_copies_are_numbered_and_the_first_is_the_suites_own(
    suite_file: Callable[..., Path], manifest: dict[str, Any]
) -> None:
    suite = load(suite_file(MIX, AA))
    one, three = plan_of(suite, manifest), plan_of(suite, manifest, arms=["plain"], copies=3)
    assert [arm.name for arm in three.arms] == ["plain", "plain-aa-1", "plain-aa-2", "plain-aa-3"]
    assert [arm.salt for arm in three.arms] == ["", "aa-1", "aa-2", "aa-3"]
    assert len({trial.id for trial in three.trials}) == 40
    assert sorted(ids(one, "plain-aa")) == sorted(ids(three, "plain-aa-1"))


def test_the_copy_counts_in_the_family(suite_file: Callable[..., Path], manifest: dict[str, Any]) -> None:
    alpha = AA.replace("aa = true", "aa = true\nreplicates = 6")
    assert (needed_replicates(1, 0.05), needed_replicates(2, 0.05)) == (6, 7)
    assert plan_of(load(suite_file("", alpha)), manifest).verdicts
    assert not plan_of(load(suite_file(MIX, alpha)), manifest).verdicts


def test_whoever_chooses_arms_keeps_the_copy_and_may_name_it(
    suite_file: Callable[..., Path], manifest: dict[str, Any]
) -> None:
    suite = load(suite_file(MIX + '[arms.slow]\noptimizer = { name = "sgd", lr = 0.01 }\n', AA))
    for chosen, wanted in (["mix"], ["plain", "plain-aa", "mix"]), (["plain-aa"], ["plain", "plain-aa"]):
        plan = plan_of(suite, manifest, arms=chosen)
        assert sorted(arm.name for arm in plan.arms) == sorted(wanted)
        assert sorted(arms_to_run(suite, chosen)) == sorted(set(wanted) - {"plain-aa"})
    with pytest.raises(SuiteError, match="plain-ab"):
        plan_of(suite, manifest, arms=["plain-ab"])
    with pytest.raises(SuiteError, match="plain-aa"):
        plan_of(load(suite_file(MIX, TOP)), manifest, arms=["plain-aa"])


def test_an_arm_with_the_copys_name_is_refused_by_name(
    problems_of: Callable[..., dict[str, Problem]], suite_file: Callable[..., Path], manifest: dict[str, Any]
) -> None:
    taken = '[arms.plain-aa]\naugmentations = ["mixup"]\n'
    problems = problems_of(taken, AA)
    assert list(problems) == ["arms.plain-aa"]
    assert 'the copy of "plain"' in problems["arms.plain-aa"].message
    assert problems["arms.plain-aa"].line == len(AA.splitlines()) + 1
    suite = load(suite_file(taken, TOP))
    assert "plain-aa" in {arm.name for arm in plan_of(suite, manifest).arms}
    # `harness aa` adds copies to a suite that asks for none; the arm is refused though it is not chosen.
    with pytest.raises(SuiteError, match="plain-aa"):
        plan_of(suite, manifest, arms=["plain"], copies=1)


def test_a_baseline_whose_name_leaves_no_room_is_refused(
    problems_of: Callable[..., dict[str, Problem]],
) -> None:
    long = "p" * 62
    text = AA.replace('"plain"', f'"{long}"').replace("[arms.plain]", f"[arms.{long}]")
    assert "64 characters" in problems_of("", text)[f"arms.{long}"].message


def test_a_copy_needs_the_parents_of_its_original(
    suite_file: Callable[..., Path], manifest: dict[str, Any]
) -> None:
    top = AA.replace("[arms.plain]\n", '[arms.plain]\ninit = { arm = "big" }\n')
    shapes = {"classes": ["a", "b"], "modalities": {"image": {"shape": [1, 8, 8]}}}
    plan = plan_of(load(suite_file("[arms.big]\ncompared = false\n", top)), {**manifest, **shapes})
    assert plan.arm("plain-aa").recipe["parents"] == {"init": {"arm": "big"}}
    assert not set(ids(plan, "plain")) & set(ids(plan, "plain-aa"))


def test_in_a_grid_each_cells_baseline_has_a_copy() -> None:
    def arm(name: str, against: str, size: int) -> Arm:
        return Arm(name, {}, (), (), "m", against=against, cell={"batch_size": size})

    arms = [
        arm("plain", "plain", 1),
        arm("mix", "plain", 1),
        arm("plain.1", "plain.1", 2),
        arm("mix.1", "plain.1", 2),
    ]
    found = with_copies(arms, "plain", 1)
    assert [one.name for one in found] == ["plain", "plain-aa", "mix", "plain.1", "plain.1-aa", "mix.1"]
    assert [(one.against, one.cell) for one in found if one.copy_of] == [
        ("plain", {"batch_size": 1}),
        ("plain.1", {"batch_size": 2}),
    ]

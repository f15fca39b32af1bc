import itertools
import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SuiteError
from harness.registry.digests import digest_json
from harness.suite import trials
from harness.suite.expand import expand
from harness.suite.load import Suite, load
from harness.suite.plan import Arm, Job, Plan, Trial, needed_replicates

MORE = '[arms.mix]\naugmentations = ["...", "mixup"]\n[arms.sam]\ntricks = ["sam"]\n'
Manifest = dict[str, Any]


def plan_of(suite: Suite, manifest: Manifest, **options: Any) -> Plan:
    return expand(suite, dict.fromkeys(suite.arms, manifest), **options)


def ids(plan: Plan, arm: str) -> list[str]:
    return [trial.id for trial in sorted(plan.trials, key=lambda t: t.replicate) if trial.arm == arm]


def test_one_trial_for_each_arm_and_replicate(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    plan = plan_of(load(suite_file(MORE)), manifest)
    assert sorted((t.arm, t.replicate) for t in plan.trials) == sorted(
        (arm, r) for arm in ("plain", "mix", "sam") for r in range(10)
    )
    assert len({t.id for t in plan.trials}) == 30
    assert [arm.name for arm in plan.arms] == ["plain", "mix", "sam"]
    assert [c["kind"] for c in plan.arm("mix").components] == [
        "dataset", "sampler", "backbone", "augmentation", "augmentation", "optimizer", "schedule",
    ]  # fmt: skip
    assert plan.manifests == {manifest["hash"]: manifest}


def test_replicates_are_blocks_with_the_arms_in_random_order(
    suite_file: Callable[..., Path], manifest: Manifest
) -> None:
    suite = load(suite_file(MORE))
    plan = plan_of(suite, manifest, replicates=600)
    blocks = [[t.arm for t in plan.trials[i : i + 3]] for i in range(0, 1800, 3)]
    assert [t.replicate for t in plan.trials] == [r for r in range(600) for _ in range(3)]
    counts = [
        sum(1 for block in blocks if block == list(order))
        for order in itertools.permutations(["plain", "mix", "sam"])
    ]
    # chi-squared with 5 degrees of freedom: over 20.5 happens once in a thousand, and the order is fixed
    assert sum((count - 100) ** 2 / 100 for count in counts) < 20.5
    without = expand(suite, dict.fromkeys(suite.arms, manifest), arms=["sam"], replicates=600)
    assert [t.arm for t in without.trials] == [t.arm for t in plan.trials if t.arm != "mix"]


def test_ids_do_not_depend_on_names_of_arms_or_on_spelling(
    suite_file: Callable[..., Path], manifest: Manifest
) -> None:
    first = plan_of(load(suite_file(MORE)), manifest)
    renamed = plan_of(load(suite_file(MORE.replace("arms.mix", "arms.other"))), manifest)
    spelt = MORE.replace('"mixup"', '{ name = "mixup" }').replace(
        '["sam"]', '[{ name = "harness-bench/sam" }]'
    )
    respelt = plan_of(load(suite_file(spelt + "# a comment\n")), manifest)
    assert ids(first, "mix") == ids(renamed, "other") == ids(respelt, "mix")
    assert ids(first, "sam") == ids(respelt, "sam")
    assert first.hash == respelt.hash != renamed.hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("width = 8", "width = 9"), ("lr = 0.1", "lr = 0.2"), ("epochs = 2", "epochs = 3"), ("epochs = 2", "steps = 2"),
        ('"digits"', '{ name = "digits", validation = 0.2 }'), ("batch_size = 32", "batch_size = 16"),
        ("batch_size = 32", "batch_size = 32\nnumerics = { threads = 2 }"), ('name = "toy"', 'name = "toy"\nseed = 1'),
    ],
)  # fmt: skip
def test_what_decides_the_result_moves_every_id(
    suite_file: Callable[..., Path], manifest: Manifest, old: str, new: str
) -> None:
    first = plan_of(load(suite_file()), manifest)
    path = suite_file()
    path.write_text(path.read_text().replace(old, new))
    assert set(ids(plan_of(load(path), manifest), "plain")).isdisjoint(ids(first, "plain"))


def test_what_decides_no_result_moves_no_id(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    first = plan_of(load(suite_file()), manifest)
    path = suite_file()
    path.write_text(
        path.read_text().replace('name = "toy"', 'name = "other"\nalpha = 0.1\nreplicates = 12\nmargin = 1.0')
    )
    assert ids(plan_of(load(path), manifest), "plain")[:10] == ids(first, "plain")
    other = plan_of(load(suite_file()), {**manifest, "hash": "x"})
    assert set(ids(other, "plain")).isdisjoint(ids(first, "plain"))


def test_an_edited_formula_moves_its_arms_alone(
    suite_file: Callable[..., Path], tmp_path: Path, manifest: Manifest
) -> None:
    text = (
        "from dataclasses import dataclass\nfrom harness.contract import Trick, hookimpl\n"
        "@dataclass(frozen=True)\nclass Mine(Trick):\n    '''Doc.'''\n    def plan(self, plan): return plan\n"
        "@hookimpl\ndef harness_register(registry):\n    registry.add('trick', 'mine', Mine, summary='mine')\n"
    )
    top = suite_file().read_text().replace("baseline", 'plugins = ["mine.py"]\nbaseline', 1)
    path = suite_file('[arms.mine]\ntricks = ["mine"]\n', top)

    def planned(source: str) -> Plan:
        (tmp_path / "mine.py").write_text(source)
        return plan_of(load(path), manifest)

    first, commented = planned(text), planned("# why\n" + text.replace("Doc", "Documentation"))
    edited = planned(text.replace("return plan", "return (plan, 1)[0]"))
    assert commented == first
    assert ids(edited, "plain") == ids(first, "plain")
    assert set(ids(edited, "mine")).isdisjoint(ids(first, "mine"))


def test_two_arms_that_are_the_same_are_refused_by_name(
    suite_file: Callable[..., Path], manifest: Manifest
) -> None:
    suite = load(suite_file('[arms.twin]\naugmentations = ["..."]\n'))
    with pytest.raises(SuiteError, match=r'arms\.twin: is the same as arm "plain"'):
        plan_of(suite, manifest)


def test_arms_and_replicates_can_be_picked_and_the_baseline_stays(
    suite_file: Callable[..., Path], manifest: Manifest
) -> None:
    suite = load(suite_file(MORE))
    plan = plan_of(suite, manifest, arms=["sam"], replicates=2)
    assert sorted({t.arm for t in plan.trials}) == ["plain", "sam"] and len(plan.trials) == 4
    assert ids(plan, "sam") == ids(plan_of(suite, manifest), "sam")[:2]
    with pytest.raises(SuiteError, match='no arm "samm"; did you mean "sam"'):
        plan_of(suite, manifest, arms=["samm"])
    with pytest.raises(SuiteError, match="at least 1"):
        plan_of(suite, manifest, replicates=0)


def test_json_there_and_back(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    plan = plan_of(load(suite_file(MORE)), manifest)
    value = json.loads(json.dumps(plan.to_json()))
    assert Plan.from_json({**value, "of_a_later_version": 1}) == plan
    assert value["schema"] == value["protocol"] == 1
    assert set(value["arms"][0]) == {"name", "recipe", "components", "varies", "data", "failure"}
    assert set(value["trials"][0]) == {"id", "arm", "replicate"}
    assert (
        Arm.from_json(value["arms"][1]) == plan.arms[1]
        and Trial.from_json(value["trials"][0]) == plan.trials[0]
    )
    job = Job("t", "plain", 0, 1, 0, "", plan.arms[0].recipe, manifest, "d", ("p.py",), "cpu", "f", 30.0, 2.0)
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
    tampered = {**value, "replicates": 11}
    assert Plan.from_json(tampered).hashed().hash != plan.hash == Plan.from_json(value).hashed().hash


@pytest.mark.parametrize(("m", "n"), [(1, 6), (3, 7), (5, 8), (10, 9), (20, 10)])
def test_needed_replicates_are_the_protocols(m: int, n: int) -> None:
    assert needed_replicates(m, 0.05) == n


@given(st.integers(1, 1000), st.floats(1e-6, 0.5))
def test_needed_replicates_are_the_fewest_that_can_be_significant(m: int, alpha: float) -> None:
    n = needed_replicates(m, alpha)
    assert 2 / 2**n <= alpha / m * (1 + 1e-12)
    assert n == 1 or 2 / 2 ** (n - 1) > alpha / m * (1 - 1e-12)
    assert abs(n - math.log2(2 * m / alpha)) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("replicates", "line", "verdicts", "told"),
    [
        (7, "", True, ""),
        (6, "", False, "take at least 7"),  # two arms: log2(80) = 6.3
        (5, "", False, "with 5 replicates nothing could be significant: 2 arms against the baseline"),
        (10, "verdicts = false", False, "exploratory"),
        (6, "alpha = 0.01", False, "take at least 9"),
    ],
)
def test_a_plan_that_could_never_be_significant_has_no_verdicts(
    suite_file: Callable[..., Path], manifest: Manifest, replicates: int, line: str, verdicts: bool, told: str
) -> None:
    path = suite_file(MORE)
    path.write_text(
        path.read_text().replace('name = "toy"', f'name = "toy"\nreplicates = {replicates}\n{line}')
    )
    plan = plan_of(load(path), manifest)
    assert (
        plan.verdicts is verdicts
        and told in plan.verdicts_reason
        and bool(plan.verdicts_reason) is not verdicts
    )


@pytest.mark.parametrize(
    ("count", "line", "margin"), [(10_000, "", 0.1), (500, "", 0.2), (500, "margin = 0.7", 0.7)]
)
def test_margin_is_the_suites_or_a_tenth_of_a_point_or_one_example(
    suite_file: Callable[..., Path], manifest: Manifest, count: int, line: str, margin: float
) -> None:
    path = suite_file(MORE)
    path.write_text(path.read_text().replace('name = "toy"', f'name = "toy"\n{line}'))
    manifest["splits"]["test"]["count"] = count
    plan = plan_of(load(path), manifest)
    assert plan.margin_points == plan.equal_margin_points == pytest.approx(margin)


def test_a_batch_larger_than_the_training_split_is_refused_with_counts(
    suite_file: Callable[..., Path], manifest: Manifest
) -> None:
    manifest["splits"]["train"]["count"] = 35  # 32 or 31 are left
    suite = load(suite_file('[arms.big]\nbatch_size = 33\nvaries = ["batch_size"]\n'))
    with pytest.raises(
        SuiteError, match=r"arms\.big\.batch_size: 33 is more than the 31 training samples \(of 35"
    ):
        plan_of(suite, manifest)


def test_failed_arms_stay_without_trials(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    suite = load(
        suite_file('[arms.gone]\ntricks = ["stranger/swirl"]\n[arms.sam]\ntricks = ["sam"]\n'),
        keep_going=True,
    )
    plan = expand(suite, {"plain": manifest, "sam": manifest})
    assert "stranger/swirl" in str(plan.arm("gone").failure) and plan.arm("gone").data is None
    assert {t.arm for t in plan.trials} == {"plain", "sam"}
    with pytest.raises(KeyError):
        plan.arm("nobody")


def test_of_ten_thousand_trials_each_recipe_is_hashed_once(
    suite_file: Callable[..., Path], manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they take in seconds is for `benchmarks/gates/test_planning.py`; the hash of a recipe is the dear part."""
    hashed: list[Any] = []

    def noted(value: Any) -> str:
        hashed.append(value)
        return digest_json(value)

    more = "".join(
        f'[arms.a{i}]\naugmentations = ["...", {{ name = "mixup", alpha = {0.01 * (i + 1)} }}]\n'
        for i in range(49)
    )
    suite = load(suite_file(more))
    monkeypatch.setattr(trials, "digest_json", noted)
    plan = plan_of(suite, manifest, replicates=200)
    assert len({t.id for t in plan.trials}) == 10_000
    recipes = [value for value in hashed if isinstance(value, dict)]
    assert (len(recipes), len(hashed)) == (50, 50 + 10_000)


def test_load_and_expand_take_no_torch(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    path = suite_file(
        "".join(
            f'[arms.a{i}]\ntricks = [{{ name = "label-smoothing", smoothing = 0.{i + 1} }}]\n'
            for i in range(5)
        )
    )
    code = f"""
    import sys
    from harness.suite.load import load
    from harness.suite.expand import expand
    suite = load({str(path)!r})
    plan = expand(suite, {{arm: {manifest!r} for arm in suite.arms}})
    heavy = {{"torch", "timm", "torchvision", "sklearn", "scipy"}} & set(sys.modules)
    print(len(plan.trials), sorted(heavy))
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    told = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["60", "[]"]


@pytest.mark.parametrize(("alpha", "needed"), [(0.05, 6), (0.5, 2), (1e-6, 21), (5e-324, 1075)])
def test_the_fewest_replicates_are_told_of_any_level(alpha: float, needed: int) -> None:
    """2 / 2^n is at most alpha: by hand 2^-5, 2^-1, 2^-20 and 2^-1074, the smallest float."""
    assert needed_replicates(1, alpha) == needed

import itertools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.errors import SuiteError
from harness.registry.discovery import discover
from harness.suite import grid as grid_module
from harness.suite.expand import expand
from harness.suite.load import Suite, load
from harness.suite.plan import Plan
from harness.suite.schema import suite_schema

MIX = '[arms.mix]\naugmentations = ["...", "mixup"]\n'
GRID = '[grid]\nbatch_size = [32, 64]\n"optimizer.lr" = [0.1, 0.03, 0.01]\n'
Manifest = dict[str, Any]


def plan_of(suite: Suite, manifest: Manifest, **options: Any) -> Plan:
    return expand(suite, dict.fromkeys(suite.arms, manifest), **options)


def ids(plan: Plan, arm: str) -> set[str]:
    return {trial.id for trial in plan.trials if trial.arm == arm}


def test_every_arm_stands_in_every_cell_in_the_order_of_the_file(suite_file: Callable[..., Path]) -> None:
    arms = load(suite_file(MIX + GRID)).arms
    cells = list(itertools.product([32, 64], [0.1, 0.03, 0.01]))
    names = ["plain", "mix", *(f"{arm}.{n}" for n in range(1, 6) for arm in ("plain", "mix"))]
    assert list(arms) == names
    for place, arm in enumerate(arms.values()):
        number, (size, rate) = place // 2, cells[place // 2]
        assert arm.cell == {"batch_size": size, "optimizer.lr": rate}
        assert arm.recipe["batch_size"] == size and arm.recipe["optimizer"][0]["params"]["lr"] == rate
        assert arm.recipe["optimizer"][0]["params"]["momentum"] == 0.5  # the rest is the arm's own
        assert arm.against == ("plain" if number == 0 else f"plain.{number}")
        assert len(arm.recipe["augmentations"]) == 1 + (arm.plain == "mix")


def test_a_grid_that_is_added_reuses_the_first_cell(
    suite_file: Callable[..., Path], manifest: Manifest
) -> None:
    before = plan_of(load(suite_file(MIX)), manifest)
    after = plan_of(load(suite_file(MIX + GRID)), manifest)
    assert ids(after, "plain") == ids(before, "plain") and ids(after, "mix") == ids(before, "mix")
    assert len({trial.id for trial in after.trials}) == 12 * 10
    assert after.hash != before.hash


def test_the_plan_says_cell_and_baseline_of_each_arm_there_and_back(
    suite_file: Callable[..., Path], manifest: Manifest
) -> None:
    plan = plan_of(load(suite_file(MIX + GRID)), manifest)
    arm = Plan.from_json(plan.to_json()).arm("mix.4")
    assert arm.against == "plain.4" and arm.cell == {"batch_size": 64, "optimizer.lr": 0.03}
    assert plan.baseline == "plain" and plan.arm("plain").against == "plain"
    # Six comparisons: log2(2 * 6 / 0.05) = 7.9.
    assert plan_of(load(suite_file(MIX + GRID)), manifest, replicates=8).verdicts
    reason = plan_of(load(suite_file(MIX + GRID)), manifest, replicates=7).verdicts_reason
    assert "6 arms" in reason and "set replicates = 8, or compare 3 arms at the most" in reason


def test_without_a_grid_nothing_is_said_of_cells(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    assert {"cell", "against"}.isdisjoint(plan_of(load(suite_file(MIX)), manifest).to_json()["arms"][0])


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ('dataset = ["digits", { name = "subset", of = "digits", samples = 500 }]', ["digits", "subset"]),
        ("dataset.validation = [0.1, 0.2]", [0.1, 0.2]),
    ],
)
def test_data_differs_between_cells_and_not_within(
    suite_file: Callable[..., Path], grid: str, expected: list[Any]
) -> None:
    arms = load(suite_file(MIX + f"[grid]\n{grid}\n")).arms
    key = "name" if "name" in grid else "validation"
    assert [arms[name].recipe["dataset"][key] for name in ("plain", "mix", "plain.1", "mix.1")] == [
        expected[0], expected[0], expected[1], expected[1],
    ]  # fmt: skip


def test_key_paths_reach_components_of_lists_nested_ones_and_tables(suite_file: Callable[..., Path]) -> None:
    more = (
        '[arms.sam]\ntricks = [{ name = "sam" }]\n[arms.both]\nextends = "sam"\naugmentations = ["...", "mixup"]\n'
        '[grid]\n"numerics.precision" = ["fp32", "bf16"]\nbudget.steps = [3, 4]\n"schedule.warmup" = [0.1, 0.2]\n'
    )
    arms = load(suite_file(more)).arms
    last = arms["both.7"].recipe
    assert last["numerics"]["precision"] == "bf16" and last["budget"] == {"unit": "steps", "amount": 4}
    assert last["schedule"] == {"name": "constant", "params": {}, "warmup": 0.2}
    top = suite_file().read_text().replace('"translate"]', '"translate", { name = "mixup" }]')
    top = top.replace('dataset = "digits"', 'dataset = { name = "subset", of = "digits", samples = 300 }')
    nested = '[grid]\n"augmentations.mixup.alpha" = [0.2, 0.4]\n"augmentations[0].pixels" = [1]\n'
    arms = load(suite_file(nested, top)).arms
    assert arms["plain"].recipe["augmentations"][0]["params"]["pixels"] == 1
    assert [arm.recipe["augmentations"][1]["params"]["alpha"] for arm in arms.values()] == [0.2, 0.4]


def test_parents_are_those_of_the_own_cell(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    pupil = '[arms.pupil]\ntricks = ["knowledge-distillation"]\nteacher = { arm = "plain" }\n'
    manifest |= {"classes": ["0"], "modalities": {}}
    suite = load(suite_file(pupil + "[grid]\nbatch_size = [32, 64]\n"))
    assert suite.arms["pupil"].recipe["parents"] == {"teacher": {"arm": "plain"}}
    assert suite.arms["pupil.1"].recipe["parents"] == {"teacher": {"arm": "plain.1"}}
    plan = plan_of(suite, manifest, arms=["pupil.1"])
    assert [arm.name for arm in plan.arms] == ["plain.1", "pupil.1"] and plan.baseline == "plain.1"
    with pytest.raises(SuiteError, match=r'teacher\.arm: must be an arm of the file, not "plain\.1"'):
        load(suite_file(pupil.replace('"plain"', '"plain.1"') + "[grid]\nbatch_size = [32, 64]\n"))


def test_an_arm_is_picked_in_every_cell_or_in_one(
    suite_file: Callable[..., Path], manifest: Manifest
) -> None:
    suite = load(suite_file(MIX + '[arms.sam]\ntricks = ["sam"]\n[grid]\nbatch_size = [32, 64]\n'))

    def picked(*names: str) -> list[str]:
        return [arm.name for arm in plan_of(suite, manifest, arms=names).arms]

    assert picked("mix") == ["plain", "mix", "plain.1", "mix.1"]
    assert picked("mix.1") == ["plain.1", "mix.1"]
    assert picked("mix.0") == ["plain", "mix"]
    with pytest.raises(SuiteError, match=r'no arm "mix\.2"; did you mean "mix\.1"'):
        picked("mix.2")


def test_arms_are_held_equal_within_their_cell(problems_of: Callable[..., Any]) -> None:
    found = problems_of("[arms.big]\nbudget = { epochs = 3 }\n[grid]\nbatch_size = [32, 64]\n")
    assert list(found) == ["arms.big.budget"]  # once, not once a cell
    found = problems_of(
        '[arms.big]\nbatch_size = 48\nvaries = ["batch_size"]\n[grid]\nbatch_size = [32, 64]\n'
    )
    assert "does not vary" in found["arms.big.varies[0]"].message  # the grid sets it for all


def test_an_equal_arm_is_refused_in_its_cell(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    suite = load(suite_file('[arms.fast]\noptimizer = { name = "sgd", lr = 0.5 }\n' + GRID))
    with pytest.raises(SuiteError, match=r'arms\.fast: is the same as arm "plain"'):
        plan_of(suite, manifest)


@pytest.mark.parametrize(
    ("grid", "path", "told"),
    [
        ("batch_sise = [1]", "grid.batch_sise", 'did you mean "batch_size"'),
        ("extends = [1]", "grid.extends", "unknown key"),
        ('"optimizer.lrr" = [0.1]', "grid.optimizer.lrr", 'did you mean "lr"'),
        ('"numerics.precison" = ["fp32"]', "grid.numerics.precison", 'did you mean "precision"'),
        ('"batch_size.x" = [1]', "grid.batch_size.x", "has no key"),
        ('"schedule.t_max" = [0.5, 1.0]', "grid.schedule.t_max", 'means nothing for arm "plain": schedule "constant"'),
        ('"tricks.sam.rho" = [0.1]', "grid.tricks.sam.rho", 'there is no trick "sam"'),
        ("batch_size = 64", "grid.batch_size", "must be a list of values"),
        ("batch_size = []", "grid.batch_size", "at least one"),
        ("batch_size = [32, 64, 32]", "grid.batch_size[2]", '"32" is listed twice, here and at grid.batch_size[0]'),
        ("batch_size = [32, 0]", "grid.batch_size[1]", "must be at least 1, not 0"),
        ('tricks = ["sam"]', "grid.tricks[0]", "must be a list of tricks"),
        ('dataset = ["digits", "digit"]', "grid.dataset[1]", 'did you mean "digits"'),
        ('dataset = ["digits"]\n"dataset.validation" = [0.2]', "grid.dataset.validation", 'what "dataset" sets'),
        ('dataset = ["digits", { name = "digits", validation = 0.1 }]', "grid", "cells 0 and 1 are the same"),
        ('optimizer = ["sgd", { name = "sgd", lr = 0.1 }]', "grid", 'cells 0 and 1 are the same for arm "plain"'),
    ],
)  # fmt: skip
def test_what_is_refused_and_by_what_name(
    problems_of: Callable[..., Any], grid: str, path: str, told: str
) -> None:
    cosine = '[arms.wave]\nschedule = "cosine"\n' if "t_max" in grid else ""
    found = problems_of(f"{cosine}[grid]\n{grid}\n")
    assert len(found) == 1, found
    (problem,) = (one for at, one in found.items() if at == path or at.startswith(f"{path}."))
    assert told in problem.message and problem.line > 12


def test_a_value_that_is_wrong_for_one_arm_names_it(problems_of: Callable[..., Any]) -> None:
    found = problems_of(
        '[arms.sam]\ntricks = ["sam"]\n[grid]\ntricks = [["...", "lookahead"], ["...", "sam"]]\n'
    )
    (problem,) = found.values()
    assert '(arm "sam")' in problem.message and problem.path.startswith("grid.tricks[1]")


def test_names_stay_names(problems_of: Callable[..., Any]) -> None:
    long = "a" * 63
    found = problems_of(
        f'[arms.{long}]\ntricks = ["sam"]\n[arms."plain.1"]\ntricks = ["ema"]\n[grid]\nbatch_size = [32, 64]\n'
    )
    assert "64 characters" in found[f"arms.{long}"].message
    assert 'what the grid calls arm "plain" in cell 1' in found["arms.plain.1"].message


def test_a_huge_grid_is_counted_and_not_built(
    problems_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, built = grid_module.Cell, itertools.count(1)

    def counted(*arguments: Any) -> Any:
        assert next(built) <= 10, "a billion cells would take weeks"
        return cell(*arguments)

    monkeypatch.setattr(grid_module, "Cell", counted)
    grid = "\n".join(
        f'"{key}" = {list(range(1, 1001))}' for key in ("batch_size", "budget.epochs", "optimizer.lr")
    )
    found = problems_of(f"{MIX}[grid]\n{grid}\n")
    assert next(built) > 1  # the first cell is looked at, so what is counted is what builds them
    assert (
        "1,000,000,000 combinations of 2 arms are 2,000,000,000 arms, 20,000,000,000 trials"
        in found["grid"].message
    )


def test_the_copy_of_each_cells_baseline(suite_file: Callable[..., Path], manifest: Manifest) -> None:
    top = suite_file().read_text().replace('name = "toy"', 'name = "toy"\naa = true')
    suite = load(suite_file("[grid]\nbatch_size = [32, 64]\n", top))
    plan = plan_of(suite, manifest)
    assert {arm.name: arm.against for arm in plan.arms} == {
        "plain": "plain", "plain-aa": "plain", "plain.1": "plain.1", "plain.1-aa": "plain.1",
    }  # fmt: skip
    assert [arm.name for arm in plan_of(suite, manifest, arms=["plain.1-aa"]).arms] == [
        "plain.1",
        "plain.1-aa",
    ]


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema.Draft202012Validator(suite_schema(discover(allow="harness-bench")))


def test_the_schema_knows_grids(validator: Any, suite_file: Callable[..., Path]) -> None:
    def errors(more: str) -> int:
        return len(list(validator.iter_errors(tomllib.loads(suite_file(more).read_text()))))

    assert (
        errors(
            GRID + 'dataset = ["digits", { name = "digits", validation = 0 }]\nnumerics.threads = [1, 2]\n'
        )
        == 0
    )
    assert errors("[grid]\nbatch_sise = [1]\n") == 1
    assert errors("[grid]\nbatch_size = 64\n") == 1
    assert errors("[grid]\nbatch_size = [0]\n") == 1
    assert errors('[grid]\n"optimizer.lr" = []\n') == 1
    top = suite_file().read_text().replace('name = "toy"', 'name = "toy"\naa = true\nnon_inferiority = 0.5')
    assert list(validator.iter_errors(tomllib.loads(top))) == []

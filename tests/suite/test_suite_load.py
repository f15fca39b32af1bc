from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SuiteError
from harness.suite.load import load

File = Callable[..., Path]


def recipe(path: Path, arm: str) -> dict[str, Any]:
    return dict(load(path).arms[arm].recipe)


def names(recipe: dict[str, Any], key: str) -> list[str]:
    return [one["name"] for one in recipe[key]]


def test_normal_form_of_a_small_recipe(suite_file: File) -> None:
    suite = load(suite_file())
    assert suite.arms["plain"].recipe == {
        "dataset": {"name": "digits", "params": {}, "validation": 0.1},
        "sampler": {"name": "shuffle", "params": {}},
        "backbone": {"name": "simple-cnn", "params": {"width": 8, "depth": 2}},
        "augmentations": [{"name": "translate", "params": {"pixels": 2}}],
        "optimizer": [
            {
                "name": "sgd",
                "params": {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.0, "nesterov": False},
                "parameters": "all",
            }
        ],
        "schedule": {"name": "constant", "params": {}, "warmup": 0.0},
        "tricks": [],
        "metrics": [],
        "batch_size": 32,
        "numerics": {
            "precision": "fp32",
            "channels_last": False,
            "compile": False,
            "threads": 1,
            "deterministic": False,
        },
        "evaluation": {"batch_size": 500},
        "budget": {"unit": "epochs", "amount": 2},
    }
    assert (suite.name, suite.replicates, suite.seed, suite.alpha) == ("toy", 10, 0, 0.05)
    assert suite.timing == {"rounds": 3, "seconds": 1.0} and suite.verdicts is True


def test_same_name_merges_keys_and_another_name_replaces(suite_file: File) -> None:
    path = suite_file(
        '[arms.slow]\noptimizer = { name = "sgd", lr = 0.01 }\n'
        '[arms.adam]\noptimizer = { name = "adam", lr = 0.01 }\n'
        '[arms.bare]\noptimizer = "sgd"\n'
    )
    slow = recipe(path, "slow")["optimizer"][0]["params"]
    assert (slow["lr"], slow["momentum"]) == (0.01, 0.5)
    assert "momentum" not in recipe(path, "adam")["optimizer"][0]["params"]
    assert recipe(path, "bare") == recipe(path, "plain")


def test_a_list_replaces_unless_it_holds_the_dots(suite_file: File) -> None:
    path = suite_file(
        '[arms.a]\naugmentations = ["mixup"]\n'
        '[arms.b]\naugmentations = ["cutout", "...", { name = "mixup", alpha = 0.4 }]\n'
        '[arms.c]\nextends = "b"\naugmentations = ["...", "cutmix"]\n'
        '[arms.d]\naugmentations = []\ntricks = ["...", "sam"]\n'
    )
    assert names(recipe(path, "a"), "augmentations") == ["mixup"]
    assert names(recipe(path, "b"), "augmentations") == ["cutout", "translate", "mixup"]
    assert names(recipe(path, "c"), "augmentations") == ["cutout", "translate", "mixup", "cutmix"]
    assert recipe(path, "c")["augmentations"][2]["params"]["alpha"] == 0.4
    assert names(recipe(path, "d"), "augmentations") == [] and names(recipe(path, "d"), "tricks") == ["sam"]


def test_extends_chains_whatever_the_order_in_the_file(suite_file: File) -> None:
    path = suite_file(
        '[arms.c]\nextends = "b"\nschedule = { name = "cosine", warmup = 0.1 }\n'
        '[arms.b]\nextends = "a"\ntricks = ["...", "ema"]\n'
        '[arms.a]\ntricks = ["label-smoothing"]\n'
    )
    c = recipe(path, "c")
    assert names(c, "tricks") == ["label-smoothing", "ema"] and c["schedule"]["warmup"] == 0.1
    assert list(load(path).arms) == ["plain", "c", "b", "a"]


def test_an_optimizer_list_splits_the_parameters(suite_file: File) -> None:
    path = suite_file(
        '[arms.two]\noptimizer = [{ name = "adam", lr = 1e-3, parameters = "matrices" }, '
        '{ name = "sgd", lr = 0.1, parameters = "rest" }]\n'
        '[arms.three]\nextends = "two"\noptimizer = [{ name = "adamw", lr = 1e-3, parameters = "*.bias" }, "..."]\n'
        '[arms.one]\nextends = "two"\noptimizer = { name = "sgd", lr = 0.1 }\n'
    )
    two = recipe(path, "two")["optimizer"]
    assert [(o["name"], o["parameters"]) for o in two] == [("adam", "matrices"), ("sgd", "rest")]
    assert two[1]["params"]["momentum"] != 0.5  # a list starts afresh
    assert names(recipe(path, "three"), "optimizer") == ["adamw", "adam", "sgd"]
    assert names(recipe(path, "one"), "optimizer") == ["sgd"]


@pytest.mark.parametrize(
    ("written", "unit", "amount"),
    [
        ("epochs = 1.5", "epochs", 1.5),
        ("epochs = 3.0", "epochs", 3),
        ("steps = 7", "steps", 7),
        ("samples = 9", "samples", 9),
        ("seconds = 90", "seconds", 90),
        ("seconds = 0.5", "seconds", 0.5),
    ],
)
def test_budget_units(suite_file: File, written: str, unit: str, amount: float) -> None:
    path = suite_file(f'[arms.other]\nvaries = ["budget"]\nbudget = {{ {written} }}\n')
    budget = recipe(path, "other")["budget"]
    assert budget == {"unit": unit, "amount": amount} and type(budget["amount"]) is type(amount)


def test_nested_components_and_numerics_merge_by_key(suite_file: File) -> None:
    top = (
        suite_file()
        .read_text()
        .replace(
            'dataset = "digits"',
            'dataset = { name = "subset", of = "digits", fraction = 0.5 }\nnumerics = { precision = "bf16" }',
        )
    )
    path = suite_file(
        '[arms.v]\ndataset = { name = "subset", validation = 0.0 }\nnumerics = { threads = 2 }\n'
        'varies = ["dataset.validation", "numerics.threads"]\n',
        top,
    )
    v = recipe(path, "v")
    assert v["dataset"]["params"]["fraction"] == 0.5 and v["dataset"]["validation"] == 0.0
    assert (v["numerics"]["precision"], v["numerics"]["threads"]) == ("bf16", 2)


def test_plugin_files_stand_beside_the_suite_and_keep_bare_names(suite_file: File, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom harness.contract import Trick, hookimpl\n"
        "@dataclass(frozen=True)\nclass Mine(Trick):\n    rho: float = 0.5\n"
        "@hookimpl\ndef harness_register(registry):\n    registry.add('trick', 'mine', Mine, summary='mine')\n"
    )
    top = suite_file().read_text().replace("baseline", 'plugins = ["./mine.py"]\nbaseline', 1)
    suite = load(suite_file('[arms.mine]\ntricks = [{ name = "mine", rho = 2 }]\n', top))
    assert suite.arms["mine"].recipe["tricks"] == [{"name": "mine", "params": {"rho": 2.0}}]
    assert suite.plugins == {"./mine.py": (tmp_path / "mine.py").resolve()}


def test_crlf_is_fine(suite_file: File) -> None:
    path = suite_file()
    plain = load(path).arms["plain"].recipe
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(path).arms["plain"].recipe == plain


def test_keep_going_turns_what_cannot_be_resolved_into_failed_arms(suite_file: File) -> None:
    path = suite_file(
        '[arms.gone]\ntricks = ["stranger/swirl"]\n[arms.child]\nextends = "gone"\n[arms.ok]\ntricks = ["sam"]\n'
    )
    with pytest.raises(SuiteError, match="stranger/swirl"):
        load(path)
    suite = load(path, keep_going=True)
    assert list(suite.arms) == ["plain", "gone", "child", "ok"]
    assert "stranger/swirl" in str(suite.arms["gone"].failure) and suite.arms["gone"].recipe == {}
    assert suite.arms["child"].failure and suite.arms["ok"].failure is None


def test_keep_going_does_not_forgive_wrong_parameters(suite_file: File) -> None:
    path = suite_file('[arms.gone]\ntricks = ["stranger/swirl", { name = "sam", rho = -1 }]\n')
    with pytest.raises(SuiteError, match="at least 0"):
        load(path, keep_going=True)


@pytest.mark.parametrize(
    "suite",
    sorted((Path(__file__).parents[2] / "benchmarks" / "suites").glob("*.toml")),
    ids=lambda p: p.stem,
)
def test_our_own_suites_load(suite: Path) -> None:
    assert load(suite).arms

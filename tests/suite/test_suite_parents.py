"""Suites as graphs, up to the plan: what an arm may need of others, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.errors import Problem, SuiteError
from harness.registry.discovery import discover
from harness.suite.expand import arms_to_run, expand
from harness.suite.load import Suite, load
from harness.suite.parents import circles, layers_of, with_parents
from harness.suite.plan import Arm, Job, Plan
from harness.suite.schema import suite_schema
from harness.suite.search import tuned_suite

KD = 'tricks = ["knowledge-distillation"]\n'
BIG = '[arms.big]\ncompared = false\nbackbone = { name = "simple-cnn", width = 32 }\n'
CHILD = f'[arms.child]\nteacher = {{ arm = "big" }}\n{KD}'
Problems = Callable[..., dict[str, Problem]]
SuiteFile = Callable[..., Path]


def manifest_of(classes: int = 10, shape: tuple[int, ...] = (1, 8, 8), name: str = "m") -> dict[str, Any]:
    return {
        "hash": name * 32,
        "classes": [f"class {index}" for index in range(classes)],
        "modalities": {"image": {"shape": list(shape), "mean": [0.5] * shape[0], "std": [0.2] * shape[0]}},
        "splits": {"train": {"count": 1000}, "test": {"count": 500}},
    }


def plan_of(suite: Suite, **options: Any) -> Plan:
    return expand(suite, dict.fromkeys(suite.arms, manifest_of()), **options)


def ids(plan: Plan, arm: str) -> list[str]:
    return [trial.id for trial in plan.trials if trial.arm == arm]


def write_weights(path: Path, metadata: dict[str, str] | None) -> Path:
    save_file({"weight": np.zeros((2, 2), np.float32)}, path, metadata)
    return path


def harness_metadata(classes: int = 10, backbone: str = "simple-cnn") -> dict[str, str]:
    made = {
        "trial": "a" * 32,
        "backbone": {"name": backbone, "params": {"width": 8, "depth": 2}},
        "classes": [f"class {index}" for index in range(classes)],
        "shapes": {"image": [1, 8, 8]},
    }
    return {"harness": json.dumps(made)}


def test_a_parent_is_in_the_normal_form_only_where_there_is_one(suite_file: SuiteFile) -> None:
    suite = load(suite_file(BIG + CHILD + '[arms.start]\ninit = { arm = "plain" }\n'))
    assert suite.arms["child"].recipe["parents"] == {"teacher": {"arm": "big"}}
    assert suite.arms["start"].recipe["parents"] == {"init": {"arm": "plain"}}
    for name in ("plain", "big"):
        assert not {"parents", "teacher", "init"} & suite.arms[name].recipe.keys()
    assert not {"teacher", "init"} & suite.arms["child"].recipe.keys()
    plan = plan_of(suite)
    assert [arm.name for arm in plan.arms if not arm.compared] == ["big"]
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_ids_of_arms_without_parents_stay_as_they_are_without_the_others(suite_file: SuiteFile) -> None:
    alone = plan_of(load(suite_file()))
    among = plan_of(load(suite_file(BIG + CHILD)))
    assert ids(alone, "plain") == ids(among, "plain")
    # What a plan without parents says of its arms is what it has always said.
    assert [set(arm) for arm in alone.to_json()["arms"]] == [
        {"name", "recipe", "components", "varies", "data", "failure"}
    ]


@pytest.mark.parametrize(
    "latest",
    sorted((Path(__file__).parents[2] / "results" / "reference").glob("*/plans/latest")),
    ids=lambda path: path.parent.parent.name,
)
def test_committed_trial_ids_are_what_the_committed_suites_give(latest: Path) -> None:
    plan = json.loads((latest.parent / f"{latest.read_text().strip()}.json").read_text())
    file = Path(__file__).parents[2] / "benchmarks" / "suites" / f"{plan['suite']}.toml"
    if not file.is_file():
        pytest.skip(f"the suite of {latest.parent.parent.name} is not committed")
    manifests = {arm["name"]: plan["manifests"][arm["data"]] for arm in plan["arms"]}
    # What the search chose is in the plan; the trials are those of the suite at these settings.
    tuned = {arm["name"]: arm["tuned"] for arm in plan["arms"] if arm.get("tuned")}
    made = expand(tuned_suite(load(file), tuned), manifests, replicates=plan["replicates"])
    assert [trial.to_json() for trial in made.trials] == plan["trials"]


def test_a_childs_id_hangs_on_its_parents_recipe_and_not_on_its_name(suite_file: SuiteFile) -> None:
    first = plan_of(load(suite_file(BIG + CHILD)))
    renamed = plan_of(load(suite_file((BIG + CHILD).replace("big", "huge"))))
    other = plan_of(load(suite_file(BIG.replace("32", "33") + CHILD)))
    assert ids(first, "child") == ids(renamed, "child")
    assert set(ids(first, "child")).isdisjoint(ids(other, "child"))
    assert ids(first, "plain") == ids(other, "plain")


def test_a_grandparent_moves_the_id_too(suite_file: SuiteFile) -> None:
    chain = f'{BIG}[arms.middle]\nteacher = {{ arm = "big" }}\n{KD}[arms.last]\ninit = {{ arm = "middle" }}\n'
    first, other = (plan_of(load(suite_file(chain.replace("32", width)))) for width in ("32", "33"))
    assert set(ids(first, "last")).isdisjoint(ids(other, "last"))


def test_teacher_and_start_are_not_the_same_parent(suite_file: SuiteFile) -> None:
    as_init = '[arms.child]\ninit = { arm = "plain" }\n'
    both = f'[arms.child]\ninit = {{ arm = "plain" }}\nteacher = {{ arm = "plain" }}\n{KD}'
    first, other = (plan_of(load(suite_file(arms))) for arms in (as_init, both))
    assert set(ids(first, "child")).isdisjoint(ids(other, "child"))


@pytest.mark.parametrize(
    ("arms", "path", "message"),
    [
        ('[arms.a]\nteacher = "big"\n', "arms.a.teacher", "must be a table with arm or file, not the text"),
        ("[arms.a]\ninit = { }\n", "arms.a.init", "exactly one of arm and file, not neither"),
        ('[arms.a]\ninit = { arm = "plain", file = "x" }\n', "arms.a.init", "not arm and file"),
        ("[arms.a]\ninit = { arm = 3 }\n", "arms.a.init.arm", "must be"),
        ('[arms.a]\ninit = { name = "plain" }\n', "arms.a.init.name", "unknown key"),
        ('[arms.a]\ninit = { arm = "plian" }\n', "arms.a.init.arm", 'there is no arm "plian"; did you mean "plain"?'),
        ('[arms.a]\nteacher = { arm = "plain" }\n', "arms.a.teacher", "is used by nothing"),
        (f"[arms.a]\n{KD}", "arms.a.tricks[0]", '"knowledge-distillation" needs another trial\'s model: teacher = '),
        ('[arms.a]\ninit = { file = "none.safetensors" }\n', "arms.a.init.file", "there is no file"),
        ('[arms.a]\ncompared = "no"\n', "arms.a.compared", "must be"),
        ('[arms.a]\ncompared = false\nbatch_size = 16\nvaries = ["batch_size"]\n', "arms.a.varies", "not held equal"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_where_it_is_written(
    problems_of: Problems, arms: str, path: str, message: str
) -> None:
    problems = problems_of(arms)
    assert message in problems[path].message
    assert problems[path].line > 13


def test_a_baseline_has_to_be_compared(problems_of: Problems, suite_file: SuiteFile) -> None:
    problems = problems_of("compared = false\n")
    assert "baseline" in problems["arms.plain.compared"].message


def test_circles_are_refused_by_name_each_once(problems_of: Problems) -> None:
    a = f'[arms.a]\nteacher = {{ arm = "b" }}\n{KD}'
    b = f'[arms.b]\nteacher = {{ arm = "c" }}\n{KD}'
    c = '[arms.c]\ninit = { arm = "a" }\n'
    itself = '[arms.d]\ninit = { arm = "d" }\n'
    downstream = '[arms.e]\ninit = { arm = "a" }\n'
    problems = problems_of(a + b + c + itself + downstream)
    assert {path: one.message for path, one in problems.items()} == {
        "arms.a.teacher": "goes round in a circle: a (teacher) → b (teacher) → c (init) → a",
        "arms.d.init": "goes round in a circle: d (init) → d",
    }


def test_a_circle_by_inheritance_is_one_too(problems_of: Problems) -> None:
    problems = problems_of(
        '[arms.a]\nextends = "b"\n[arms.b]\ninit = { arm = "a" }\nbatch_size = 16\nvaries = ["batch_size"]\n'
    )
    assert any("a (init) → a" in one.message for one in problems.values())


def test_layers_and_circles_of_a_long_chain_take_no_recursion() -> None:
    chain = {f"{i}": {"parents": {"init": {"arm": f"{i - 1}"}}} if i else {} for i in range(3000)}
    assert layers_of(chain) == [[f"{i}"] for i in range(3000)]
    assert with_parents(["2999"], chain) == list(chain)
    chain["0"] = {"parents": {"init": {"arm": "2999"}}}
    (circle,) = circles(chain)
    assert len(circle) == 3000
    assert circle[0] == ("0", "init")


def test_a_diamond_is_no_circle(suite_file: SuiteFile) -> None:
    diamond = (
        '[arms.left]\ninit = { arm = "plain" }\n[arms.right]\ninit = { arm = "plain" }\ntricks = ["sam"]\n'
        f'[arms.last]\ninit = {{ arm = "left" }}\nteacher = {{ arm = "right" }}\n{KD}'
    )
    recipes = {name: arm.recipe for name, arm in load(suite_file(diamond)).arms.items()}
    assert layers_of(recipes) == [["plain"], ["left", "right"], ["last"]]


def test_an_arm_that_is_not_compared_is_not_held_equal_and_not_counted(suite_file: SuiteFile) -> None:
    other = BIG + "batch_size = 16\nbudget = { epochs = 9 }\n"
    six = load(suite_file(other + '[arms.one]\ntricks = ["sam"]\n'))
    plan = plan_of(six, replicates=6)
    assert plan.verdicts, plan.verdicts_reason  # one arm against the baseline takes 6, two take 7
    small = {**manifest_of(name="s"), "splits": {"train": {"count": 1000}, "test": {"count": 10}}}
    manifests = {"plain": manifest_of(), "one": manifest_of(), "big": small}
    assert expand(six, manifests).margin_points == 0.2  # of 500, and not of the 10 that decide nothing


def test_choosing_a_child_runs_what_it_needs(suite_file: SuiteFile) -> None:
    more = f'{BIG}[arms.middle]\nteacher = {{ arm = "big" }}\n{KD}[arms.last]\ninit = {{ arm = "middle" }}\n'
    suite = load(suite_file(more + '[arms.other]\ntricks = ["sam"]\n'))
    assert arms_to_run(suite, ["last"]) == ["plain", "big", "middle", "last"]
    assert arms_to_run(suite, ["other"]) == ["plain", "other"]
    assert [arm.name for arm in plan_of(suite, arms=["last"]).arms] == ["plain", "big", "middle", "last"]


def test_an_arm_whose_parent_cannot_be_resolved_fails_with_it(suite_file: SuiteFile) -> None:
    broken = BIG.replace("simple-cnn", "simple-cn")
    suite = load(suite_file(broken + CHILD), keep_going=True)
    plan = plan_of(suite)
    assert 'its teacher, arm "big", cannot run' in (plan.arm("child").failure or "")
    assert "simple-cn" in (plan.arm("child").failure or "")
    assert ids(plan, "child") == []


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (manifest_of(100), 'arms.child.teacher: arm "big" tells 100 classes apart, the arm\'s data has 10'),
        ({**manifest_of(), "classes": list("abcdefghij")}, "arms.child.teacher: arm \"big\" tells other classes"),
        (manifest_of(shape=(3, 8, 8)), "arm \"big\" takes image of 3 × 8 × 8, the arm's is 1 × 8 × 8"),
        (manifest_of(shape=(1, 16, 16)), "image of 1 × 16 × 16"),
    ],
)  # fmt: skip
def test_a_teacher_of_other_data_is_refused(
    suite_file: SuiteFile, other: dict[str, Any], message: str
) -> None:
    suite = load(suite_file(BIG + CHILD))
    manifests = {"plain": manifest_of(), "child": manifest_of(), "big": {**other, "hash": "o" * 32}}
    with pytest.raises(SuiteError) as error:
        expand(suite, manifests)
    assert message.replace("\\", "") in str(error.value)


def test_a_start_may_have_other_classes_and_sizes_but_no_other_channels(suite_file: SuiteFile) -> None:
    suite = load(suite_file('[arms.child]\ninit = { arm = "big" }\n' + BIG))
    fits = {"plain": manifest_of(), "child": manifest_of(), "big": manifest_of(100, (1, 32, 32), "o")}
    assert len(expand(suite, fits).trials) == 30
    with pytest.raises(SuiteError, match=r"arms\.child\.init: arm \"big\" takes images of 3 channels"):
        expand(suite, {**fits, "big": manifest_of(10, (3, 8, 8), "o")})


def test_a_file_counts_by_its_content(suite_file: SuiteFile, tmp_path: Path) -> None:
    arms = f'[arms.a]\nteacher = {{ file = "weights.safetensors" }}\n{KD}'
    file = write_weights(tmp_path / "weights.safetensors", harness_metadata())
    first = load(suite_file(arms))
    assert first.weights["weights.safetensors"].path == file
    assert (
        first.arms["a"].recipe["parents"]["teacher"]["digest"] == first.weights["weights.safetensors"].digest
    )
    file.rename(tmp_path / "moved.safetensors")
    moved = load(suite_file(arms.replace("weights.", "moved.")))
    assert ids(plan_of(first), "a") == ids(plan_of(moved), "a")
    save_file({"weight": np.ones((2, 2), np.float32)}, tmp_path / "moved.safetensors", harness_metadata())
    changed = load(suite_file(arms.replace("weights.", "moved.")))
    assert set(ids(plan_of(first), "a")).isdisjoint(ids(plan_of(changed), "a"))


def test_a_file_of_others_is_a_start_and_no_teacher(
    suite_file: SuiteFile, problems_of: Problems, tmp_path: Path
) -> None:
    write_weights(tmp_path / "w.safetensors", {"format": "pt"})
    load(suite_file('[arms.a]\ninit = { file = "w.safetensors" }\n'))
    problems = problems_of(f'[arms.a]\nteacher = {{ file = "w.safetensors" }}\n{KD}')
    message = problems["arms.a.teacher.file"].message
    assert "was not written by the harness" in message
    assert "results/SUITE/weights" in message


def test_a_teacher_file_of_other_classes_or_an_absent_backbone_is_refused(
    suite_file: SuiteFile, problems_of: Problems, tmp_path: Path
) -> None:
    arms = f'[arms.a]\nteacher = {{ file = "w.safetensors" }}\n{KD}'
    write_weights(tmp_path / "w.safetensors", harness_metadata(7))
    with pytest.raises(SuiteError, match=r"arms\.a\.teacher: the model in .* tells 7 classes apart"):
        plan_of(load(suite_file(arms)))
    write_weights(tmp_path / "w.safetensors", harness_metadata(backbone="simple-cmm"))
    assert "a backbone that is not here" in problems_of(arms)["arms.a.teacher.file"].message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backbone", "simple-cnn"),
        ("backbone", {"name": 3}),
        ("backbone", {"name": "simple-cnn", "params": [8]}),
        ("classes", 10),
        ("classes", [1, 2]),
        ("shapes", {}),
        ("shapes", {"image": "abc"}),
        ("normalization", [1]),
        ("normalization", {"mean": [0.5]}),
        (None, []),
    ],
)
def test_what_a_file_says_of_itself_in_other_words_is_not_believed(
    problems_of: Problems, suite_file: SuiteFile, tmp_path: Path, key: str | None, value: Any
) -> None:
    made = json.loads(harness_metadata()["harness"])
    told = value if key is None else {**made, key: value}
    write_weights(tmp_path / "w.safetensors", {"harness": json.dumps(told)})
    problems = problems_of(f'[arms.a]\nteacher = {{ file = "w.safetensors" }}\n{KD}')
    assert "was not written by the harness" in problems["arms.a.teacher.file"].message
    plan_of(load(suite_file('[arms.a]\ninit = { file = "w.safetensors" }\n')))


def test_a_teacher_file_whose_backbone_cannot_be_built_is_refused(
    problems_of: Problems, tmp_path: Path
) -> None:
    made = json.loads(harness_metadata()["harness"])
    made["backbone"]["params"]["width"] = "x"
    write_weights(tmp_path / "w.safetensors", {"harness": json.dumps(made)})
    problem = problems_of(f'[arms.a]\nteacher = {{ file = "w.safetensors" }}\n{KD}')["arms.a.teacher.file"]
    assert "belongs to a backbone that cannot be built: backbone.width must be" in problem.message


def test_a_pickle_is_not_opened(problems_of: Problems, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    problems = problems_of('[arms.a]\ninit = { file = "w.safetensors" }\n')
    assert "is no safetensors file" in problems["arms.a.init.file"].message


def test_the_schema_takes_what_load_takes(suite_file: SuiteFile) -> None:
    import tomllib

    validator = jsonschema.Draft202012Validator(suite_schema(discover()))

    def errors(arms: str) -> int:
        return len(list(validator.iter_errors(tomllib.loads(suite_file(arms).read_text()))))

    assert errors(BIG + CHILD + '[arms.f]\ninit = { file = "x.safetensors" }\n') == 0
    assert errors('[arms.a]\ninit = { arm = "b", file = "x" }\n') == 1
    assert errors("[arms.a]\ninit = { }\n") == 1
    assert errors("[arms.a]\ncompared = 1\n") == 1


def test_json_there_and_back() -> None:
    job = Job(
        "t",
        "a",
        0,
        1,
        0,
        "",
        {},
        {},
        "d",
        (),
        "cpu",
        "f",
        1.0,
        parents={"teacher": {"arm": "b"}},
        weights="w",
    )
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
    arm = Arm("a", {}, (), (), None, compared=False)
    assert Arm.from_json(json.loads(json.dumps(arm.to_json()))) == arm

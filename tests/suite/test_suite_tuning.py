"""What `[tuning]` may say, what is refused, and the settings that follow from it."""

import math

import numpy as np
import pytest
from scipy.stats import qmc

from harness.registry.discovery import discover
from harness.suite.expand import expand
from harness.suite.halton import halton, permutation, primes
from harness.suite.key_paths import SEARCHED, addresses, read_values, table_of, with_values
from harness.suite.load import load
from harness.suite.plan import Plan
from harness.suite.search import (
    edge_keys,
    own_setting,
    quasi_random_settings,
    search_suite,
    setting_count,
    tuned_suite,
)
from harness.suite.search_space import Choice, Range, beyond, count_of, holds, position_of, value_of
from harness.suite.settings import KIND_OF

MIX = """
[arms.mix]
augmentations = ["...", { name = "mixup", alpha = 0.2 }]
"""
TUNING = """
[tuning]
trials = 6
[tuning.space]
optimizer.lr = { low = 1e-3, high = 1.0, log = true }
"""


@pytest.fixture
def loaded(suite_file):
    return lambda more="": load(suite_file(more))


def plan_of(suite, manifest, **more):
    return expand(suite, dict.fromkeys(suite.arms, manifest), **more)


# The sequence


def test_digits_that_are_not_scrambled_give_the_radical_inverse_that_scipy_gives(monkeypatch):
    monkeypatch.setattr("harness.suite.halton.permutation", lambda count, name: list(range(count)))
    points = [halton(index, ["a", "b", "c"]) for index in range(64)]
    np.testing.assert_allclose(points, qmc.Halton(3, scramble=False).random(64), atol=1e-12)


def test_each_stratum_of_each_base_holds_one_point():
    names = ["one", "two", "three"]
    for coordinate, base in enumerate((2, 3, 5)):
        for power in (1, 2, 3):
            count = base**power
            cells = [int(halton(index, names)[coordinate] * count) for index in range(count)]
            assert sorted(cells) == list(range(count))


def test_points_lie_more_evenly_than_independent_ones():
    draws = np.random.default_rng(0)
    ours = [
        qmc.discrepancy(np.array([halton(i, [f"{seed} a", f"{seed} b"]) for i in range(32)]))
        for seed in range(20)
    ]
    random = [qmc.discrepancy(draws.random((32, 2))) for _ in range(20)]
    assert max(ours) < np.median(random) and np.mean(ours) < np.mean(random) / 2


def test_a_point_depends_on_its_number_and_names_alone():
    assert halton(5, ["a", "b"]) == halton(5, ["a", "b"])
    assert halton(5, ["a", "b"])[1] != halton(5, ["a", "c"])[1]
    assert sorted(permutation(7, "x")) == list(range(7)) and permutation(7, "x") != permutation(7, "y")
    assert primes(6) == [2, 3, 5, 7, 11, 13]
    assert all(0 <= u < 1 for index in range(200) for u in halton(index, [f"n{d}" for d in range(12)]))


# Domains


def test_a_log_range_has_equal_shares_of_each_decade():
    domain = Range(1e-3, 1.0, log=True)
    values = [value_of(domain, (index + 0.5) / 300) for index in range(300)]
    assert [sum(low <= v < 10 * low for v in values) for low in (1e-3, 1e-2, 1e-1)] == [100, 100, 100]
    assert value_of(domain, 0.0) == 1e-3 and value_of(domain, 1 - 2**-53) == 1.0


def test_whole_numbers_steps_and_choices_are_equally_likely():
    for domain, expected in (
        (Range(1, 4), [1, 2, 3, 4]),
        (Range(0.0, 0.3, step=0.1), [0.0, 0.1, 0.2, 0.3]),
        (Range(2, 8, step=3), [2, 5, 8]),
        (Choice(("a", "b")), ["a", "b"]),
    ):
        values = [value_of(domain, (index + 0.5) / 120) for index in range(120)]
        assert [values.count(one) for one in expected] == [120 // len(expected)] * len(expected)
        assert count_of(domain) == len(expected)
        assert all(type(v) is type(expected[0]) for v in values)
    whole = [value_of(Range(1, 100, log=True), (i + 0.5) / 1000) for i in range(1000)]
    # The share of [0.5, 10.5) of [0.5, 100.5), on a log scale.
    assert abs(sum(v <= 10 for v in whole) - 1000 * math.log(21) / math.log(201)) <= 1
    assert {type(v) for v in whole} == {int} and min(whole) == 1 and max(whole) == 100


def test_a_value_at_the_end_of_its_range_is_told_with_what_lies_beyond():
    assert beyond(Range(1e-3, 1.0, log=True), 0.9) == 2.0
    assert beyond(Range(1e-3, 1.0, log=True), 1.5e-3) == 5e-4
    assert beyond(Range(1e-3, 1.0, log=True), 0.03) is None
    assert position_of(Range(1e-3, 1.0, log=True), 10**-1.5) == pytest.approx(0.5)
    assert beyond(Range(0.0, 1.0), 0.95) == pytest.approx(1.1)
    assert beyond(Range(1, 5), 1) == 0 and beyond(Range(1, 5), 3) is None
    assert beyond(Choice((0.1, 0.4, 0.2)), 0.4) == pytest.approx(0.43)
    assert beyond(Choice((0.1, 0.4, 0.2)), 0.2) is None
    assert beyond(Choice(("a", "b", "c")), "c") is None
    assert beyond(Choice((1, 2)), 2) is None  # of two, each is an end
    assert beyond(Range(0.0, 1.0), 3.0) is not None  # the suite's own setting may lie outside


def test_a_domain_tells_what_it_could_give():
    assert holds(Range(0.0, 0.3, step=0.1), 0.2) and not holds(Range(0.0, 0.3, step=0.1), 0.25)
    assert holds(Range(1e-3, 1.0, log=True), 0.5) and not holds(Range(1e-3, 1.0, log=True), 2.0)
    assert not holds(Choice((1, 2)), True) and holds(Choice((1, 2)), 2)


# Key paths


def test_a_recipe_comes_back_the_same_when_its_own_values_are_set(loaded):
    more = """
[arms.rich]
augmentations = ["...", { name = "mixup", alpha = 0.2 }, "translate"]
tricks = ["ema", { name = "sam", rho = 0.1 }, "label-smoothing"]
schedule = { name = "cosine", warmup = 0.1 }
optimizer = [{ name = "muon", lr = 0.02, parameters = "matrices" }, { name = "adamw", lr = 1e-3, parameters = "rest" }]
"""
    suite = loaded(more)
    recipe, registry = suite.arms["rich"].recipe, suite.registry
    known = addresses(recipe, registry)
    values = read_values(recipe, known, registry)
    assert with_values(recipe, values, registry) == (recipe, [])
    wanted = {
        "augmentations.mixup.alpha",
        "augmentations[0].pixels",
        "augmentations[2].pixels",
        "tricks.sam.rho",
        "schedule.warmup",
        "optimizer.muon.lr",
        "optimizer.adamw.lr",
        "backbone.width",
    }
    assert wanted <= set(known)
    assert not any(
        path.partition(".")[0] in ("dataset", "batch_size", "numerics", "budget") for path in known
    )


def test_every_component_is_written_back_as_it_was_read():
    registry = discover()
    tested = 0
    for key in SEARCHED:
        for entry in registry.entries(KIND_OF[key]):
            name = f"{entry.full_name}resnet18" if entry.is_family else entry.full_name
            table = {"name": name, "lr": 0.1} if key == "optimizer" else {"name": name}
            normal, problems = registry.validate(KIND_OF[key], table, key)
            if problems:
                continue
            again, problems = registry.validate(KIND_OF[key], table_of(KIND_OF[key], normal, registry), key)
            assert not problems and again == normal, name
            tested += 1
    assert tested > 40


def test_a_value_in_a_nested_component_is_set_in_place(loaded):
    suite = loaded('[arms.deep]\ntricks = ["ema"]\n')
    recipe = suite.arms["deep"].recipe
    changed, problems = with_values(recipe, {"tricks.ema.decay": 0.5}, suite.registry)
    assert not problems and changed["tricks"][0]["params"]["decay"] == 0.5
    assert recipe["tricks"][0]["params"]["decay"] != 0.5
    assert {k: v for k, v in changed.items() if k != "tricks"} == {
        k: v for k, v in recipe.items() if k != "tricks"
    }


# What is read


def test_an_arm_searches_the_suites_space_and_its_own_over_it(loaded):
    suite = loaded(
        MIX
        + '[arms.mix.tuning]\n"augmentations.mixup.alpha" = [0.1, 0.2, 0.4]\n'
        + '[arms.more]\nextends = "mix"\nbackbone = { name = "simple-cnn", width = 4 }\n'
        + "[arms.more.tuning]\noptimizer.lr = [0.1, 0.2]\noptimizer.weight_decay = { low = 0.0, high = 0.1 }\n"
        + TUNING
    )
    common = Range(1e-3, 1.0, log=True)
    assert suite.arms["plain"].space == {"optimizer.lr": common}
    assert suite.arms["mix"].space == {
        "augmentations.mixup.alpha": Choice((0.1, 0.2, 0.4)),
        "optimizer.lr": common,
    }
    assert suite.arms["more"].space == {
        "augmentations.mixup.alpha": Choice((0.1, 0.2, 0.4)),
        "optimizer.lr": Choice((0.1, 0.2)),
        "optimizer.weight_decay": Range(0.0, 0.1),
    }
    assert suite.tuning == {"trials": 6, "method": "quasi-random", "replicates": 1, "metric": "top1"}


def test_a_suite_that_tunes_nothing_is_planned_as_ever(loaded, manifest):
    suite = loaded(MIX)
    assert not suite.tuning and not suite.arms["mix"].space
    plan = plan_of(suite, manifest).to_json()
    assert "tuning" not in plan and not any({"tuned", "salt"} & set(arm) for arm in plan["arms"])


@pytest.mark.parametrize(
    ("more", "path", "words"),
    [
        (
            TUNING.replace("optimizer.lr", "optimizer.lrr"),
            "tuning.space.optimizer.lrr",
            'mean "optimizer.lr"',
        ),
        (TUNING + "batch_size = [16, 32]\n", "tuning.space.batch_size", "held equal"),
        (TUNING + 'optimizer.name = ["sgd", "adamw"]\n', "tuning.space.optimizer.name", "another arm"),
        (
            TUNING + "optimizer.momentum = { low = 0.5, high = 1.5 }\n",
            "tuning.space.optimizer.momentum",
            "less than 1",
        ),
        (
            TUNING + "optimizer.momentum = { low = -0.5, high = 0.5 }\n",
            "tuning.space.optimizer.momentum",
            "at least 0",
        ),
        (
            TUNING + "optimizer.momentum = [0.5, 2.0]\n",
            "tuning.space.optimizer.momentum",
            "less than 1, not 2.0",
        ),
        (TUNING + "optimizer.momentum = 0.5\n", "tuning.space.optimizer.momentum", "must be a range"),
        (TUNING + "optimizer.momentum = [0.5]\n", "tuning.space.optimizer.momentum", "two or more"),
        (TUNING + "optimizer.momentum = [0.5, 0.5]\n", "tuning.space.optimizer.momentum", "each once"),
        (
            TUNING + "optimizer.momentum = { low = 0.5 }\n",
            "tuning.space.optimizer.momentum.high",
            "is missing",
        ),
        (
            TUNING + "optimizer.momentum = { low = 0.5, high = 0.2 }\n",
            "tuning.space.optimizer.momentum",
            "less than high",
        ),
        (
            TUNING + "optimizer.momentum = { low = 0.0, high = 0.2, log = true }\n",
            "tuning.space.optimizer.momentum",
            "more than 0 on a log scale",
        ),
        (
            TUNING + "optimizer.momentum = { low = 0.0, high = 0.5, step = 0.2 }\n",
            "tuning.space.optimizer.momentum",
            "whole number of steps",
        ),
        (
            TUNING + "optimizer.weight_decay = { low = 0, high = 1 }\n",
            "tuning.space.optimizer.weight_decay",
            "write 0.0 and 1.0",
        ),
        (
            TUNING + "optimizer.momentum = { low = 0.1, hihg = 0.2 }\n",
            "tuning.space.optimizer.momentum.hihg",
            "high",
        ),
        (TUNING.replace("trials = 6", "trials = -1"), "tuning.trials", "must be at least 2, not -1"),
        (TUNING.replace("trials = 6", "trials = 0"), "tuning.trials", "take [tuning] away"),
        (TUNING.replace("trials = 6", "trials = 1"), "tuning.trials", "own setting is the first"),
        (TUNING.replace("trials = 6", "trials = true"), "tuning.trials", "whole number, not true"),
        (TUNING.replace("trials = 6", 'trials = "6"'), "tuning.trials", 'whole number, not the text "6"'),
        (TUNING.replace("trials = 6", "trials = 6.5"), "tuning.trials", "whole number, not 6.5"),
        (TUNING.replace("trials = 6", "trials = 1001"), "tuning.trials", "at most 1000"),
        (TUNING.replace("trials = 6", ""), "tuning.trials", "is missing: how many"),
        (
            TUNING + "optimizer.momentum = { low = 0.5, high = 0.5 }\n",
            "tuning.space.optimizer.momentum",
            "less than high",
        ),
        (
            TUNING + "optimizer.momentum = { low = 0.5, high = 0.50000000001 }\n",
            "tuning.space.optimizer.momentum",
            "too close to be told apart",
        ),
        (TUNING.replace("trials = 6", 'trials = 6\nmethod = "grid"'), "tuning.method", "quasi-random"),
        (TUNING.replace("trials = 6", "trials = 6\ntrails = 3"), "tuning.trails", "unknown key"),
        (
            MIX + TUNING + "augmentations.mixup.alpha = [0.1, 0.2]\n",
            "tuning.space.augmentations.mixup.alpha",
            "arms.mix",
        ),
        (MIX + "[arms.mix.tuning]\noptimizer.lr = [0.1, 0.2]\n", "arms.mix.tuning", "tunes nothing"),
        (
            MIX + "[arms.mix.tuning]\noptimizer.lr = [0.1, 0.2]\n[tuning]\ntrials = 2\n",
            "arms.plain.tuning",
            "nothing to search",
        ),
        (
            "[tuning]\ntrials = 3\n[tuning.space]\noptimizer.nesterov = [false, true]\n",
            "arms.plain.tuning",
            "2 different settings",
        ),
        (
            '[arms."plain.t1"]\noptimizer = { name = "sgd", lr = 0.2 }\n' + TUNING,
            "arms.plain.t1",
            "tuning; give it another",
        ),
        (
            "[tuning]\ntrials = 9\n[tuning.space]\noptimizer.nesterov = [false, true]\n"
            "optimizer.momentum = [0.0, 0.2, 0.4, 0.6, 0.8]\n",
            "arms.plain.tuning",
            "nesterov needs a momentum above 0",
        ),
    ],
)
def test_what_cannot_be_tuned_is_refused_where_it_is_written(problems_of, more, path, words):
    problems = problems_of(more)
    assert words in problems[path].message, problems
    assert problems[path].line >= 12


def test_an_arm_without_a_validation_split_is_refused(problems_of, loaded):
    more = '[arms.whole]\ndataset = { name = "digits", validation = 0.0 }\nvaries = ["dataset.validation"]\n'
    problem = problems_of(more + TUNING)["arms.whole.dataset.validation"]
    assert "chosen on the validation split" in problem.message
    assert not loaded(more).tuning  # which is no matter where nothing is tuned


# The settings of a search, and the plans


def test_the_first_setting_is_the_arms_own_and_all_differ(loaded):
    suite = loaded(TUNING)
    arm = suite.arms["plain"]
    settings = quasi_random_settings(arm, 40, suite.seed, suite.registry)
    assert settings[0] == own_setting(arm, suite.registry) == {"optimizer.lr": 0.1}
    rates = [one["optimizer.lr"] for one in settings]
    assert len(set(rates)) == 40 and all(1e-3 <= rate <= 1.0 for rate in rates)
    assert settings[:10] == quasi_random_settings(arm, 10, suite.seed, suite.registry)
    assert settings[1:] != quasi_random_settings(arm, 40, suite.seed + 1, suite.registry)[1:]


def test_a_narrow_range_still_gives_settings_that_differ(loaded):
    suite = loaded(
        "[tuning]\ntrials = 50\n[tuning.space]\noptimizer.momentum = { low = 0.9, high = 0.9001 }\n"
    )
    arm = suite.arms["plain"]
    momenta = [
        one["optimizer.momentum"] for one in quasi_random_settings(arm, 50, suite.seed, suite.registry)
    ]
    assert len(set(momenta)) == 50 and all(0.9 <= one <= 0.9001 for one in momenta[1:])
    # A range that is wide beside its ends has four digits, as before.
    assert {len(f"{value_of(Range(0.02, 0.3), index / 97):g}".lstrip("0.")) for index in range(97)} <= {
        1,
        2,
        3,
        4,
    }


def test_a_finite_space_is_tried_whole_before_anything_twice(loaded):
    momentum = "optimizer.momentum = [0.1, 0.2, 0.4, 0.6]\n"
    width = "backbone.width = { low = 4, high = 6 }\n"
    suite = loaded("[tuning]\ntrials = 13\n[tuning.space]\n" + momentum + width)
    arm = suite.arms["plain"]  # its own momentum and width, 0.5 and 8, are none of them
    assert setting_count(arm, suite.registry) == 13
    settings = quasi_random_settings(arm, 13, suite.seed, suite.registry)
    told = {(one["optimizer.momentum"], one["backbone.width"]) for one in settings}
    assert told == {(m, w) for m in (0.1, 0.2, 0.4, 0.6) for w in (4, 5, 6)} | {(0.5, 8)}


def test_trials_of_a_search_have_streams_of_their_own_and_share_them(loaded, manifest):
    suite = loaded(MIX + TUNING)
    settings = {
        name: dict(enumerate(quasi_random_settings(arm, 6, 0, suite.registry)))
        for name, arm in suite.arms.items()
    }
    search = plan_of(search_suite(suite, settings), manifest)
    final = plan_of(suite, manifest)
    assert [arm.name for arm in search.arms] == [
        f"{name}.t{k}" for name in ("plain", "mix") for k in range(6)
    ]
    assert {arm.salt for arm in search.arms} == {"tuning"} and {arm.salt for arm in final.arms} == {""}
    assert search.replicates == 1 and not search.verdicts and search.timing["rounds"] == 0
    own = search.arm("plain.t0")
    assert own.recipe == final.arm("plain").recipe
    assert not {trial.id for trial in search.trials} & {trial.id for trial in final.trials}
    rates = [search.arm(f"plain.t{k}").recipe["optimizer"][0]["params"]["lr"] for k in range(6)]
    assert rates == [setting["optimizer.lr"] for setting in settings["plain"].values()]
    assert Plan.from_json(search.to_json()).hashed().hash == search.hash


def test_the_winners_go_into_the_recipes_and_nothing_else_changes(loaded, manifest):
    suite = loaded(MIX + TUNING)
    told = {"setting": {"optimizer.lr": 0.25}, "trials": 6}
    plan = plan_of(tuned_suite(suite, {"mix": told}), manifest)
    before = plan_of(suite, manifest)
    assert plan.arm("plain") == before.arm("plain") and plan.arm("mix").tuned == told
    assert plan.arm("mix").recipe["optimizer"][0]["params"] == {
        **before.arm("mix").recipe["optimizer"][0]["params"],
        "lr": 0.25,
    }
    ids = {(t.arm, t.replicate): t.id for t in before.trials}
    assert all((t.id == ids[t.arm, t.replicate]) == (t.arm == "plain") for t in plan.trials)


def test_arms_that_come_out_alike_share_their_trials(loaded, manifest):
    more = '[arms.fast]\noptimizer = { name = "sgd", lr = 0.3, momentum = 0.5 }\n'
    suite = loaded(more + TUNING)
    same = {name: {"setting": {"optimizer.lr": 0.2}} for name in ("plain", "fast")}
    plan = plan_of(tuned_suite(suite, same), manifest)
    assert len({trial.id for trial in plan.trials}) == plan.replicates


def test_what_an_arm_needs_in_its_search_is_the_others_own_setting(loaded, manifest):
    manifest = {**manifest, "classes": ["a", "b"], "modalities": {"image": {"shape": [1, 8, 8]}}}
    more = """
[arms.teacher]
compared = false
backbone = { name = "simple-cnn", width = 16 }
[arms.child]
teacher = { arm = "teacher" }
tricks = ["knowledge-distillation"]
"""
    suite = loaded(more + TUNING)
    assert not suite.arms["teacher"].space  # nobody compares it
    search = search_suite(suite, {"plain": {1: {"optimizer.lr": 0.2}}, "child": {1: {"optimizer.lr": 0.2}}})
    plan = plan_of(search, manifest, arms=["plain.t1", "child.t1"])
    assert [arm.name for arm in plan.arms] == ["plain.t0", "plain.t1", "teacher.t0", "child.t1"]
    assert plan.arm("child.t1").recipe["parents"] == {"teacher": {"arm": "teacher.t0"}}


def test_an_end_past_which_the_parameter_cannot_go_is_no_edge(loaded):
    decay = "optimizer.weight_decay = { low = 0.0, high = 0.1 }\n"
    suite = loaded(TUNING + decay)
    arm = suite.arms["plain"]
    assert edge_keys(arm, {"optimizer.weight_decay": 0.0, "optimizer.lr": 0.1}, suite.registry) == []
    assert edge_keys(arm, {"optimizer.weight_decay": 0.1, "optimizer.lr": 1.0}, suite.registry) == [
        "optimizer.lr",
        "optimizer.weight_decay",
    ]


def test_every_cell_of_a_grid_is_tuned_for_itself(loaded, manifest):
    suite = loaded(MIX + "[grid]\nbatch_size = [16, 32]\n" + TUNING)
    assert list(suite.arms) == ["plain", "mix", "plain.1", "mix.1"]
    assert all(set(arm.space) == {"optimizer.lr"} for arm in suite.arms.values())
    settings = {name: {1: {"optimizer.lr": 0.2}} for name in suite.arms}
    plan = plan_of(search_suite(suite, settings), manifest, arms=["mix.1.t1"])
    assert [arm.name for arm in plan.arms] == ["plain.1.t0", "mix.1.t1"]
    assert {arm.recipe["batch_size"] for arm in plan.arms} == {32}


def test_what_the_grid_sets_is_not_searched(problems_of):
    problems = problems_of('[grid]\n"optimizer.lr" = [0.1, 0.2]\n' + TUNING)
    assert "grid" in problems["tuning.space.optimizer.lr"].message

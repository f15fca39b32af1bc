"""The search before a run: what wins, what is read for it, and that it goes on where it stood."""

import math
from dataclasses import replace
from types import SimpleNamespace

import orjson
import pytest

from harness.errors import PluginError
from harness.launch import tree_search
from harness.launch.options import RunSummary
from harness.launch.tuning import Search, Tried, best, tune
from harness.record.record import trial_record
from harness.record.store import Store
from harness.suite.expand import expand
from harness.suite.load import load

SUITE = """\
schema = 1
name = "toy"
baseline = "plain"
replicates = 2
verdicts = false
[budget]
epochs = 1
[recipe]
dataset = "digits"
backbone = {{ name = "simple-cnn", width = 8 }}
optimizer = {{ name = "sgd", lr = 0.5, momentum = 0.5 }}
batch_size = 32
[arms.plain]
[arms.smooth]
tricks = ["label-smoothing"]
[tuning]
trials = {trials}
method = "{method}"
replicates = {replicates}
[tuning.space]
optimizer.lr = {{ low = 1e-3, high = 1.0, log = true }}
optimizer.momentum = {{ low = 0.0, high = 0.9 }}
"""
MANIFEST = {"hash": "m", "classes": ["a", "b"], "splits": {"train": {"count": 1000}, "test": {"count": 500}}}


def validation_top1(recipe):
    """A hill: its top at a rate of 0.03 and a momentum of 0.6."""
    params = recipe["optimizer"][0]["params"]
    return 90.0 - 10.0 * math.log10(params["lr"] / 0.03) ** 2 - 30.0 * (params["momentum"] - 0.6) ** 2


class Launcher:
    """Writes records of what is missing, as a run would, without training anything."""

    def __init__(
        self, store, validation=validation_top1, test=lambda recipe: 50.0, stops_after=10**9, fails=()
    ):
        self.store, self.validation, self.test = store, validation, test
        self.stops_after, self.fails = stops_after, fails
        self.ran = []

    def __call__(self, plan):
        for trial in plan.trials:
            if self.store.good(trial.id) is not None:
                continue
            if len(self.ran) == self.stops_after:
                return RunSummary(len(self.ran), 0, 0, True)
            self.ran.append(trial.arm)
            recipe = plan.arm(trial.arm).recipe
            validation = (
                None if self.validation is None else {"top1": self.validation(recipe) + trial.replicate}
            )
            completed = {
                "status": "completed",
                "results": {"test": {"top1": self.test(recipe)}, "validation": validation},
                "seconds": {"train": 2.0},
                "budget": {"training_flops": 100.0},
            }
            heading = {
                "protocol": 1,
                "suite": plan.suite,
                "plan": plan.hash,
                "trial": trial.id,
                "arm": trial.arm,
                "replicate": trial.replicate,
                "attempt": self.store.next_attempt(trial.id),
                "place": {"device": "cpu", "slot": 0},
            }
            outcome = {"status": "diverged", "results": None} if trial.arm in self.fails else completed
            self.store.write_trial(
                trial_record(outcome, heading=heading, refs={}, started_at="", finished_at="")
            )
        return RunSummary(len(self.ran), 0, 0, False)


@pytest.fixture
def place(tmp_path):
    """Return a function that gives a suite, its plan and an empty results folder."""
    numbers = iter(range(100))

    def make(trials=4, method="quasi-random", replicates=1):
        path = tmp_path / "suite.toml"
        path.write_text(SUITE.format(trials=trials, method=method, replicates=replicates))
        suite = load(path)
        base = expand(suite, dict.fromkeys(suite.arms, MANIFEST))
        return suite, base, Store(tmp_path / str(next(numbers)))

    return make


def silent(line):
    del line


def test_the_best_of_each_arm_on_validation_wins(place):
    suite, base, store = place(trials=8)
    launcher = Launcher(store)
    plan, code = tune(suite, base, store, launcher, silent)
    assert code == 0 and len(launcher.ran) == 16
    assert sorted(launcher.ran) == sorted(f"{arm}.t{k}" for arm in ("plain", "smooth") for k in range(8))
    for arm in ("plain", "smooth"):
        outcomes = plan.tuning["arms"][arm]
        # By hand: the rounded setting is what was run.
        hills = [
            90 - 10 * math.log10(s["optimizer.lr"] / 0.03) ** 2 - 30 * (s["optimizer.momentum"] - 0.6) ** 2
            for s in (one["setting"] for one in outcomes)
        ]
        assert [one["validation_top1"] for one in outcomes] == pytest.approx(hills)
        assert outcomes[0]["setting"] == {"optimizer.lr": 0.5, "optimizer.momentum": 0.5}
        winner = hills.index(max(hills))
        assert winner > 0
        told = plan.arm(arm).tuned
        assert told["k"] == winner and told["setting"] == outcomes[winner]["setting"]
        assert (told["trials"], told["train_seconds"], told["training_flops"]) == (8, 16.0, 800.0)
        params = plan.arm(arm).recipe["optimizer"][0]["params"]
        assert {"optimizer.lr": params["lr"], "optimizer.momentum": params["momentum"]} == told["setting"]
    assert plan.replicates == 2 and {arm.salt for arm in plan.arms} == {""}
    searched = {one for many in plan.tuning["arms"].values() for entry in many for one in entry["trials"]}
    assert len(searched) == 16 and not searched & {trial.id for trial in plan.trials}
    assert store.read_plan(plan.tuning["plan"])["tuning"] == {"is_search": True}


def test_test_results_change_nothing(place):
    plans = []
    for test in (lambda recipe: 50.0, lambda recipe: 100.0 - validation_top1(recipe), lambda recipe: None):
        suite, base, store = place(trials=6)
        plans.append(tune(suite, base, store, Launcher(store, test=test), silent)[0])
    assert plans[0].hash == plans[1].hash == plans[2].hash
    suite, base, store = place(trials=6)
    other = tune(suite, base, store, Launcher(store, validation=lambda r: 100 - validation_top1(r)), silent)[
        0
    ]
    assert other.arm("plain").tuned["k"] != plans[0].arm("plain").tuned["k"]  # what the check would catch


def test_a_failure_is_the_worst_and_of_equals_the_first_wins(place):
    def outcome(number, value, status="completed"):
        return Tried(number, {}, status, value, None, None, ())

    assert best([outcome(0, None, "diverged"), outcome(1, 0.0), outcome(2, None, "oom")]).number == 1
    assert best([outcome(0, 50.0), outcome(1, 50.0)]).number == 0
    assert best([outcome(0, None, "oom"), outcome(1, None, "oom")]).number == 0
    suite, base, store = place(trials=4)
    plan, _ = tune(suite, base, store, Launcher(store), silent)
    won = plan.arm("plain").tuned["k"]
    suite, base, store = place(trials=4)
    fails = [f"plain.t{won}", *(f"smooth.t{k}" for k in range(4))]
    plan, _ = tune(suite, base, store, Launcher(store, fails=fails), silent)
    assert plan.arm("plain").tuned["k"] != won
    assert plan.tuning["arms"]["plain"][won]["status"] == "diverged"
    assert plan.tuning["arms"]["plain"][won]["validation_top1"] is None
    assert plan.arm("smooth").tuned["k"] == 0 and plan.arm("smooth").tuned["validation_top1"] is None
    assert plan.arm("smooth").recipe == base.arm("smooth").recipe


def test_one_failed_replicate_makes_a_setting_a_failure_and_others_are_averaged(place):
    suite, base, store = place(trials=3, replicates=2)
    plan, _ = tune(suite, base, store, Launcher(store), silent)
    own = validation_top1(base.arm("plain").recipe)
    assert plan.tuning["arms"]["plain"][0]["validation_top1"] == pytest.approx(own + 0.5)
    assert len(plan.tuning["arms"]["plain"][0]["trials"]) == 2
    assert plan.arm("plain").tuned["train_seconds"] == 12.0


@pytest.mark.parametrize("method", ["quasi-random", "tpe"])
def test_a_search_that_was_interrupted_goes_on_and_comes_to_the_same(place, method):
    if method == "tpe":
        pytest.importorskip("optuna")
    suite, base, whole = place(trials=6, method=method)
    straight, _ = tune(suite, base, whole, Launcher(whole), silent)
    suite, base, store = place(trials=6, method=method)
    ran = []
    for _ in range(20):
        launcher = Launcher(store, stops_after=1)
        plan, code = tune(suite, base, store, launcher, silent)
        ran += launcher.ran
        if code == 0:
            break
        assert plan is None and code == 130
    assert plan.hash == straight.hash and plan.tuning == straight.tuning
    assert len(ran) == len(set(ran)) == 12
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    again, code = tune(suite, base, store, Launcher(store, stops_after=0), silent)
    assert code == 0 and again.hash == plan.hash
    assert before == {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}


def test_a_search_leaves_the_latest_plan_what_it_is(place):
    suite, base, store = place()
    store.write_plan(base.to_json())
    plan, _ = tune(suite, base, store, Launcher(store), silent)
    assert store.latest() == base.hash
    assert len(list(store.root.glob("plans/*.json"))) == 2 and plan.hash != base.hash


def test_what_the_machine_lost_is_not_chosen_from(place):
    suite, base, store = place()
    said = []

    def nothing(plan):
        return RunSummary(0, 0, 0, False)

    assert tune(suite, base, store, nothing, said.append) == (None, 5)
    assert "lost to the machine" in said[-1]


def test_what_is_left_is_counted_before_and_between(place):
    suite, base, store = place(trials=4)
    assert (Search(suite, base, store).missing_of_all(), Search(suite, base, store).count()) == (8, 8)
    tune(suite, base, store, Launcher(store, stops_after=3), silent)
    assert Search(suite, base, store).missing_of_all() == 5
    tune(suite, base, store, Launcher(store), silent)
    assert Search(suite, base, store).missing_of_all() == 0


def test_the_disk_of_a_search_is_that_of_its_trials_and_its_parents_weights(place):
    from harness.cli.disk import disk_bytes
    from harness.cli.tuning import search_left

    suite, base, store = place(trials=4, replicates=2)
    ready = SimpleNamespace(suite=suite, plan=base)
    counts = dict.fromkeys(suite.arms, 1_000_000)

    def bytes_left():
        return disk_bytes(base, {}, {}, 1, counts, search_left(ready, store))

    # Two arms, four settings, two replicates; the plan itself has two arms and two replicates. A checkpoint is 16 MB.
    assert bytes_left() == (16 + 4) * 20_000 + 16_000_000
    tune(suite, base, store, Launcher(store, stops_after=5), silent)
    assert bytes_left() == (11 + 4) * 20_000 + 16_000_000
    tune(suite, base, store, Launcher(store), silent)
    assert search_left(ready, store) is None and bytes_left() == 4 * 20_000 + 16_000_000


def test_rounds_of_a_search_that_nobody_knows_yet_take_disk_too(place):
    from harness.cli.disk import disk_bytes
    from harness.cli.tuning import search_left

    suite, base, store = place(trials=30, method="tpe")
    left = search_left(SimpleNamespace(suite=suite, plan=base), store)
    # The first rounds are drawn beforehand; all are 2 arms of 30 settings.
    assert 0 < len(left.plan.trials) < 60 and len(left.plan.trials) + left.later == 60
    counts = dict.fromkeys(suite.arms, 1_000_000)
    assert disk_bytes(base, {}, {}, 1, counts, left) == (60 + 4) * 20_000 + 16_000_000


def test_the_weights_of_a_searchs_parents_take_disk(tmp_path):
    from harness.cli.disk import disk_bytes
    from harness.cli.tuning import search_left

    path = tmp_path / "suite.toml"
    child = '[arms.child]\nteacher = { arm = "big" }\ntricks = ["knowledge-distillation"]\n'
    big = '[arms.big]\ncompared = false\nbackbone = { name = "simple-cnn", width = 16 }\n'
    text = SUITE.format(trials=3, method="quasi-random", replicates=1)
    path.write_text(text.replace("[tuning]\n", f"{big}{child}[tuning]\n", 1))
    suite = load(path)
    manifest = {**MANIFEST, "modalities": {"image": {"shape": [1, 8, 8], "dtype": "uint8"}}}
    base = expand(suite, dict.fromkeys(suite.arms, manifest))
    left = search_left(SimpleNamespace(suite=suite, plan=base), Store(tmp_path / "results"))
    counts = {"plain": 1, "smooth": 1, "child": 1, "big": 1_000_000}
    without = disk_bytes(base, {}, {}, 1, counts)
    # Three arms of three settings and one more teacher, whose weights of 4 MB stay.
    assert disk_bytes(base, {}, {}, 1, counts, left) - without == 10 * 20_000 + 4_000_000


def test_only_the_chosen_arms_are_tuned(place):
    suite, _, store = place()
    base = expand(suite, {"plain": MANIFEST}, arms=["plain"])
    launcher = Launcher(store)
    plan, _ = tune(suite, base, store, launcher, silent)
    assert {name.partition(".")[0] for name in launcher.ran} == {"plain"}
    assert [arm.name for arm in plan.arms] == ["plain"] and list(plan.tuning["arms"]) == ["plain"]


def test_a_plan_with_a_tuning_comes_back_from_json(place):
    suite, base, store = place()
    plan, _ = tune(suite, base, store, Launcher(store), silent)
    told = orjson.loads(orjson.dumps(plan.to_json()))
    again = type(plan).from_json(told)
    assert again.to_json() == told and replace(again, hash="").hashed().hash == plan.hash


def test_tpe_without_optuna_is_refused_before_anything_runs(place, monkeypatch):
    suite, base, store = place(method="tpe")
    monkeypatch.setattr(tree_search.importlib.util, "find_spec", lambda name: None)
    launcher = Launcher(store)
    with pytest.raises(PluginError, match=r"harness-bench\[tune\]"):
        tune(suite, base, store, launcher, silent)
    assert not launcher.ran


def test_a_plan_in_the_midst_of_a_tpe_search_says_what_it_lacks(place, monkeypatch):
    suite, _, _ = place(method="tpe")
    monkeypatch.setattr(tree_search.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"harness-bench\[tune\]"):
        tree_search.suggest(suite.arms["plain"], [], 0)


def test_tpe_asks_after_each_round_and_closes_in_on_the_top(place):
    pytest.importorskip("optuna")
    suite, base, store = place(trials=30, method="tpe")
    launcher = Launcher(store)
    plan, _ = tune(suite, base, store, launcher, silent)
    assert launcher.ran[:2] != launcher.ran[-2:] and {*launcher.ran[-2:]} == {"plain.t29", "smooth.t29"}
    for arm in ("plain", "smooth"):
        values = [one["validation_top1"] for one in plan.tuning["arms"][arm]]
        settings = [tuple(one["setting"].values()) for one in plan.tuning["arms"][arm]]
        assert len(values) == 30 == len(set(settings))
        asked, startup = values[10:], values[:10]
        assert sum(asked) / len(asked) > sum(startup) / len(startup) + 2.0

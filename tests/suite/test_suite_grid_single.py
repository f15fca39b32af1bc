"""A grid whose axis has one value: one cell, which is the suite with that value in every arm."""

from harness.suite.expand import expand
from harness.suite.load import load

MIX = '[arms.mix]\naugmentations = ["...", { name = "mixup", alpha = 0.2 }]\n'


def test_a_grid_of_one_value_is_the_suite_with_that_value(suite_file, manifest):
    def planned(text):
        suite = load(suite_file(MIX + text))
        return expand(suite, dict.fromkeys(suite.arms, manifest), replicates=8)

    plain, single = planned(""), planned("[grid]\nbatch_size = [64]\n")
    assert [arm.name for arm in single.arms] == ["plain", "mix"]  # no cell, no number behind a name
    assert [arm.recipe for arm in single.arms] == [{**arm.recipe, "batch_size": 64} for arm in plain.arms]
    assert [dict(arm.cell) for arm in single.arms] == [{"batch_size": 64}] * 2  # the row says what was set
    assert (single.verdicts, single.replicates) == (plain.verdicts, plain.replicates) and single.verdicts
    assert len(single.trials) == len(plain.trials)
    assert not {trial.id for trial in single.trials} & {trial.id for trial in plain.trials}


def test_a_value_that_the_arms_have_already_runs_nothing_again(suite_file, manifest):
    suite = load(suite_file(MIX))
    before = expand(suite, dict.fromkeys(suite.arms, manifest))
    suite = load(suite_file(MIX + "[grid]\nbatch_size = [32]\n"))
    after = expand(suite, dict.fromkeys(suite.arms, manifest))
    assert [trial.id for trial in after.trials] == [trial.id for trial in before.trials]


def test_a_grid_of_one_value_beside_another_key_adds_no_cells(suite_file):
    suite = load(suite_file(MIX + '[grid]\nbatch_size = [64]\n"optimizer.lr" = [0.1, 0.2]\n'))
    assert list(suite.arms) == ["plain", "mix", "plain.1", "mix.1"]
    assert {arm.recipe["batch_size"] for arm in suite.arms.values()} == {64}

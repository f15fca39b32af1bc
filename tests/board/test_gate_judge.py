"""The judge: every verdict, every exit code, worked by hand where numbers matter."""

from __future__ import annotations

import copy
import itertools
import math
import random
import statistics
from typing import Any

import pytest
from scipy import stats

from harness.board.gate import GateError, exit_code, judge, needs_again, rounds_wanted
from harness.board.gate_rows import condense, spread_of
from harness.board.gate_rules import VERDICTS, GateRules

Json = dict[str, Any]
RULES = GateRules()
HOST = {"accuracy": {"cpu": "A", "libraries": {"torch": "2.15.0"}}, "speed": {"cores": 2, "driver": "580.1"}}


def noisy(level: float, count: int = 10, noise: float = 0.004, seed: int = 0) -> list[float]:
    draw = random.Random(f"{seed}/{level}")
    return [level * math.exp(draw.gauss(0.0, noise)) for _ in range(count)]


def measurement(name: str, base: list[Any], candidate: list[Any], kind: str = "time", **more: Any) -> Json:
    units = {"time": "s", "memory": "bytes", "accuracy": "points"}
    return {
        "name": name,
        "kind": kind,
        "unit": units[kind],
        "base": base,
        "candidate": candidate,
        "again": None,
        "margin": None,
        "failures": [],
        **more,
    }


def samples(*measurements: Json, source: str = "commits", **more: Any) -> Json:
    side = {"label": "main", "commit": None, "host": HOST}
    return {
        "schema": 1,
        "source": source,
        "advisory": source != "commits",
        "base": side,
        "candidate": side,
        "measurements": list(measurements),
        **more,
    }


def only(report: Json) -> Json:
    (row,) = report["rows"]
    return row


def verdict_of(measured: Json, **more: Any) -> str:
    return str(only(judge(samples(measured, **more)))["verdict"])


# --- times


def test_equal_sides_are_fine_and_five_percent_is_ruled_out() -> None:
    report = judge(samples(measurement("a", noisy(1.0), noisy(1.0, seed=1))))
    assert only(report)["verdict"] == report["verdict"] == "fine"
    assert "5.0 % slower is ruled out" in only(report)["reason"]
    assert exit_code(report) == 0
    assert needs_again(report) == []
    assert rounds_wanted(report) == {}


def test_a_slowdown_is_a_hit_that_is_measured_again_before_it_fails() -> None:
    slow = measurement("a", noisy(1.0), noisy(1.1))
    first = judge(samples(slow))
    assert needs_again(first) == ["a"]
    assert rounds_wanted(first) == {"a": RULES.looks[0]}
    slow["again"] = {"base": [], "candidate": []}
    assert rounds_wanted(judge(samples(slow))) == {"a": RULES.looks[0]}
    slow["again"] = {"base": noisy(1.0, seed=2), "candidate": noisy(1.1, seed=2)}
    second = judge(samples(slow))
    assert only(second)["verdict"] == "regression"
    assert only(second)["confirmed"] is True
    assert exit_code(second) == 1
    assert needs_again(second) == []
    assert rounds_wanted(second) == {}


def test_a_hit_that_does_not_come_again_is_fine_and_says_so() -> None:
    once = measurement("a", noisy(1.0), noisy(1.1))
    once["again"] = {"base": noisy(1.0, seed=2), "candidate": noisy(1.0, seed=3)}
    report = judge(samples(once))
    assert only(report)["verdict"] == "fine"
    assert only(report)["confirmed"] is False
    assert "10." in only(report)["reason"]
    assert "measured again" in only(report)["reason"]


def test_ratio_threshold_noise_and_p_are_those_of_the_formulas() -> None:
    base, candidate = noisy(1.0, noise=0.03), noisy(1.02, noise=0.03)
    row = only(judge(samples(measurement("a", base, candidate))))
    ratios = [new / old for old, new in zip(base, candidate, strict=True)]
    logs = [math.log(ratio) for ratio in ratios]
    mad = stats.median_abs_deviation(logs) * 10 / 9.2
    assert row["ratio"] == pytest.approx(statistics.median(ratios))
    assert row["noise"] == pytest.approx(math.sqrt(math.pi / 2) * mad / math.sqrt(10))
    assert row["threshold"] == pytest.approx(3 * row["noise"])
    assert row["threshold"] > 0.025
    assert row["p"] == pytest.approx(stats.wilcoxon(logs, alternative="greater", method="exact").pvalue)
    assert (row["base_count"], row["candidate_count"]) == (10, 10)
    assert row["base_median"] == statistics.median(base)


def test_the_aa_mad_is_that_of_median_ratios_of_equal_sides() -> None:
    draw = random.Random(5)

    def rounds() -> tuple[list[float], list[float]]:
        drift = [0.002 * index for index in range(20)]
        sides = [[math.exp(at + draw.gauss(0.0, 0.02)) for at in drift] for _ in range(2)]
        return sides[0], sides[1]

    pairs = [rounds() for _ in range(800)]
    medians = [statistics.median(n / o for o, n in zip(*pair, strict=True)) for pair in pairs]
    told = statistics.fmean(spread_of(*pair, paired=True).ratio for pair in pairs)
    assert told == pytest.approx(stats.median_abs_deviation(medians), rel=0.1)
    sample = statistics.fmean(spread_of(*pair, paired=True).sample for pair in pairs)
    assert sample == pytest.approx(0.02, rel=0.05)
    apart = statistics.fmean(spread_of(*pair, paired=False).sample for pair in pairs)
    assert apart > 0.022  # the drift is noise where there are no rounds


def test_a_small_but_certain_slowdown_below_the_threshold_is_fine() -> None:
    row = only(judge(samples(measurement("a", noisy(1.0, noise=1e-4), noisy(1.02, noise=1e-4)))))
    assert row["p"] < 0.002
    assert row["ratio"] == pytest.approx(1.02, abs=1e-3)
    assert row["verdict"] == "fine"


def test_a_drift_that_both_sides_share_is_no_noise() -> None:
    drift = [1.0 + 0.3 * index / 9 for index in range(10)]
    base = [value * factor for value, factor in zip(drift, noisy(1.0), strict=True)]
    candidate = [value * factor for value, factor in zip(drift, noisy(1.0, seed=1), strict=True)]
    assert verdict_of(measurement("a", base, candidate)) == "fine"
    slower = measurement("a", base, [1.05 * value for value in candidate])
    slower["again"] = {"base": base, "candidate": slower["candidate"]}
    assert verdict_of(slower) == "regression"


def test_improvements_beyond_the_threshold_are_reported_and_pass() -> None:
    report = judge(samples(measurement("a", noisy(1.0), noisy(0.9))))
    assert report["verdict"] == "improvement"
    assert exit_code(report) == 0
    assert needs_again(report) == []


def test_noise_that_hides_five_percent_is_too_noisy_after_the_last_look_only() -> None:
    noise = 0.04
    early = measurement("a", noisy(1.0, 10, noise), noisy(1.0, 10, noise, seed=1))
    assert rounds_wanted(judge(samples(early))) == {"a": 4}
    late = measurement("a", noisy(1.0, 80, 0.3), noisy(1.0, 80, 0.3, seed=1))
    report = judge(samples(late))
    assert report["verdict"] == "too noisy"
    assert exit_code(report) == 4
    assert rounds_wanted(report) == {}


def test_nothing_is_fine_where_one_sample_scatters_by_more_than_five_percent() -> None:
    report = judge(samples(measurement("a", noisy(1.0, 80, 0.065), noisy(1.0, 80, 0.065, seed=1))))
    assert report["verdict"] == "too noisy"
    assert "over 5.0 %: nothing can be called fine" in only(report)["reason"]


def test_a_hopeless_machine_is_not_measured_on_and_on() -> None:
    report = judge(samples(measurement("a", noisy(1.0, 10, 0.3, seed=1), noisy(1.0, 10, 0.3, seed=2))))
    assert report["verdict"] == "too noisy"
    assert rounds_wanted(report) == {}


def test_a_clear_regression_fails_on_a_noisy_machine_too() -> None:
    base, candidate = noisy(1.0, 20, 0.08), noisy(1.5, 20, 0.08)
    row = only(judge(samples(measurement("a", base, candidate))))
    assert row["sample_noise"] > RULES.noisy
    assert row["verdict"] == "regression"


def test_one_hiccup_decides_nothing() -> None:
    base, candidate = noisy(1.0, 20), noisy(1.0, 20, seed=1)
    candidate[3] *= 3
    assert verdict_of(measurement("a", base, candidate)) == "fine"


@pytest.mark.parametrize("count", [1, 6, 7, 8])
def test_rounds_with_which_the_test_could_never_fire_measure_nothing(count: int) -> None:
    report = judge(samples(measurement("a", noisy(1.0, count), noisy(2.0, count))))
    assert report["verdict"] == "not measured"
    assert exit_code(report) == 3
    assert f"{count} samples a side, and 9 are needed" in only(report)["reason"]
    assert rounds_wanted(report) == {"a": 10 - count}


def test_nine_rounds_can_fire() -> None:
    assert verdict_of(measurement("a", noisy(1.0, 9), noisy(1.1, 9))) == "regression"


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 0.0, -1.0, None, "1.0", True, 10**400, 1e308, 5e-324]
)
@pytest.mark.parametrize("side", ["base", "candidate"])
def test_what_is_no_time_is_not_measured_and_named(value: Any, side: str) -> None:
    bad = measurement("a", noisy(1.0), noisy(1.0, seed=1))
    bad[side][4] = value
    report = judge(samples(bad))
    assert exit_code(report) == 3
    assert f"{side} sample 5 is" in only(report)["reason"]


def test_a_second_measurement_that_is_no_time_is_not_measured() -> None:
    bad = measurement("a", noisy(1.0), noisy(1.1), again={"base": noisy(1.0), "candidate": [math.nan] * 10})
    report = judge(samples(bad))
    assert exit_code(report) == 3


# --- memory


def test_memory_growth_counts_from_the_larger_of_three_percent_and_four_mebibytes() -> None:
    big, small = 540 * 2**20, 40 * 2**20
    for level, grown, verdict in (
        (big, 1.05 * big, "regression"),
        (big, 1.02 * big, "fine"),
        (small, small + 3 * 2**20, "fine"),
        (small, small + 6 * 2**20, "regression"),
    ):
        measured = measurement("m", [float(level)] * 10, [float(grown)] * 10, "memory")
        assert only(judge(samples(measured)))["verdict"] == verdict
    assert only(judge(samples(measured)))["threshold"] == pytest.approx(0.1)


def test_equal_memory_is_fine_without_any_scatter() -> None:
    row = only(judge(samples(measurement("m", [1e9] * 10, [1e9] * 10, "memory"))))
    assert row["verdict"] == "fine"
    assert row["ratio"] == 1.0
    assert row["noise"] == 0.0


# --- accuracy


def test_a_point_lost_is_a_regression_by_a_t_test() -> None:
    draw = random.Random(8)
    base = [draw.gauss(69.7, 0.4) for _ in range(10)]
    candidate = [value - 1.0 + draw.gauss(0.0, 0.4) for value in base]
    row = only(judge(samples(measurement("a/top1", base, candidate, "accuracy"))))
    expected = stats.ttest_rel(candidate, base, alternative="less").pvalue
    assert row["p"] == pytest.approx(expected, rel=1e-9)
    assert row["difference"] == pytest.approx(statistics.fmean(candidate) - statistics.fmean(base))
    assert row["verdict"] == "regression"
    assert row["needs_again"] is False  # the same seeds would give the same numbers


def test_accuracy_is_fine_when_a_loss_of_the_margin_is_ruled_out() -> None:
    base = [69.0, 70.0, 69.5, 70.5, 69.8]
    candidate = [value + change for value, change in zip(base, (0.1, -0.1, 0.0, 0.1, -0.1), strict=True)]
    assert verdict_of(measurement("t", base, candidate, "accuracy")) == "fine"
    scattered = [value + change for value, change in zip(base, (1.0, -1.0, 0.9, -1.2, 0.2), strict=True)]
    assert verdict_of(measurement("t", base, scattered, "accuracy")) == "too noisy"
    assert verdict_of(measurement("t", base, scattered, "accuracy", margin=3.0)) == "fine"


def test_equal_accuracies_are_fine_and_a_constant_loss_is_not() -> None:
    base = [69.0, 70.0, 69.5, 70.5, 69.75]
    assert verdict_of(measurement("t", base, list(base), "accuracy")) == "fine"
    assert verdict_of(measurement("t", base, [v - 0.25 for v in base], "accuracy")) == "fine"
    assert verdict_of(measurement("t", base, [v - 1.0 for v in base], "accuracy")) == "regression"
    assert verdict_of(measurement("t", base, [v + 1.0 for v in base], "accuracy")) == "improvement"


def test_a_loss_of_just_the_margin_is_no_regression_and_not_ruled_out_however_it_rounds() -> None:
    for loss, base in (
        (0.2, [69.3, 85.4, 34.4, 38.1, 82.5, 62.6]),
        (0.1, [31.8, 67.4, 94.8, 56.3, 44.9, 59.1]),
    ):
        lost = [round(value - loss, 1) for value in base]
        assert len({new - old for old, new in zip(base, lost, strict=True)}) > 1
        assert verdict_of(measurement("t", base, lost, "accuracy", margin=loss)) == "too noisy"


def test_a_margin_of_zero_passes_what_is_the_same_and_nothing_worse() -> None:
    base = [69.0, 70.0, 69.5, 70.5, 69.75]
    assert verdict_of(measurement("t", base, list(base), "accuracy", margin=0.0)) == "fine"
    worse = [value - 0.125 for value in base]
    assert verdict_of(measurement("t", base, worse, "accuracy", margin=0.0)) == "regression"
    for margin in (-0.5, math.nan, "1", True):
        with pytest.raises(GateError, match=r"t: margin .*0 or more"):
            judge(samples(measurement("t", base, list(base), "accuracy", margin=margin)))


@pytest.mark.parametrize("broken", [[70.0] * 4, [70.0] * 6, [70.0] * 4 + [math.nan]])
def test_accuracies_that_do_not_pair_are_not_measured(broken: list[float]) -> None:
    assert verdict_of(measurement("t", [70.0] * 5, broken, "accuracy")) == "not measured"


# --- the whole


def test_what_has_vanished_is_listed_and_nothing_measured_and_what_is_new_is_listed() -> None:
    good = measurement("kept", noisy(1.0), noisy(1.0, seed=1))
    gone = measurement("old name", noisy(1.0), [])
    new = measurement("new name", [], noisy(1.0))
    report = judge(samples(good, gone, new))
    assert report["vanished"] == ["old name"]
    assert report["new"] == ["new name"]
    assert exit_code(report) == 3
    assert exit_code(judge(samples(good, new))) == 0
    assert exit_code(judge(samples(new))) == 3
    slow = measurement("slow", noisy(1.0), noisy(1.2))
    assert exit_code(judge(samples(slow, gone))) == 1


def test_what_is_new_and_failed_is_a_failure() -> None:
    good = measurement("kept", noisy(1.0), noisy(1.0, seed=1))
    new = measurement("new", [], noisy(1.0), failures=["candidate round 3: oom"])
    report = judge(samples(good, new))
    assert report["new"] == []
    assert exit_code(report) == 5


def test_nothing_at_all_never_passes() -> None:
    assert exit_code(judge(samples())) == 3
    assert exit_code(judge(samples(measurement("a", [], [])))) == 3


def test_other_hosts_are_not_comparable_in_speed_and_named_but_may_be_in_accuracy() -> None:
    other = copy.deepcopy(HOST)
    other["speed"]["cores"] = 4
    other["accuracy"]["cpu"] = "B"
    sides = {"candidate": {"label": "c", "commit": None, "host": other}}
    report = judge(samples(measurement("a", noisy(1.0), noisy(2.0)), **sides))
    assert exit_code(report) == 3
    assert only(report)["reason"] == "the sides differ in cpu, speed.cores"
    top1 = measurement("t", [70.0] * 5, [70.0] * 5, "accuracy")
    assert exit_code(judge(samples(top1, **sides))) == 0


def test_the_drivers_minor_version_and_the_harness_itself_may_differ() -> None:
    other = copy.deepcopy(HOST)
    other["speed"]["driver"] = "580.2"
    other["accuracy"]["libraries"]["harness-bench"] = "9"
    sides = {"candidate": {"label": "c", "commit": None, "host": other}}
    assert exit_code(judge(samples(measurement("a", noisy(1.0), noisy(1.0, seed=1)), **sides))) == 0
    other["speed"]["driver"] = "590.1"
    assert exit_code(judge(samples(measurement("a", noisy(1.0), noisy(1.0, seed=1)), **sides))) == 3


def test_an_environment_that_two_commits_differ_in_is_measured_and_noted() -> None:
    other = copy.deepcopy(HOST)
    other["accuracy"]["libraries"]["torch"] = "2.16.0"
    other["accuracy"]["python"] = "3.12.1"  # the base's version tells no Python: no difference
    sides = {"candidate": {"label": "c", "commit": None, "host": other}}
    measured = measurement("a", noisy(1.0), noisy(1.0, seed=1))
    report = judge(samples(measured, **sides))
    assert exit_code(report) == 0
    assert [note for note in report["notes"] if "differ in libraries.torch:" in note] == report["notes"] != []
    assert exit_code(judge(samples(measured, source="results", **sides))) == 3
    unknown = {"candidate": {"label": "c", "commit": None, "host": None}}
    assert exit_code(judge(samples(measured, **unknown))) == 0
    assert exit_code(judge(samples(measured, source="results", **unknown))) == 3


def test_stored_files_of_unknown_hosts_are_not_comparable() -> None:
    unknown = {side: {"label": side, "commit": None, "host": None} for side in ("base", "candidate")}
    measured = measurement("a", noisy(1.0), noisy(1.0, seed=1))
    assert exit_code(judge(samples(measured, source="results", **unknown))) == 3
    assert exit_code(judge(samples(measured, **unknown))) == 0


def test_what_the_protocol_wants_equal_and_is_not_is_not_comparable() -> None:
    measured = measurement("a", noisy(1.0), noisy(1.0, seed=1), differs=["recipe.budget"])
    report = judge(samples(measured))
    assert exit_code(report) == 3
    assert "recipe.budget" in only(report)["reason"]


def test_stored_samples_are_compared_without_rounds_from_seven_on_and_are_advisory() -> None:
    base, candidate = noisy(1.0, 7), noisy(1.1, 7)
    report = judge(samples(measurement("a", base, candidate), source="results"))
    assert report["advisory"] is True
    assert only(report)["verdict"] == "regression"
    assert needs_again(report) == []
    assert rounds_wanted(report) == {}
    expected = stats.mannwhitneyu(candidate, base, alternative="greater", method="exact").pvalue
    assert only(report)["p"] == pytest.approx(expected)
    assert only(report)["ratio"] == pytest.approx(statistics.median(candidate) / statistics.median(base))
    assert verdict_of(measurement("a", base[:6], candidate[:6]), source="results") == "not measured"
    # Without rounds the order of the samples says nothing.
    turned = judge(samples(measurement("a", base[::-1], candidate), source="results"))
    assert only(turned)["p"] == only(report)["p"]


def test_stored_samples_that_do_not_say_so_are_advisory_too() -> None:
    measured = measurement("a", noisy(1.0), noisy(1.0, seed=1))
    assert judge(samples(measured, source="results", advisory=False))["advisory"] is True
    assert judge(samples(measured))["advisory"] is False


def test_many_samples_of_one_process_count_as_twenty() -> None:
    assert condense(list(range(7))) == list(range(7))
    assert condense([]) == []
    groups = condense([float(value) for value in range(60)])
    assert groups == [3.0 * index + 1 for index in range(20)]
    draw = random.Random(4)
    base, candidate = ([draw.gauss(1.0, 0.02) for _ in range(1000)] for _ in range(2))
    assert verdict_of(measurement("a", base, candidate), source="pytest-benchmark") == "fine"


def test_the_gravest_row_decides_the_exit_code() -> None:
    kinds = {
        5: measurement("f", noisy(1.0), noisy(1.0), failures=["candidate round 3: oom"]),
        1: measurement("r", noisy(1.0), noisy(1.2)),
        3: measurement("v", noisy(1.0), []),
        4: measurement("n", noisy(1.0, 80, 0.3), noisy(1.0, 80, 0.3, seed=1)),
        0: measurement("o", noisy(1.0), noisy(1.0, seed=1)),
    }
    order = list(kinds)
    assert order == list(dict.fromkeys(VERDICTS.values()))
    for codes in itertools.chain.from_iterable(itertools.combinations(order, size) for size in (1, 2, 3, 5)):
        report = judge(samples(*(kinds[code] for code in reversed(codes))))
        assert exit_code(report) == min(codes, key=order.index)


def test_equal_samples_in_any_order_of_measurements_give_the_same_report() -> None:
    measured = [measurement(name, noisy(1.0), noisy(1.0, seed=1)) for name in "abc"]
    assert judge(samples(*measured)) == judge(samples(*reversed(measured)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2"),
        ({"source": "elsewhere"}, "elsewhere"),
        ({"measurements": [measurement("a", [], [])] * 2}, "twice: a"),
        ({"measurements": [{**measurement("a", [], []), "kind": "energy"}]}, "energy"),
    ],
)
def test_samples_of_another_format_are_refused(change: Json, message: str) -> None:
    with pytest.raises(GateError, match=message):
        judge({**samples(), **change})

"""The interval over seeds and test examples, against numpy's analysis of variance and simulated coverage."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.board import bits
from harness.board.leaderboard import build
from harness.board.select import ArmTrials
from harness.board.two_level import two_level_of
from harness.record.attempt import attempt_of

Table = np.ndarray[Any, np.dtype[np.bool_]]


def told_of(row: Any) -> dict[str, Any]:
    bits = base64.b64encode(np.packbits(row).tobytes()).decode()
    return {"count": len(row), "top1": 100.0 * row.mean(), "correct_bits": bits}


def trials_of(name: str, table: Table) -> ArmTrials:
    records = {
        replicate: attempt_of({"status": "completed", "results": {"test": told_of(row)}})
        for replicate, row in enumerate(table)
    }
    return ArmTrials(name, tuple(records), [], dict(records), dict(records))


def correct(seed: int, n: int, m: int, shift: float = 0.0) -> Table:
    """Return correctness of n seeds on m examples, hard and easy ones, from a probit model."""
    draw = np.random.default_rng([seed, n, m])
    skill, ease = draw.normal(0, 0.3, (n, 1)), draw.normal(1.0, 1.0, (1, m))
    return skill + ease + shift + draw.normal(0, 0.7, (n, m)) > 0


def half_width_by_hand(values: Any, alpha: float) -> float:
    """Return h of the two-way table, every mean square written out over the cells."""
    n, m = values.shape
    mean = values.mean()
    rows, columns = values.mean(1, keepdims=True), values.mean(0, keepdims=True)
    seeds = m * ((rows - mean) ** 2).sum() / (n - 1)
    examples = n * ((columns - mean) ** 2).sum() / (m - 1)
    rest = ((values - rows - columns + mean) ** 2).sum() / ((n - 1) * (m - 1))
    by_seed, by_example = (stats.t.isf(alpha / 2, count - 1) for count in (n, m))
    squared = by_seed**2 * seeds + by_example**2 * max(examples - rest, 0.0)
    return float(np.sqrt(squared / (n * m)))


@pytest.mark.parametrize(("n", "m"), [(3, 40), (5, 64), (10, 899), (19, 333)])
def test_equals_the_analysis_of_variance_by_hand(n: int, m: int) -> None:
    arm, base = correct(1, n, m, 0.2), correct(2, n, m)
    found = two_level_of(
        {"arm": trials_of("arm", arm), "base": trials_of("base", base)},
        {"arm": "base", "base": "base"},
        0.05,
        0.01,
    )
    own, difference = found["arm"]
    assert own is not None and difference is not None
    changes = arm.astype(float) - base
    half = half_width_by_hand(changes, 0.01)
    expected = (100 * (changes.mean() - half), 100 * (changes.mean() + half))
    assert (difference["low"], difference["high"]) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found["base"][1] is None
    assert (own["seeds"], own["examples"]) == (n, m)
    # Wilson's limits are where (p - q)^2 = q (1 - q) z^2 / count.
    p, half = arm.mean(), half_width_by_hand(arm.astype(float), 0.05)
    share = max(half**2 / (p * (1 - p)), stats.t.isf(0.025, m - 1) ** 2 / m)
    for limit in (own["low"] / 100, own["high"] / 100):
        assert (p - limit) ** 2 == pytest.approx(limit * (1 - limit) * share, rel=1e-9)
    assert own["low"] < 100 * p < own["high"]


def test_two_arms_of_two_examples_by_hand() -> None:
    # Rows 11, 10, 11: mean 5/6; MS_seeds = MS_rest = 1/6 and MS_examples = 1/6, so that seeds alone vary.
    table = np.array([[1, 1], [1, 0], [1, 1]], bool)
    own = two_level_of({"a": trials_of("a", table)}, {"a": "a"}, 0.05, 0.05)["a"][0]
    assert own is not None
    # t of 1 degree, 12.706, of two examples, is more than that of the seeds: 80.72 for z^2 / count.
    share = 12.7062047**2 / 2
    centre, half = (5 / 6 + share / 2) / (1 + share), np.sqrt(share * (5 / 36 + share / 4)) / (1 + share)
    assert (own["low"], own["high"]) == pytest.approx((100 * (centre - half), 100 * (centre + half)))


def test_near_100_percent_the_limits_stay_within_and_have_a_width() -> None:
    perfect = np.ones((4, 100), bool)
    own = two_level_of({"a": trials_of("a", perfect)}, {"a": "a"}, 0.05, 0.05)["a"][0]
    assert own is not None
    # All m examples count as one trial each: Wilson's lower limit of m in m is m / (m + t^2).
    assert own["high"] == 100.0
    assert own["low"] == pytest.approx(100 * 100 / (100 + stats.t.isf(0.025, 99) ** 2))
    for wrong in (1, 2):  # examples that every seed gets wrong
        table = perfect.copy()
        table[:, :wrong] = False
        own = two_level_of({"a": trials_of("a", table)}, {"a": "a"}, 0.05, 0.05)["a"][0]
        assert own is not None
        assert 90.0 < own["low"] < 100 - wrong < own["high"] < 100.0
    never = two_level_of({"a": trials_of("a", ~perfect)}, {"a": "a"}, 0.05, 0.05)["a"][0]
    assert never is not None
    assert never["low"] == 0.0 < never["high"] < 4.0


@pytest.mark.parametrize(("accuracy", "n", "m"), [(0.995, 3, 100), (0.99, 10, 100), (0.97, 3, 360)])
def test_covers_an_accuracy_near_100_percent(accuracy: float, n: int, m: int) -> None:
    # Limits of mean and half-width alone miss 48, 29 and 7 % of these.
    draw, runs = np.random.default_rng([n, m]), 300
    edge = stats.norm.ppf(accuracy) * np.sqrt(0.05**2 + 1 + 0.2**2)
    covered = 0
    for _ in range(runs):
        skill, ease = draw.normal(0, 0.05, (n, 1)), draw.normal(0, 1, (1, m))
        table = edge + skill + ease + draw.normal(0, 0.2, (n, m)) > 0
        own = two_level_of({"a": trials_of("a", table)}, {"a": "a"}, 0.05, 0.05)["a"][0]
        assert own is not None
        assert 0.0 <= own["low"] < own["high"] <= 100.0
        covered += own["low"] <= 100 * accuracy <= own["high"]
    assert covered >= stats.binom.ppf(0.001, runs, 0.95)


def test_a_difference_of_three_replicates_keeps_a_small_level() -> None:
    # At 0.5 %, what one of ten arms gets. One quantile for seeds and examples together misses 2.5 % of these: 20.
    draw, runs, n, m = np.random.default_rng(3), 800, 3, 500
    deviation = np.sqrt(0.05**2 + 0.03**2 + 1 + 0.15**2 + 0.2**2)
    edges = [stats.norm.ppf(accuracy) * deviation for accuracy in (0.91, 0.9)]
    missed = 0
    for _ in range(runs):
        shared = draw.normal(0, 0.05, (n, 1)) + draw.normal(0, 1, (1, m))
        arm, base = (
            edge
            + shared
            + draw.normal(0, 0.03, (n, 1))
            + draw.normal(0, 0.15, (1, m))
            + draw.normal(0, 0.2, (n, m))
            > 0
            for edge in edges
        )
        trials = {"arm": trials_of("arm", arm), "base": trials_of("base", base)}
        found = two_level_of(trials, {"arm": "base", "base": "base"}, 0.05, 0.005)["arm"][1]
        missed += found is not None and not found["low"] <= 1.0 <= found["high"]
    assert missed <= stats.binom.ppf(0.999, runs, 0.005)


def test_columns_are_counted_in_binary() -> None:
    rows = [bytes([row]) for row in (0b1011, 0b0001, 0b1001, 0b0001, 0b0001)]
    # Columns from the right: 5, 1, 0, 2 = 101, 001, 000, 010 in binary; by digit: 0b0011, 0b1000, 0b0001.
    # Behind a row stand zeros up to 64 bits.
    assert bits.column_counts(bits.bits_of(b"".join(rows), len(rows))) == [
        digit << 56 for digit in (0b0011, 0b1000, 0b0001)
    ]
    assert bits.column_counts(bits.bits_of(b"", 0)) == []


@pytest.mark.parametrize(("n", "m"), [(1, 9), (2, 64), (65, 899), (200, 1000), (333, 17)])
def test_bits_are_counted_alike_with_and_without_numpy(
    n: int, m: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [np.random.default_rng(seed).random((n, m)) < 0.7 for seed in (n, m)]
    rows, others = (np.packbits(table, axis=1).tobytes() for table in tables)
    told: Any = []
    for few in (0, 10**9):
        monkeypatch.setattr(bits, "_FEW", few)
        one, two = bits.bits_of(rows, n), bits.bits_of(others, n)
        some = bits.taking(one, range(0, n, 2))
        counts, other_counts = bits.column_counts(one), bits.column_counts(two)
        product = bits.products(counts, other_counts)
        told.append((one, bits.hits_of(one), bits.unlike(one, two), product, counts, bits.hits_of(some)))
    assert told[0][1:] == told[1][1:]
    assert isinstance(told[1][0], list)
    assert not isinstance(told[0][0], list)
    assert bits.unlike(told[0][0], told[1][0]) == 0
    _, hits, differing, product, _, some_hits = told[0]
    assert some_hits == tables[0][::2].sum(axis=1).tolist()
    assert hits == tables[0].sum(axis=1).tolist()
    assert differing == (tables[0] ^ tables[1]).sum()
    assert product == int(tables[0].sum(axis=0) @ tables[1].sum(axis=0))


def test_covers_the_truth_where_seeds_and_examples_are_drawn_anew() -> None:
    # 19 of 20 intervals hold the mean over all seeds and examples; those of the seeds alone hold it much less often.
    truth = 100 * stats.norm.cdf(1.0 / np.sqrt(1 + 0.3**2 + 0.7**2))
    covered = by_seeds = 0
    for seed in range(400):
        table = correct(1000 + seed, 8, 150)
        [(own, _)] = two_level_of({"a": trials_of("a", table)}, {"a": "a"}, 0.05, 0.05).values()
        assert own is not None
        covered += own["low"] <= truth <= own["high"]
        interval = stats.ttest_1samp(100 * table.mean(1), 0).confidence_interval()
        by_seeds += interval.low <= truth <= interval.high
    assert 0.93 < covered / 400 < 0.995
    assert by_seeds / 400 < 0.88


@pytest.mark.parametrize("n", [3, 5, 10])
def test_a_difference_of_few_replicates_keeps_its_level_and_a_width_that_can_be(n: int) -> None:
    # Equal arms: 0 is the truth.
    examples, runs, covered = 300, 300, 0
    for seed in range(runs):
        draw = np.random.default_rng([seed, n])
        ease = draw.normal(1.0, 1.0, (1, examples))
        arm, base = (ease + draw.normal(0, 0.7, (n, examples)) > 0 for _ in range(2))
        trials = {"arm": trials_of("arm", arm), "base": trials_of("base", base)}
        found = two_level_of(trials, {"arm": "base", "base": "base"}, 0.05, 0.05)["arm"][1]
        if found is None:  # every seed came out alike
            covered += 1
            continue
        assert found["high"] - found["low"] < 200.0
        covered += found["low"] <= 0.0 <= found["high"]
    assert 0.91 < covered / runs < 0.99


def test_two_replicates_and_a_spread_of_0_by_luck_have_no_interval() -> None:
    two = correct(5, 2, 64)
    assert two_level_of({"a": trials_of("a", two)}, {"a": "a"}, 0.05, 0.05) == {"a": (None, None)}
    # Each seed is right on one example, each on another one: the means agree to the last bit, the seeds do not.
    lucky = np.eye(3, 3, dtype=bool)
    none = trials_of("b", np.zeros((3, 3), bool))
    found = two_level_of({"a": trials_of("a", lucky), "b": none}, {"a": "b", "b": "b"}, 0.05, 0.05)["a"]
    assert found[1] is None
    # An accuracy has one, of as many trials as there are examples.
    assert found[0] is not None and found[0]["high"] - found[0]["low"] > 90.0
    # An arm that changes nothing differs by 0, certainly.
    same = {"a": trials_of("a", correct(5, 3, 64)), "b": trials_of("b", correct(5, 3, 64))}
    difference = two_level_of(same, {"a": "b", "b": "b"}, 0.05, 0.05)["a"][1]
    assert difference == {"low": 0.0, "high": 0.0, "seeds": 3, "examples": 64}


@pytest.mark.parametrize("damage", ["", "!!!!", "AAAA", None, 7, "other top-1", "failed"])
def test_correctness_that_is_absent_torn_or_at_odds_gives_none(damage: Any) -> None:
    counted = trials_of("a", correct(3, 4, 64)).counted
    good, one = dict(counted), counted[2]
    if damage == "other top-1":
        good[2] = one._replace(top1=(one.top1 or 0.0) + 5.0)
    elif damage == "failed":
        del good[2]
    else:
        torn = {"count": 64, "top1": one.top1, "correct_bits": damage}
        good[2] = attempt_of({"status": "completed", "results": {"test": torn}})
    trials = ArmTrials("a", tuple(counted), [], counted, good)
    assert two_level_of({"a": trials}, {"a": "a"}, 0.05, 0.05) == {"a": (None, None)}


def test_a_board_shows_it_in_the_row_and_in_the_difference(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    tables = {"plain": correct(1, 10, 899), "arm": correct(2, 10, 899, 0.3)}
    for arm, table in tables.items():
        for record, row in zip(given.of(arm), table, strict=True):
            record["results"]["test"] |= told_of(row)
    board = build(given.plan, given.records, [], shared=given.shared)
    arm, plain = (next(row for row in board["rows"] if row["arm"] == name) for name in ("arm", "plain"))
    assert arm["two_level"]["low"] < arm["top1"]["mean"] < arm["two_level"]["high"]
    wide, narrow = arm["difference"]["two_level"], arm["difference"]
    assert wide["low"] < narrow["mean"] < wide["high"]
    assert (wide["seeds"], wide["examples"]) == (10, 899)
    assert plain["two_level"] is not None and plain["difference"] is None


def test_a_difference_lies_within_100_points() -> None:
    # Three examples and one degree of freedom less: h alone is above one.
    arm, base = (
        np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]], bool),
        np.array([[0, 1, 0], [0, 0, 0], [0, 0, 1]], bool),
    )
    assert half_width_by_hand(arm.astype(float) - base, 0.001) > 2
    trials = {"arm": trials_of("arm", arm), "base": trials_of("base", base)}
    found = two_level_of(trials, {"arm": "base", "base": "base"}, 0.05, 0.001)["arm"][1]
    assert found is not None and (found["low"], found["high"]) == (-100.0, 100.0)


def test_arms_of_unlike_test_sets_and_of_one_example_have_no_interval_of_their_difference() -> None:
    trials = {"arm": trials_of("arm", correct(1, 4, 64)), "base": trials_of("base", correct(2, 4, 60))}
    own, difference = two_level_of(trials, {"arm": "base", "base": "base"}, 0.05, 0.05)["arm"]
    assert own is not None and difference is None
    one = {"a": trials_of("a", np.ones((4, 1), bool))}  # no spread over examples can be told from one
    assert two_level_of(one, {"a": "a"}, 0.05, 0.05) == {"a": (None, None)}


def test_an_accuracy_that_is_one_example_off_its_correctness_gives_none() -> None:
    counted = trials_of("a", correct(3, 4, 899)).counted
    good = dict(counted)
    good[2] = good[2]._replace(top1=(good[2].top1 or 0.0) + 100 / 899)
    trials = ArmTrials("a", tuple(counted), [], counted, good)
    assert two_level_of({"a": trials}, {"a": "a"}, 0.05, 0.05) == {"a": (None, None)}


def test_arms_that_lack_replicates_are_held_against_those_of_the_baseline_that_they_have() -> None:
    """Two arms with unlike replicates against one baseline, of which columns are counted once for each set."""
    base, few, all_of_them = (correct(seed, 6, 200, 0.1 * seed) for seed in (1, 2, 3))
    some = [1, 2, 4, 5]
    lacking = trials_of("few", few)
    kept = {at: lacking.counted[at] for at in some}
    trials = {
        "base": trials_of("base", base),
        "few": ArmTrials("few", tuple(range(6)), [], kept, kept),
        "all": trials_of("all", all_of_them),
    }
    found = two_level_of(trials, {"base": "base", "few": "base", "all": "base"}, 0.05, 0.05)
    for name, changes in (
        ("few", (few.astype(float) - base)[some]),
        ("all", all_of_them.astype(float) - base),
    ):
        told, half = found[name][1], half_width_by_hand(changes, 0.05)
        assert told is not None
        wanted = (100 * (changes.mean() - half), 100 * (changes.mean() + half))
        assert (told["low"], told["high"]) == pytest.approx(wanted, rel=1e-9)

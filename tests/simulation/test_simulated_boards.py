"""What the board's verdicts do on boards of which the truth is known: the real functions, Gaussian run noise.

A tier of its own (`make simulation`), because 10,000 boards a setting take a minute. Bands are binomial, three standard
errors wide; everything is keyed, so a run repeats. What must seldom be said is held from above, and what must be found
from below: a test that never says anything would pass the former.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from harness.board import power, two_sample
from harness.board.permutation import split_p
from harness.board.ranks import rank_intervals
from harness.board.select import ArmTrials
from harness.board.sign_flip import sign_flip_ps
from harness.board.speed_verdict import non_inferior, speed_verdicts
from harness.board.statistics import POWER
from harness.board.verdict import Comparison, Rules, compare
from harness.record.attempt import attempt_of
from harness.suite.plan import needed_replicates

pytestmark = pytest.mark.simulation

ALPHA = 0.05
BOARDS = 10_000
FEWER = 4_000
DEVIATION = 0.25 * math.sqrt(2)
"""Of the paired differences of `runs_of`."""
Values = np.ndarray[Any, np.dtype[np.float64]]
Record = Callable[[str, object], None]


def rules_for(arms: int, *, margin: float = 0.0) -> Rules:
    return Rules(
        alpha=ALPHA,
        family=arms,
        margin=margin,
        equal_margin=margin,
        needed=needed_replicates(arms, ALPHA),
        seed=0,
    )


def band(share: float, boards: int) -> float:
    return 3 * math.sqrt(share * (1 - share) / boards)


def draw_for(*key: object) -> np.random.Generator:
    return np.random.default_rng([sum(map(ord, str(key))), *(one for one in key if isinstance(one, int))])


def runs_of(draw: np.random.Generator, arms: int, n: int) -> Values:
    """Return accuracies, (arms + 1, n), the baseline's first: what a replicate's arms share, and noise of their own."""
    return 90.0 + draw.normal(0, 0.5, (1, n)) + draw.normal(0, 0.25, (arms + 1, n))


def differences_of(runs: Values) -> dict[str, list[float]]:
    return {f"arm{index}": row.tolist() for index, row in enumerate(runs[1:] - runs[0])}


def announced(found: Mapping[str, Comparison]) -> bool:
    return any(one.verdict in ("better", "worse") for one in found.values())


@pytest.mark.parametrize("arms", [1, 5, 10, 20])
@pytest.mark.parametrize("n", [6, 10, 20])
def test_boards_without_effect_announce_a_discovery_in_one_of_twenty(
    n: int, arms: int, record_property: Record
) -> None:
    rules, draw = rules_for(arms), draw_for("null", n, arms)
    if n < rules.needed:
        for _ in range(100):
            found = compare(differences_of(runs_of(draw, arms, n)), {}, rules)
            assert {one.verdict for one in found.values()} == {None}
            assert all(f"needs {rules.needed}" in one.reason for one in found.values())
        record_property("figure", f"no effect, n = {n:2}, {arms:2} arms: no verdict, {rules.needed} needed")
        return
    false = sum(announced(compare(differences_of(runs_of(draw, arms, n)), {}, rules)) for _ in range(BOARDS))
    record_property(
        "figure",
        f"no effect, n = {n:2}, {arms:2} arms: a discovery in {false / BOARDS:.2%} of {BOARDS} boards",
    )
    assert false / BOARDS <= ALPHA + band(ALPHA, BOARDS)


@pytest.mark.parametrize(
    ("n", "arms", "margin"),
    [(6, 1, 0.0), (8, 5, 0.0), (10, 1, 0.0), (10, 1, 0.3), (10, 5, 0.1), (10, 20, 0.0), (20, 10, 0.1)],
)
def test_an_effect_of_the_promised_size_is_found_in_four_boards_of_five(
    n: int, arms: int, margin: float, record_property: Record
) -> None:
    # The promise is made before the run, from the true deviation of paired differences.
    promised = power.detectable(DEVIATION, n, arms, ALPHA, margin)
    rules, draw = rules_for(arms, margin=margin), draw_for("planted", n, arms)
    found = 0
    for _ in range(FEWER):
        runs = runs_of(draw, arms, n)
        runs[1] += promised
        found += compare(differences_of(runs), {}, rules)["arm0"].verdict == "better"
    record_property(
        "figure",
        f"planted {promised:.3f} points (margin {margin}), n = {n:2}, {arms:2} arms: found in {found / FEWER:.1%} "
        f"of {FEWER} boards",
    )
    assert found / FEWER >= POWER - band(POWER, FEWER)
    # No more than promised, either: twice the noise of a formula.
    assert found / FEWER <= 0.88


@pytest.mark.parametrize(("arms", "n"), [(1, 10), (5, 10)])
def test_equal_is_said_of_an_arm_at_the_margin_in_one_of_twenty(
    arms: int, n: int, record_property: Record
) -> None:
    # Every arm is exactly at the margin: any "equal" is false. The deviation is small enough that it could be said.
    rules, draw = rules_for(arms, margin=0.5), draw_for("equal", n, arms)
    false = 0
    for _ in range(FEWER):
        runs = runs_of(draw, arms, n)
        runs[1:] += 0.5
        found = compare(differences_of(runs), {}, rules)
        false += any(one.verdict == "equal" for one in found.values())
    record_property(
        "figure", f"at the margin, n = {n:2}, {arms:2} arms: called equal in {false / FEWER:.2%} of boards"
    )
    assert false / FEWER <= ALPHA + band(ALPHA, FEWER)


def timed_boards(
    draw: np.random.Generator, arms: int, rounds: int, drift: float, *, interleaved: bool
) -> dict[str, dict[int, dict[str, Any]]]:
    """Return timings by arm and round, all equally fast on a machine whose pace drifts by ± `drift` over the run."""
    members = arms + 1
    # Places in time: in a round the arms stand in random order; or, the fault to be avoided, all rounds of one arm
    # after another's.
    places = (
        np.stack([number * members + draw.permutation(members) for number in range(rounds)], axis=1)
        if interleaved
        else np.arange(members * rounds).reshape(members, rounds)
    )
    # A slow walk from one end of the run to the other, scaled to the drift. Each timing's own noise is 2 %: with much
    # less, the margin of 1 % would hide false verdicts.
    walk = np.cumsum(draw.normal(0, 1, members * rounds))
    walk = (walk - walk.mean()) / max(np.ptp(walk), 1e-9) * 2 * drift
    rates = 4000.0 * np.exp(walk[places] + draw.normal(0, 0.02, places.shape))
    names = ["plain", *(f"arm{index}" for index in range(arms))]
    return {
        name: {number: {"images_per_second": float(rate)} for number, rate in enumerate(row)}
        for name, row in zip(names, rates, strict=True)
    }


def false_speed_verdicts(arms: int, rounds: int, boards: int, *, interleaved: bool) -> int:
    rules, draw = rules_for(arms), draw_for("drift", arms, rounds)
    accuracy = {
        f"arm{index}": [0.3, 0.1, -0.1, 0.2, 0.25, 0.15, -0.05, 0.1, 0.2, 0.0] for index in range(arms)
    }
    against = {"plain": "plain", **dict.fromkeys(accuracy, "plain")}
    false = 0
    for _ in range(boards):
        timings = timed_boards(draw, arms, rounds, 0.03, interleaved=interleaved)
        told = speed_verdicts(timings, against, accuracy, {}, rules, 0.2)
        verdicts = [told[arm]["speed_verdict"]["verdict"] for arm in accuracy]
        assert None not in verdicts
        false += any(verdict in ("faster", "slower") for verdict in verdicts)
    return false


@pytest.mark.parametrize(("arms", "rounds"), [(1, 7), (5, 10), (10, 9)])
def test_a_slow_drift_of_three_percent_makes_no_speed_ups(
    arms: int, rounds: int, record_property: Record
) -> None:
    boards = BOARDS if arms == 1 else FEWER
    false = false_speed_verdicts(arms, rounds, boards, interleaved=True)
    record_property(
        "figure",
        f"drift of 3 %, {rounds:2} rounds, {arms:2} arms: a speed verdict in {false / boards:.2%} of {boards} boards",
    )
    assert false / boards <= 0.06


def test_without_rounds_the_same_drift_makes_many(record_property: Record) -> None:
    # That the simulation can fail: one arm after the other, as PROTOCOL.md forbids.
    false = false_speed_verdicts(1, 7, 1000, interleaved=False)
    record_property(
        "figure", f"drift of 3 %, all of A and then all of B: a speed verdict in {false / 1000:.0%} of boards"
    )
    assert false / 1000 > 4 * ALPHA


def rank_intervals_of(runs: Values) -> list[list[int]]:
    """Return the rank interval of each arm of a board, the first being the baseline."""
    arms, n = runs.shape
    names = [f"arm{index}" for index in range(arms)]
    attempt = attempt_of({"status": "completed", "results": {"test": {"top1": 90.0}}})
    trials = {}
    for name, row in zip(names, runs, strict=True):
        records = {replicate: attempt._replace(top1=value) for replicate, value in enumerate(row.tolist())}
        trials[name] = ArmTrials(name, tuple(range(n)), [], dict(records), dict(records))
    row = {"top1": {"mean": 90.0}, "stamps": [], "failure_rate": 0.0, "replicates": {"missing": 0}}
    rows = dict.fromkeys(names, row)
    chances, against = dict.fromkeys(names, 10.0), dict.fromkeys(names, "arm0")
    _, intervals = rank_intervals(rows, trials, chances, against, rules_for(arms - 1), None)
    return [intervals[name] for name in names]


def test_rank_intervals_exclude_a_true_rank_in_one_of_twenty(record_property: Record) -> None:
    # Five arms that are all alike: each interval has to be [1, 5].
    draw = draw_for("ranks")
    false = sum(
        any(interval != [1, 5] for interval in rank_intervals_of(runs_of(draw, 4, 10))) for _ in range(FEWER)
    )
    record_property(
        "figure", f"rank intervals of 5 equal arms: one is wrong in {false / FEWER:.2%} of {FEWER} boards"
    )
    assert false / FEWER <= ALPHA + band(ALPHA, FEWER)


def test_an_arm_that_is_better_by_what_is_promised_is_ranked_above_another(record_property: Record) -> None:
    # Ten pairs of five arms: the last is better than each of the others by what a family of ten finds.
    draw, boards, n = draw_for("planted rank"), 1_500, 12
    promised = power.detectable(DEVIATION, n, 10, ALPHA)
    apart = false = 0
    for _ in range(boards):
        runs = runs_of(draw, 4, n)
        runs[4] += promised
        *others, best = rank_intervals_of(runs)
        apart += others[0][0] == 2
        # The first rank is the last arm's, and any other anybody's.
        false += best[0] != 1 or any(low > 2 or high < 5 for low, high in others)
    record_property(
        "figure",
        f"the best of 5 arms, by {promised:.3f} points, n = {n}: ranked above an arm in {apart / boards:.1%} of "
        f"{boards} boards, and a rank is wrong in {false / boards:.2%}",
    )
    assert apart / boards >= POWER - band(POWER, boards)
    assert false / boards <= ALPHA + band(ALPHA, boards)


@pytest.mark.parametrize(("margin", "arms"), [(0.3, 1), (0.3, 5)])
def test_an_arm_without_effect_is_called_equal_in_four_boards_of_five(
    margin: float, arms: int, record_property: Record
) -> None:
    n = power.replicates_for_equal(margin, DEVIATION, arms, ALPHA)
    assert n is not None
    rules, draw = rules_for(arms, margin=margin), draw_for("found equal", arms)
    equal = 0
    for _ in range(2_000):
        found = compare(differences_of(runs_of(draw, arms, n)), {}, rules)
        equal += found["arm0"].verdict == "equal"
    record_property(
        "figure",
        f"no effect, margin {margin}, n = {n}, {arms} arms: called equal in {equal / 2000:.1%} of boards",
    )
    assert POWER - band(POWER, 2000) <= equal / 2000 <= 0.9


@pytest.mark.parametrize(("arms", "n"), [(1, 10), (5, 12)])
def test_an_arm_at_the_margin_is_called_non_inferior_in_one_of_twenty(
    arms: int, n: int, record_property: Record
) -> None:
    rules, draw = rules_for(arms), draw_for("non-inferior", arms)
    false = 0
    for _ in range(FEWER):
        runs = runs_of(draw, arms, n)
        runs[1:] -= 0.2
        found = [non_inferior(values, 0.2, rules)["holds"] for values in differences_of(runs).values()]
        assert None not in found
        false += any(found)
    record_property(
        "figure", f"at the margin, n = {n}, {arms} arms: called non-inferior in {false / FEWER:.2%} of boards"
    )
    assert false / FEWER <= ALPHA + band(ALPHA, FEWER)


def test_an_arm_without_effect_is_called_non_inferior_in_four_boards_of_five(record_property: Record) -> None:
    n = power.replicates_for_non_inferiority(0.3, DEVIATION, 3, ALPHA)
    assert n is not None
    rules, draw, boards = rules_for(3), draw_for("found non-inferior"), FEWER
    held = sum(
        bool(non_inferior(differences_of(runs_of(draw, 1, n))["arm0"], 0.3, rules)["holds"])
        for _ in range(boards)
    )
    record_property(
        "figure", f"no effect, n = {n}, 3 arms: called non-inferior in {held / boards:.1%} of boards"
    )
    assert POWER - band(POWER, boards) <= held / boards <= 0.9


@pytest.mark.parametrize(("arms", "n"), [(5, 10), (20, 12)])
def test_all_intervals_of_a_board_hold_the_truth_in_19_of_20(
    arms: int, n: int, record_property: Record
) -> None:
    rules, draw, truth = rules_for(arms), draw_for("intervals", arms), 0.4
    boards = FEWER // 2
    missed = 0
    for _ in range(boards):
        runs = runs_of(draw, arms, n)
        runs[1:] += truth
        found = [one.difference for one in compare(differences_of(runs), {}, rules).values()]
        missed += not all(one and one.low is not None and one.low <= truth <= one.high for one in found)
    record_property(
        "figure",
        f"intervals of {arms} arms, n = {n}: one misses the truth in {missed / boards:.2%} of {boards} boards",
    )
    assert missed / boards <= ALPHA + band(ALPHA, boards)
    # Arms share their baseline, and so half of their luck: fewer miss than one in twenty, not none.
    assert missed / boards >= ALPHA / 4


def test_holm_finds_the_last_arm_as_if_it_were_the_only_one(record_property: Record) -> None:
    # Four of five arms are better beyond any doubt. What is left is a family of one.
    promised = power.detectable(DEVIATION, 10, 1, ALPHA)
    rules, draw, boards = rules_for(5), draw_for("holm"), 2_000
    found = 0
    for _ in range(boards):
        runs = runs_of(draw, 5, 10)
        runs[1] += promised
        runs[2:] += 5.0
        found += compare(differences_of(runs), {}, rules)["arm0"].verdict == "better"
    record_property(
        "figure", f"the last of 5 arms, {promised:.3f} points: found in {found / boards:.1%} of boards"
    )
    assert found / boards >= POWER - band(POWER, boards)


@pytest.mark.parametrize(
    ("n", "arms", "alpha"), [(14, 60, 0.01), (16, 600, 0.05), (18, 400, 0.05), (20, 400, 0.05)]
)
def test_small_levels_are_found_as_promised_by_all_signs_and_by_drawn_ones(
    n: int, arms: int, alpha: float, record_property: Record
) -> None:
    promised, boards = power.detectable(1.0, n, arms, alpha), 2_000
    runs = draw_for("small level", n, arms).normal(promised, 1.0, (boards, n))
    found = sum(p <= alpha / arms for p in sign_flip_ps(runs.tolist(), 0, alpha / arms))
    record_property(
        "figure",
        f"planted {promised:.3f} deviations, n = {n}, {arms} arms at {alpha}: found in {found / boards:.1%}",
    )
    # The promise is simulated from as many runs.
    assert abs(found / boards - POWER) <= math.sqrt(2) * band(POWER, boards)


@pytest.mark.parametrize(
    ("sides", "deviations", "most"),
    [
        ((8, 8), (0.3, 0.3), ALPHA),
        ((20, 6), (0.3, 0.9), 0.08),
        ((20, 6), (0.9, 0.3), ALPHA),
        ((40, two_sample.FEWEST), (0.3, 0.9), 0.08),
        ((5, 5), (0.3, 0.9), 0.07),
    ],
)
def test_two_samples_of_one_mean_are_called_different_in_one_of_twenty_and_little_more(
    sides: tuple[int, int], deviations: tuple[float, float], most: float, record_property: Record
) -> None:
    draw, pairs = draw_for("unpaired", *sides), 1_500
    false = 0
    for _ in range(pairs):
        base, candidate = (
            draw.normal(95.0, deviation, count).tolist()
            for count, deviation in zip(sides, deviations, strict=True)
        )
        false += two_sample.permutation_p(base, candidate) <= ALPHA
    record_property(
        "figure",
        f"unpaired, {sides[0]} against {sides[1]}, spreads {deviations[0]} and {deviations[1]}: called different in "
        f"{false / pairs:.2%} of {pairs}",
    )
    assert false / pairs <= most + band(most, pairs)


def split_of(draw: np.random.Generator, drift: float) -> float | None:
    """Return p of a time split of 3 arms x 18 replicates, a fifth of the runs missing."""
    values = draw.normal(0, 1, 18) + draw.normal(0, 0.5, (3, 18))
    values[:, 9:] += drift
    values[draw.random(values.shape) < 0.2] = np.nan
    values -= np.nanmean(values, axis=1, keepdims=True)
    residuals: dict[str, dict[int, float]] = {"arm0": {}, "arm1": {}, "arm2": {}}
    for arm, replicate in np.argwhere(~np.isnan(values)).tolist():
        residuals[f"arm{arm}"][replicate] = float(values[arm, replicate])
    halves = {
        arm: {replicate: "first half" if replicate < 9 else "second half" for replicate in own}
        for arm, own in residuals.items()
    }
    return split_p(residuals, halves, str(draw.integers(1 << 30))).p


def test_a_split_with_missing_runs_finds_nothing_in_19_of_20_and_a_drift_mostly(
    record_property: Record,
) -> None:
    draw, boards = draw_for("split"), 1_000
    calm = [p for _ in range(boards) if (p := split_of(draw, 0.0)) is not None]
    drifting = [p for _ in range(200) if (p := split_of(draw, 4.0)) is not None]
    false, found = (
        sum(p <= ALPHA for p in calm) / len(calm),
        sum(p <= ALPHA for p in drifting) / len(drifting),
    )
    record_property(
        "figure",
        f"splits with a fifth of the runs missing: {false:.2%} differ at 5 %, of a drift of 4 {found:.0%}",
    )
    assert len(calm) > 0.95 * boards
    assert false <= ALPHA + band(ALPHA, len(calm))
    assert found >= POWER

"""What the board's verdicts do on boards of which the truth is known: the real functions, Gaussian run noise.

A tier of its own (`make simulation`), because 10,000 boards a setting take minutes. Bands are binomial, three standard
errors wide; everything is keyed, so a run repeats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from harness.board import power
from harness.board.ranks import rank_intervals
from harness.board.select import ArmTrials
from harness.board.speed_verdict import speed_verdicts
from harness.board.statistics import POWER
from harness.board.verdict import Comparison, Rules, compare
from harness.suite.plan import needed_replicates

pytestmark = pytest.mark.simulation

ALPHA = 0.05
BOARDS = 10_000
FEWER = 4_000
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
    promised = power.detectable(0.25 * math.sqrt(2), n, arms, ALPHA, margin)
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
    accuracy = {f"arm{index}": [0.3, 0.1, -0.1, 0.2, 0.25, 0.15, -0.05, 0.1] for index in range(arms)}
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


def test_rank_intervals_exclude_a_true_rank_in_one_of_twenty(record_property: Record) -> None:
    # Five arms that are all alike: each interval has to be [1, 5].
    rules, draw = rules_for(4), draw_for("ranks")
    names = [f"arm{index}" for index in range(5)]
    against = dict.fromkeys(names, "arm0")
    false = 0
    for _ in range(FEWER):
        trials = {}
        for name, row in zip(names, runs_of(draw, 4, 10), strict=True):
            records = {
                replicate: {"status": "completed", "results": {"test": {"top1": value}}}
                for replicate, value in enumerate(row.tolist())
            }
            trials[name] = ArmTrials(name, tuple(range(10)), [], dict(records), dict(records))
        rows = {name: {"top1": {"mean": 90.0}, "stamps": [], "failure_rate": 0.0} for name in names}
        _, intervals = rank_intervals(rows, trials, dict.fromkeys(names, 10.0), against, rules, None)
        assert len(intervals) == 5
        false += any(interval != [1, 5] for interval in intervals.values())
    record_property(
        "figure", f"rank intervals of 5 equal arms: one is wrong in {false / FEWER:.2%} of {FEWER} boards"
    )
    assert false / FEWER <= ALPHA + band(ALPHA, FEWER)

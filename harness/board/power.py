"""What a plan can find: the smallest difference it resolves in 80 % of runs, and the replicates a wished one takes.

Differences of paired replicates are taken to be Gaussian with standard deviation `deviation`, the arm's true effect
away from 0. Levels are those of the verdicts: alpha / family, which is Holm's first step.

* Above 20 replicates: Student's paired t test, whose power the sign-flip test's nearly equals there. With nu = n - 1
  and S the root of chi squared over nu, P(found) = integral of f(s) P(Z >= max(c s, margin sqrt(n)) - effect sqrt(n))
  ds, all in units of the deviation: the upper tail of the noncentral t (Johnson, Kotz and Balakrishnan 1995, chapter
  31; Cohen 1988, section 2.2). At small levels it promises a little too much: of 500 arms at 5 %, 25 replicates find
  it in 75 to 79 % of runs.
* Up to 20: the sign-flip test itself, which has few p-values where n is near its floor and then needs up to a quarter
  more. A set F of replicates whose signs are flipped gives a sum at least as large where the sum over F is at most 0.
  An effect e is added to every replicate of simulated runs, and the e is searched at which 80 % of them are found.
  The sets are counted as on a board, from the sums of two halves. The t test in the same runs, whose exact answer is
  known, takes most of the noise out (a ratio control variate). From 17 on a board draws signs, 25 or more beyond the
  level: chance then costs one or two runs in a hundred.
* "Equal": two one-sided t tests at a true difference of 0 (Schuirmann 1987; Phillips 1990).
* Non-inferiority: one one-sided t test at a true difference of 0 (Julious 2004, section 5).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.board.statistics import POWER, student_t_quantile
from harness.suite.plan import needed_replicates

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SIMULATED_UP_TO = 20
AIM = POWER + 0.015
"""What is sought in simulation, so that a promise of 80 % is kept: some thousand runs tell a share to about a point."""
MOST_REPLICATES = 100_000
"""What a suite may ask for at the most (suite/settings)."""
_RUNS = 10_000  # at the most, and fewer where half of a run's replicates has many sets
_SUMS = 2**20  # over the sets of half the replicates, of all runs
_PRECISION = 1e-4
_INTERVALS = 400  # of Simpson's rule


def detectable(deviation: float, n: int, family: int, alpha: float, margin: float = 0.0) -> float:
    """Return the smallest true difference that gets its "better" (or "worse") in 80 % of such plans.

    Args:
        deviation: Standard deviation of the paired differences, in points; the answer is in the same unit.
        n: Replicates.
        family: Arms that are compared with the baseline.
        alpha: Level of the family.
        margin: The smallest difference that counts: what is measured has to reach it as well.

    Returns:
        Infinity where n is less than the test's floor: nothing could ever be significant.
    """
    if n < needed_replicates(family, alpha):
        return math.inf
    if deviation == 0.0:
        return margin
    return deviation * _effect(n, alpha / family, margin / deviation)


def replicates_for(
    difference: float, deviation: float, family: int, alpha: float, margin: float = 0.0
) -> int | None:
    """Return the fewest replicates at which `detectable` is at most `difference`; None above 100,000.

    A true difference of the margin or less is found in no more than half of all plans, whatever their size.
    """
    if deviation == 0.0:
        return needed_replicates(family, alpha) if difference >= margin else None
    return _fewest(
        needed_replicates(family, alpha),
        lambda n: detectable(deviation, n, family, alpha, margin) <= difference,
    )


def replicates_for_equal(margin: float, deviation: float, family: int, alpha: float) -> int | None:
    """Return the fewest replicates at which an arm without effect is called "equal" in 80 % of plans.

    Args:
        margin: What "equal" has to stay within, in points.
        deviation: Of the paired differences, in points.
        family: Arms that are compared with the baseline; each is tested at `alpha` / `family`.
        alpha: Level of the family.

    Returns:
        None where it takes more than 100,000.
    """
    least = needed_replicates(family, alpha)
    if deviation == 0.0:
        return least
    return _fewest(least, lambda n: equal_power(n, alpha / family, margin / deviation) >= POWER)


def replicates_for_non_inferiority(margin: float, deviation: float, family: int, alpha: float) -> int | None:
    """Return the fewest replicates at which an arm without effect is non-inferior in 80 % of plans.

    Arguments and answer are those of `replicates_for_equal`, `margin` being what an arm may lose.
    """
    least = needed_replicates(family, alpha)
    if deviation == 0.0:
        return least
    return _fewest(least, lambda n: non_inferior_power(n, alpha / family, margin / deviation) >= POWER)


def t_power(n: int, tail: float, effect: float, margin: float = 0.0) -> float:
    """Return P(a t test over n pairs finds `effect` on its own side and the mean reaches `margin`).

    Args:
        n: Pairs.
        tail: Level of that side; half the level of a two-sided test.
        effect: True mean difference in units of the deviation.
        margin: In the same unit.
    """
    critical, root = student_t_quantile(tail, n - 1), math.sqrt(n)
    return _over_deviations(n - 1, lambda s: _above(max(critical * s, margin * root) - effect * root))


def equal_power(n: int, level: float, margin: float) -> float:
    """Return P(two one-sided t tests put a true difference of 0 within ± `margin`), in units of the deviation."""
    critical, room = student_t_quantile(level, n - 1), margin * math.sqrt(n)
    return _over_deviations(n - 1, lambda s: max(0.0, 1.0 - 2.0 * _above(room - critical * s)))


def non_inferior_power(n: int, level: float, margin: float) -> float:
    """Return P(a one-sided t test puts a true difference of 0 above - `margin`), in units of the deviation."""
    return t_power(n, level, margin)


def _above(z: float) -> float:
    """Return P(Z > z) for a standard normal Z."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def _over_deviations(degrees: int, found: Callable[[float], float]) -> float:
    """Return the mean of `found(s)` over s, the root of chi squared over its degrees, by Simpson's rule."""
    half = degrees / 2
    constant = math.log(2.0) + half * math.log(half) - math.lgamma(half)
    reach = 9.0 / math.sqrt(2.0 * degrees)
    low, high = max(0.0, 1.0 - reach), 1.0 + reach
    step = (high - low) / _INTERVALS
    total = 0.0
    for index in range(_INTERVALS + 1):
        s = low + index * step
        weight = 1.0 if index in (0, _INTERVALS) else 2.0 + 2.0 * (index % 2)
        if s > 0.0 or degrees == 1:
            log_s = math.log(s) if s > 0.0 else 0.0
            total += weight * math.exp(constant + (degrees - 1) * log_s - half * s * s) * found(s)
    return total * step / 3.0


@lru_cache(maxsize=1024)
def _effect(n: int, level: float, margin: float) -> float:
    """Return the effect, in units of the deviation, that n pairs find in 80 % of runs."""
    if n > SIMULATED_UP_TO:
        return _t_effect(n, level, margin, POWER)
    exact = _t_effect(n, level, margin, AIM)
    import numpy as np

    key = hashlib.blake2b(f"board/power/{n}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    runs = generator.standard_normal((min(_RUNS, _SUMS >> (n + 1) // 2), n))
    reached = margin - runs.mean(1)
    by_t = student_t_quantile(level / 2, n - 1) * runs.std(1, ddof=1) / math.sqrt(n) - runs.mean(1)
    same_runs = float(np.quantile(np.maximum(by_t, reached), AIM))
    # p = 2 sets / 2^n <= level, the empty set being one of them.
    most_sets = int(level * 2**n * (1 + 1e-12)) // 2
    low, high, found = 0.0, 4.0 * same_runs, 0
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        is_found = (_sets_at_most_0(runs + middle) <= most_sets) & (reached <= middle)
        more = int(np.count_nonzero(is_found))
        # What is found at an effect is found at a larger one, and most runs need not be looked at again.
        if found + more >= AIM * len(by_t):
            high, keep = middle, is_found
        else:
            low, found, keep = middle, found + more, ~is_found
        runs, reached = runs[keep], reached[keep]
    return exact * high / same_runs


def _sets_at_most_0(runs: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return, by run, (runs,), of how many sets of its replicates, (runs, n), the sum is at most 0."""
    import numpy as np

    half = runs.shape[1] // 2
    left, right = (
        np.sort(part @ ((np.arange(2**width) >> np.arange(width)[:, None]) & 1), axis=1)
        for part, width in ((runs[:, :half], half), (runs[:, half:], runs.shape[1] - half))
    )
    # One search for all runs: each is moved to a range of its own.
    reach = 1.0 + np.abs(left).max(initial=0.0) + np.abs(right).max(initial=0.0)
    starts = 2.0 * reach * np.arange(len(runs))[:, None]
    places = np.searchsorted((right + starts).ravel(), (starts - left).ravel(), side="right")
    below = np.arange(len(runs)) * right.shape[1] * left.shape[1]
    counts: npt.NDArray[np.intp] = places.reshape(left.shape).sum(axis=1) - below
    return counts


def _t_effect(n: int, level: float, margin: float, share: float) -> float:
    low, high = 0.0, 1.0
    while t_power(n, level / 2, high, margin) < share:
        low, high = high, high * 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if t_power(n, level / 2, middle, margin) < share:
            low = middle
        else:
            high = middle
    return high


def _fewest(least: int, is_enough: Callable[[int], bool]) -> int | None:
    """Return the smallest n from `least` on that is enough; None where even the most that a suite takes is not."""
    high = least
    while not is_enough(high):
        if high >= MOST_REPLICATES:
            return None
        high = min(2 * high, MOST_REPLICATES)
    low = max(least, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return high

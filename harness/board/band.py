"""How many of several A/A copies may come out better or worse before the board is not calibrated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache


def upper_end(groups: Sequence[int], alpha: float) -> int:
    """Return the count of copies beyond which fewer than a share `alpha` of calibrated boards would come.

    Copies of one baseline all lean the way that its own luck leans, so that their count is no binomial: it is one
    given that luck. With normal means and copies that spread as their baseline does, a baseline z standard errors
    off has each of its k copies called different with probability

        r(z) = P(|e - z| > sqrt(2) q),   e standard normal, q its quantile at 1 - alpha / 2,

    and the count is Binomial(k, r(z)), z standard normal (Vasicek's one-factor model with correlation 1/2). Counts
    of several baselines add up.

    Args:
        groups: For each baseline, how many copies it has.
        alpha: At which level each copy is tested.
    """
    chances = [1.0]
    for count in groups:
        chances = _added(chances, _shared_binomial(count, alpha))
    return _end(chances, alpha)


def binomial_end(count: int, alpha: float) -> int:
    """Return the same for copies that had a baseline each: the upper end of the binomial band."""
    return upper_end([1] * count, alpha)


def _end(chances: Sequence[float], alpha: float) -> int:
    beyond = 0.0
    for count in range(len(chances) - 1, 0, -1):
        beyond += chances[count]
        # Numerical integration leaves a trifle: one copy is beyond with probability alpha, and none is the end.
        if beyond > alpha * (1 + 1e-6):
            return count
    return 0


def _added(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return the chances of the sum of two independent counts."""
    total = [0.0] * (len(one) + len(other) - 1)
    for i, left in enumerate(one):
        for j, right in enumerate(other):
            total[i + j] += left * right
    return total


@lru_cache(maxsize=64)
def _shared_binomial(count: int, alpha: float) -> tuple[float, ...]:
    """Return the chances of 0 to `count` copies beyond, over the luck of the baseline that they share."""
    if count == 1:
        return (1 - alpha, alpha)
    from statistics import NormalDist

    normal = NormalDist()
    reach = math.sqrt(2) * normal.inv_cdf(1 - alpha / 2)
    steps, most = 2000, 8.0
    chances = [0.0] * (count + 1)
    total = 0.0
    for step in range(steps + 1):
        z = most * (2 * step / steps - 1)
        weight = normal.pdf(z) * (0.5 if step in (0, steps) else 1.0)
        rate = normal.cdf(-reach - z) + normal.cdf(z - reach)
        total += weight
        for number in range(count + 1):
            chances[number] += (
                weight * math.comb(count, number) * rate**number * (1 - rate) ** (count - number)
            )
    return tuple(chance / total for chance in chances)

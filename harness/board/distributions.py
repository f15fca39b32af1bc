"""Student's t and the normal distribution: tails and quantiles, to the last few bits of a float.

Written out because importing `scipy.special` costs 0.4 s of CPU time after numpy's 0.2 s, while `harness leaderboard`
may take 0.4 s in all; the tests hold every function against `scipy.stats`. Source: Press et al., Numerical Recipes 6.4
(continued fraction).
"""

from __future__ import annotations

import math
from functools import lru_cache


@lru_cache(maxsize=1024)
def normal_quantile(tail: float) -> float:
    """Return the z with P(Z > z) = `tail`, for 0 < `tail` <= 0.5."""
    low, high = 0.0, 40.0
    while low < (middle := (low + high) / 2) < high:
        if 0.5 * math.erfc(middle / math.sqrt(2.0)) > tail:
            low = middle
        else:
            high = middle
    return high


def student_t_tail(t: float, degrees: float) -> float:
    """Return P(T > `t`) for Student's t with `degrees` degrees of freedom, whole or not."""
    near = t * t / (degrees + t * t)
    half = 0.5 * _incomplete_beta(degrees / (degrees + t * t), near, degrees / 2, 0.5)
    return half if t >= 0 else 1.0 - half


@lru_cache(maxsize=1024)
def student_t_quantile(tail: float, degrees: float) -> float:
    """Return the t with P(T > t) = `tail`, for 0 < `tail` <= 0.5, by bisection down to neighbouring floats."""
    low, high = 0.0, 1.0
    while student_t_tail(high, degrees) > tail:
        low, high = high, high * 2
    while low < (middle := (low + high) / 2) < high:
        if student_t_tail(middle, degrees) > tail:
            low = middle
        else:
            high = middle
    return high


def _incomplete_beta(x: float, complement: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b); `complement` is 1 - x without cancellation."""
    if x <= 0.0:
        return 0.0
    if complement <= 0.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(complement)
    )
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1.0 - front * _beta_fraction(complement, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of I_x(a, b) by Lentz's method; 1e-300 stands in for a zero divisor."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / ((1.0 - (a + b) * x / (a + 1)) or tiny)
    fraction = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1.0 + numerator * d) or tiny)
            c = (1.0 + numerator / c) or tiny
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return fraction

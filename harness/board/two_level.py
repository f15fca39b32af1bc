"""How far an accuracy would move with other seeds and with other test examples: both are a sample.

The t interval over replicates speaks of this test set alone. Here seeds i and examples j are crossed random effects,
Y_ij = mu + a_i + b_j + e_ij, of which every replicate's stored correctness gives one row. With the mean squares of the
two-way table without repetition (Searle, Casella and McCulloch, Variance Components, 1992, section 4.7),

    Var(mean) = (MS_seeds + max(MS_examples - MS_rest, 0)) / (n m),

with Satterthwaite's degrees of freedom (1946), but never fewer than the n - 1 of MS_seeds; the positive part and that
bound are Hillis's (Statistics in Medicine 26, 2007, 596), from the same design with readers for seeds and patients for
examples. Where the positive part is 0, the sum is MS_seeds alone; its mean squares that cancel would take the degrees
far below 1 and the interval beyond any accuracy, while n - 1 keep the level (a test holds it for 3, 5 and 10 seeds).
Two seeds give one degree of freedom, and a spread that is 0 by luck alone: they have no interval.
A difference has Y_ij in {-1, 0, 1}.

Correctness is kept as bits, and counted as bits of whole Python numbers: 10,000 examples take a few microseconds a
replicate, and numpy is not needed. All sums are whole numbers, so nothing depends on an order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.distributions import student_t_quantile
from harness.board.select import ArmTrials
from harness.record.attempt import Attempt

Json = dict[str, Any]

FEWEST = 3
"""Replicates from which there is an interval."""


def two_level_of(
    trials: Mapping[str, ArmTrials], against: Mapping[str, str], alpha: float, share: float
) -> dict[str, tuple[Json | None, Json | None]]:
    """Return by arm the interval of its accuracy and that of its difference from its baseline, in points.

    Args:
        trials: By arm.
        against: By arm, what it is compared with; a baseline names itself.
        alpha: Level of an arm's interval.
        share: Level of a difference's, which is simultaneous over the family.

    Returns:
        `{low, high, seeds, examples}` each; None where a replicate that counts failed or holds no correctness, for
        fewer than three, and where replicates differ by example but the variance of their mean comes out as 0.
    """
    # A baseline is met once for each arm: its columns are added up once for each set of replicates. Other arms are
    # let go of after their turn: a hundred thousand replicates would take as many kilobytes and more.
    bases = {base: _masks(trials[base]) for base in set(against.values()) if base in trials}
    columns: dict[tuple[str, tuple[int, ...]], list[int]] = {}

    def rows_and_columns(
        arm: str, known: Mapping[int, int], replicates: tuple[int, ...]
    ) -> tuple[list[int], list[int]]:
        rows = [known[replicate] for replicate in replicates]
        if (arm, replicates) not in columns:
            columns[arm, replicates] = column_counts(rows)
        return rows, columns[arm, replicates]

    found = {}
    for arm in trials:
        columns = {key: value for key, value in columns.items() if key[0] in bases}
        examples, own = bases[arm] if arm in bases else _masks(trials[arm])
        single = difference = None
        if len(own) >= FEWEST:
            rows, totals = rows_and_columns(arm, own, tuple(sorted(own)))
            sums = [row.bit_count() for row in rows]
            single = _interval(sums, _products(totals, totals), sum(sums), examples, alpha)
        base = against[arm]
        if base != arm and base in bases and bases[base][0] == examples:
            theirs, changed = bases[base][1], trials[arm].changed | trials[base].changed
            pairs = tuple(
                replicate for replicate in sorted(own.keys() & theirs.keys()) if replicate not in changed
            )
            if len(pairs) >= FEWEST:
                difference = _difference(
                    rows_and_columns(arm, own, pairs), rows_and_columns(base, theirs, pairs), examples, share
                )
        found[arm] = (single, difference)
    return found


def _difference(
    own: tuple[list[int], list[int]], other: tuple[list[int], list[int]], examples: int, alpha: float
) -> Json | None:
    (rows, totals), (base_rows, base_totals) = own, other
    pairs = list(zip(rows, base_rows, strict=True))
    squares = (
        _products(totals, totals) - 2 * _products(totals, base_totals) + _products(base_totals, base_totals)
    )
    return _interval(
        [row.bit_count() - base.bit_count() for row, base in pairs],
        squares,
        sum((row ^ base).bit_count() for row, base in pairs),
        examples,
        alpha,
    )


def _interval(rows: Sequence[int], column_squares: int, squares: int, m: int, alpha: float) -> Json | None:
    """Return the interval of the mean of a table of whole numbers, times 100; None where it would have no width.

    A table whose rows are all alike (an arm that changes nothing) has one of width 0 where its columns are, too.

    Args:
        rows: The sum of each row.
        column_squares: The sum over columns of the square of a column's sum.
        squares: The sum of all squares.
        m: How many columns.
        alpha: Level.
    """
    n, total = len(rows), sum(rows)
    # Sums of squares, each times n m, in whole numbers.
    by_seed = n * sum(row * row for row in rows) - total * total
    by_example = m * column_squares - total * total
    rest = n * m * squares - total * total - by_seed - by_example
    degrees = (n - 1, m - 1, (n - 1) * (m - 1))
    seeds, examples, error = (
        one / (n * m) / df for one, df in zip((by_seed, by_example, rest), degrees, strict=True)
    )
    summed = seeds + max(examples - error, 0.0)
    mean, half = total / (n * m), 0.0
    if summed > 0.0:
        spread = sum(one * one / df for one, df in zip((seeds, examples, error), degrees, strict=True))
        satterthwaite = max(n - 1.0, summed * summed / spread)
        half = student_t_quantile(alpha / 2, satterthwaite) * math.sqrt(summed / (n * m))
    elif rest > 0:
        return None
    return {"low": 100 * (mean - half), "high": 100 * (mean + half), "seeds": n, "examples": m}


def column_counts(rows: Sequence[int]) -> list[int]:
    """Return how many `rows` have each bit set, as binary digits: the k-th number holds every column's digit of 2^k."""
    digits: list[int] = []
    for row in rows:
        carry, place = row, 0
        while carry:
            if place == len(digits):
                digits.append(0)
            digits[place], carry = digits[place] ^ carry, digits[place] & carry
            place += 1
    return digits


def _products(counts: Sequence[int], others: Sequence[int]) -> int:
    """Return the sum over columns of one count times the other."""
    return sum(
        (one & other).bit_count() << (place + other_place)
        for place, one in enumerate(counts)
        for other_place, other in enumerate(others)
    )


def _masks(trials: ArmTrials) -> tuple[int, dict[int, int]]:
    """Return how many test examples there are, and each replicate's correctness as the bits of one number."""
    found: dict[int, int] = {}
    counts = {one.test_count for one in trials.good.values()}
    if len(counts) != 1 or len(trials.good) < len(trials.counted):
        return 0, {}
    for replicate, one in trials.good.items():
        mask = _mask(one)
        if mask is None:
            return 0, {}
        found[replicate] = mask
    return counts.pop(), found


def _mask(attempt: Attempt) -> int | None:
    """Return an attempt's correctness; None where it is torn or at odds with the accuracy."""
    bits, count, top1 = attempt.correct, attempt.test_count, attempt.top1
    if bits is None or count < 2 or top1 is None or len(bits) != (count + 7) // 8:
        return None
    mask = int.from_bytes(bits, "big")
    return mask if abs(100.0 * mask.bit_count() / count - top1) < 1e-4 else None

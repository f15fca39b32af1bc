"""How far an accuracy would move with other seeds and with other test examples: both are a sample.

The t interval over replicates speaks of this test set alone. Here seeds i and examples j are crossed random effects,
Y_ij = mu + a_i + b_j + e_ij, of which every replicate's stored correctness gives one row. With the mean squares of the
two-way table without repetition (Searle, Casella and McCulloch, Variance Components, 1992, section 4.7),

    Var(mean) = (MS_seeds + max(MS_examples - MS_rest, 0)) / (n m),
    h^2 = (t_{n-1}^2 MS_seeds + t_{m-1}^2 max(MS_examples - MS_rest, 0)) / (n m).

h joins the half-widths of two intervals, over seeds and over examples, each with Student's t of its own degrees of
freedom (MOVER; Zou and Donner, Statistics in Medicine 27, 2008, 1693); where the second part is 0, it is that of the t
interval over replicates. One quantile for both, by Satterthwaite's degrees, is narrower by a quarter at 3 seeds and by
a tenth at 5, but at 3 it misses 7.8 % at a level of 5 % and 2.5 % at 0.5 %, which is what one of ten arms gets.

* A difference has Y_ij in {-1, 0, 1}, and the limits mean - h and mean + h.
* An accuracy p has Wilson's limits (1927), (p - q)^2 = q (1 - q) z^2 / count, solved for q, with p (1 - p) / h^2 for
  count / z^2: an effective number of examples, as for samples in clusters (Korn and Graubard, Survey Methodology 24,
  1998, 193). In the middle they lie h^2 (1/2 - p) / (p (1 - p)) nearer to one half than p - h and p + h. Near 100 %
  those would miss up to half of all true accuracies, and reach beyond 100 %: a test set with hardly a mistake shows
  hardly a spread. For the same reason no effective number is above m, which is what counts where nothing varies.

Two seeds give one degree of freedom, and a spread that is 0 by luck alone: they have no interval.

Correctness is kept and counted as bits (`bits`). All sums are whole numbers, so nothing depends on an order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import sub
from typing import Any

from harness.board.bits import Bits, bits_of, column_counts, hits_of, products, taking, unlike
from harness.board.distributions import student_t_quantile
from harness.board.select import ArmTrials
from harness.record.packed import rows_of

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
        fewer than three, and for a difference whose replicates differ by example, but not in their mean.
    """
    # A baseline is met once for each arm: its columns are added up once for each set of replicates. Other arms are
    # let go of after their turn: a hundred thousand replicates would take as many kilobytes and more.
    bases = {base: _tested(trials[base]) for base in set(against.values()) if base in trials}
    columns: dict[tuple[str, tuple[int, ...]], tuple[list[int], int]] = {}

    def counts_of(arm: str, bits: Bits, replicates: Sequence[int]) -> tuple[list[int], int]:
        """Return the columns' counts, and the sum of their squares."""
        if (key := (arm, tuple(replicates))) not in columns:
            counts = column_counts(bits)
            columns[key] = counts, products(counts, counts)
        return columns[key]

    found = {}
    for arm in trials:
        columns = {key: value for key, value in columns.items() if key[0] in bases}
        own = bases[arm] if arm in bases else _tested(trials[arm])
        single = difference = None
        if len(own.replicates) >= FEWEST:
            _, squares = counts_of(arm, own.bits, own.replicates)
            single = _accuracy(_parts(own.hits, squares, sum(own.hits), own.examples), alpha)
        base = against[arm]
        if base != arm and base in bases and bases[base].examples == own.examples:
            without = trials[arm].changed | trials[base].changed
            pairs = sorted(set(own.replicates).intersection(bases[base].replicates) - without)
            if len(pairs) >= FEWEST:
                one, two = own.taking(pairs), bases[base].taking(pairs)
                counts, squares = counts_of(arm, one.bits, pairs)
                base_counts, base_squares = counts_of(base, two.bits, pairs)
                apart = squares - 2 * products(counts, base_counts) + base_squares
                gaps = list(map(sub, one.hits, two.hits))
                parts = _parts(gaps, apart, unlike(one.bits, two.bits), own.examples)
                difference = _difference(parts, share)
        found[arm] = (single, difference)
    return found


def _difference(parts: _Parts, alpha: float) -> Json | None:
    half = parts.half_width(alpha)
    if half == 0.0 and parts.rest > 0.0:
        return None
    return _told(max(-1.0, parts.mean - half), min(1.0, parts.mean + half), parts)


def _accuracy(parts: _Parts, alpha: float) -> Json:
    """Return Wilson's limits, by the number of examples that would vary as much."""
    p, least = parts.mean, student_t_quantile(alpha / 2, parts.m - 1) ** 2 / parts.m
    # z^2 / count; a mean of 0 or 1 leaves no half-width.
    share = max(least, parts.half_width(alpha) ** 2 / (p * (1.0 - p))) if 0.0 < p < 1.0 else least
    centre = (p + share / 2) / (1.0 + share)
    half = math.sqrt(share * (p * (1.0 - p) + share / 4)) / (1.0 + share)
    # At 0 and 1 the nearer limit is p itself, but for rounding.
    return _told(max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), parts)


def _told(low: float, high: float, parts: _Parts) -> Json:
    return {"low": 100 * low, "high": 100 * high, "seeds": parts.n, "examples": parts.m}


@dataclass(frozen=True, slots=True)
class _Parts:
    """The mean of a table of `n` seeds by `m` examples, and what its variance is made of.

    Attributes:
        n: How many rows.
        m: How many columns.
        mean: Of all cells.
        seeds: MS_seeds / (n m).
        examples: max(MS_examples - MS_rest, 0) / (n m).
        rest: MS_rest / (n m).
    """

    n: int
    m: int
    mean: float
    seeds: float
    examples: float
    rest: float

    def half_width(self, alpha: float) -> float:
        """Return h at level 1 - `alpha`."""
        by_seed, by_example = (student_t_quantile(alpha / 2, count - 1) for count in (self.n, self.m))
        return math.sqrt(by_seed**2 * self.seeds + by_example**2 * self.examples)


def _parts(rows: Sequence[int], column_squares: int, squares: int, m: int) -> _Parts:
    """Return the analysis of variance of a table of whole numbers.

    Args:
        rows: The sum of each row.
        column_squares: The sum over columns of the square of a column's sum.
        squares: The sum of all squares.
        m: How many columns.
    """
    n, total = len(rows), sum(rows)
    # Sums of squares, each times n m, in whole numbers.
    by_seed = n * sum(row * row for row in rows) - total * total
    by_example = m * column_squares - total * total
    rest = n * m * squares - total * total - by_seed - by_example
    degrees = (n - 1, m - 1, (n - 1) * (m - 1))
    seeds, examples, error = (
        one / (n * m) ** 2 / df for one, df in zip((by_seed, by_example, rest), degrees, strict=True)
    )
    return _Parts(n, m, total / (n * m), seeds, max(examples - error, 0.0), error)


@dataclass(frozen=True, slots=True)
class _Tested:
    """What an arm got right.

    Attributes:
        examples: How many test examples there are.
        replicates: Of the rows, ascending.
        bits: Which examples were right, a replicate a row.
        hits: How many, by row.
    """

    examples: int = 0
    replicates: Sequence[int] = ()
    bits: Bits = ()
    hits: Sequence[int] = ()

    def taking(self, replicates: Sequence[int]) -> _Tested:
        if len(replicates) == len(self.replicates):  # nearly always
            return self
        place_of = {replicate: place for place, replicate in enumerate(self.replicates)}
        places = [place_of[replicate] for replicate in replicates]
        return _Tested(
            self.examples, replicates, taking(self.bits, places), [self.hits[place] for place in places]
        )


def _tested(trials: ArmTrials) -> _Tested:
    """Return what an arm got right; nothing where a replicate's correctness is absent, torn or not its accuracy."""
    top1 = trials.accuracies
    if len(trials.test_counts) != 1 or len(top1) < len(trials.counted):
        return _Tested()
    (count,) = trials.test_counts
    rows = rows_of(trials.runs, "correct")
    if count < 2 or set(rows.lengths) != {(count + 7) // 8}:
        return _Tested()
    hits = hits_of(bits := bits_of(rows.data, len(top1)))
    if any(abs(100.0 * own / count - one) >= 1e-4 for own, one in zip(hits, top1, strict=True)):
        return _Tested()
    return _Tested(count, list(trials.good), bits, hits)

"""Whether groups of runs differ: a permutation test whose unit is the replicate.

The arms of a replicate share their data order and their starting weights, and so part of their luck. Exchanging
single runs between groups would count that luck once for each arm; whole replicates are exchanged in its place.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.board.statistics import TIE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Cell = tuple[str, int]
Cells = dict[Cell, float]
"""By arm and replicate (or round)."""

EXACT_UP_TO = 10_000
"""Orders up to which all are gone through: seven replicates in any groups, fourteen in two clean halves."""
DRAWS = 1999
"""Orders that are drawn beyond that: enough to tell one in a hundred from two in a hundred."""
LEVEL = 0.01
"""At which level groups differ (PROTOCOL.md)."""
DRAWN_UP_TO = 150
"""Replicates up to which the orders are drawn without numpy."""
PYTHON_UP_TO = 300_000
"""Additions up to which importing numpy takes longer than doing without."""


@dataclass(frozen=True, slots=True)
class Split:
    """Runs in groups.

    Attributes:
        groups: By name, in order of the names: how many runs, and their mean residual.
        p: Of the hypothesis that the groups do not differ; None where there is nothing to test.
        least: The smallest p that so few replicates in such groups could have given.
        reason: Why there is no p, or why it could not have been small; else empty.
    """

    groups: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    p: float | None = None
    least: float | None = None
    reason: str = ""


def split_p(residuals: Cells, labels: Mapping[Cell, str], key: str, *, by_row: bool = False) -> Split:
    """Return whether groups of runs differ in their residuals.

    The columns of the table arm x replicate are drawn alike and independently where nothing but the replicate's
    number tells them apart, and taking each arm's mean off leaves them exchangeable. So under the hypothesis every
    order of the columns below the labels, which stay, is equally likely, whatever the labels are and however the
    arms of a replicate hang together: the test is exact (Fisher 1935; Lehmann and Romano, Testing Statistical
    Hypotheses, 15.2). Its statistic is the sum over groups of n_g (mean_g)^2, the between-group sum of squares.
    Up to 10,000 orders that differ are all counted; beyond, 1,999 are drawn under `key`, and the one that was seen
    counts as one more (Phipson and Smyth 2010).

    Args:
        residuals: By arm and replicate, less the arm's mean; in an order of the caller's that does not hang on the
            records'.
        labels: By arm and replicate, the group; runs without one take no part.
        key: Of the drawn orders.
        by_row: Whether each arm's groups are compared apart, and the sums of squares added: for residuals that add
            up to nothing within each replicate.
    """
    cells = [cell for cell in residuals if cell in labels]
    members: dict[str, list[float]] = {}
    for cell in cells:
        members.setdefault(labels[cell], []).append(residuals[cell])
    groups = {
        name: (len(values), math.fsum(values) / len(values)) for name, values in sorted(members.items())
    }
    columns = sorted({replicate for _, replicate in cells})
    if len(groups) < 2:
        return Split(groups)
    if len(columns) < 2:
        return Split(groups, reason="not tested: one replicate")
    if not any(residuals[cell] for cell in cells):
        return Split(groups, reason="not tested: no run differs from its arm's mean")
    patterns = _patterns(labels, cells, columns)
    kinds = Counter(patterns)
    is_exact = math.factorial(len(columns)) <= EXACT_UP_TO * math.prod(map(math.factorial, kinds.values()))
    table = _Table(residuals, labels, cells, columns, by_row)
    # What was seen comes last: among all orders it stands once more, and is not counted.
    if is_exact:
        found = _statistics(table, [*_all_orders(kinds, len(columns)), patterns])
    elif len(columns) > DRAWN_UP_TO:
        found = _large_statistics(table, _many_orders(patterns, key))
    else:
        found = _statistics(table, [*_drawn_orders(patterns, key), patterns])
    counted = found[:-1] if is_exact else found
    p, least = (_share(counted, value) for value in (found[-1], max(found)))
    reason = (
        f"with {len(columns)} replicates in these groups no p is below {least:.2g}" if least > LEVEL else ""
    )
    return Split(groups, p, least, reason)


def _share(found: Sequence[float], seen: float) -> float:
    # Equal sums of squares, added in another order, may differ in their last bits.
    return sum(1 for value in found if value >= seen * (1 - TIE)) / len(found)


def _patterns(labels: Mapping[Cell, str], cells: Sequence[Cell], columns: Sequence[int]) -> list[int]:
    """Return, for each column, the first place whose labels are the same as its own: exchanging those does nothing."""
    of_column: dict[int, list[tuple[str, str]]] = {replicate: [] for replicate in columns}
    for arm, replicate in cells:
        of_column[replicate].append((arm, labels[arm, replicate]))
    first: dict[tuple[tuple[str, str], ...], int] = {}
    return [first.setdefault(tuple(of_column[replicate]), place) for place, replicate in enumerate(columns)]


def _all_orders(kinds: Mapping[int, int], count: int) -> Iterator[list[int]]:
    """Yield every way of dealing the places to the columns, places of one kind being the same."""
    left, dealt = dict(kinds), [0] * count

    def deal(column: int) -> Iterator[list[int]]:
        if column == count:
            yield list(dealt)
            return
        for kind in left:
            if left[kind]:
                left[kind] -= 1
                dealt[column] = kind
                yield from deal(column + 1)
                left[kind] += 1

    yield from deal(0)


def _drawn_orders(patterns: Sequence[int], key: str) -> Iterator[list[int]]:
    # `random()` alone is promised to give the same numbers in every version of Python; `shuffle` is not.
    draw = random.Random(f"board/split/{key}").random
    for _ in range(DRAWS):
        numbers = [draw() for _ in patterns]
        yield [patterns[place] for place in sorted(range(len(patterns)), key=numbers.__getitem__)]


def _many_orders(patterns: Sequence[int], key: str) -> npt.NDArray[np.intp]:
    """Return the orders of `_drawn_orders` from the same numbers, and below them `patterns`: (DRAWS + 1, width).

    numpy's Mersenne Twister in Python's state draws Python's numbers (a test holds it).
    """
    import numpy as np

    twister = np.random.RandomState()
    *words, place = random.Random(f"board/split/{key}").getstate()[1]
    twister.set_state(("MT19937", np.array(words, np.uint32), place, 0, 0.0))
    own = np.array(patterns, np.intp)
    dealt = (own[np.argsort(twister.random_sample(len(own)), kind="stable")] for _ in range(DRAWS))
    return np.stack([*dealt, own])


@dataclass(frozen=True, slots=True)
class _Table:
    """Residuals and labels as `split_p` was given them, `cells` and `columns` in order."""

    residuals: Cells
    labels: Mapping[Cell, str]
    cells: Sequence[Cell]
    columns: Sequence[int]
    by_row: bool

    def rows(self) -> dict[str, list[float]]:
        """Return the residuals of each arm by column; a run that is missing stands for its arm's mean."""
        arms = dict.fromkeys(arm for arm, _ in self.cells)
        return {arm: [self.residuals.get((arm, column), 0.0) for column in self.columns] for arm in arms}

    def groups(self) -> list[list[tuple[str, int]]]:
        """Return the groups that are compared, each as arms with the places at which they have its label."""
        place = {replicate: number for number, replicate in enumerate(self.columns)}
        groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for arm, replicate in self.cells:
            key = (self.labels[arm, replicate], arm if self.by_row else "")
            groups.setdefault(key, []).append((arm, place[replicate]))
        return list(groups.values())


def _statistics(table: _Table, orders: Sequence[Sequence[int]]) -> list[float]:
    """Return the between-group sum of squares for each order: by column, the place whose labels it gets."""
    rows, groups, width = table.rows(), table.groups(), len(table.columns)
    totals = [0.0] * len(orders)
    if len(table.cells) * width + len(groups) * len(orders) * width > PYTHON_UP_TO:
        return _large_statistics(table, orders)
    for members in groups:
        # By place and column: what the group's arms at that place add up to where that column is put there.
        sums = [[0.0] * width for _ in range(width)]
        for arm, place in members:
            sums[place] = [total + value for total, value in zip(sums[place], rows[arm], strict=True)]
        for number, order in enumerate(orders):
            total = sum(sums[place][column] for column, place in enumerate(order))
            totals[number] += total * total / len(members)
    return totals


def _large_statistics(table: _Table, orders: Sequence[Sequence[int]] | npt.NDArray[np.intp]) -> list[float]:
    """Return the same by numpy, which only many runs are worth."""
    import numpy as np

    rows, groups, width = table.rows(), table.groups(), len(table.columns)
    index = {arm: number for number, arm in enumerate(rows)}
    residuals = np.array(list(rows.values()), np.float64)
    dealt, columns = np.asarray(orders, np.intp), np.arange(width)
    totals = np.zeros(len(orders))
    for members in groups:
        arms = sorted({index[arm] for arm, _ in members})
        place_of_arm = {arm: number for number, arm in enumerate(arms)}
        has = np.zeros((len(arms), width))
        for arm, place in members:
            has[place_of_arm[index[arm]], place] = 1.0
        sums = has.T @ residuals[arms]
        totals += sums[dealt, columns].sum(axis=1) ** 2 / len(members)
    found: list[float] = totals.tolist()
    return found

"""Whether groups of runs differ: a permutation test whose unit is the replicate.

The arms of a replicate share their data order and their starting weights, and so part of their luck. Exchanging
single runs between groups would count that luck once for each arm; whole replicates are exchanged in its place.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
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

_WHOLE = ("there is no replicate in which", "there is one replicate alone in which")


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

    Replicates that lack a run of any arm take no part (`whole_columns`). A run that is not there would have to be
    filled in; a filled one varies less than the others, the columns are no longer alike, and a test at .01 would
    call 4 to 8 in a hundred tables different where a fifth of the runs or more is missing.

    Args:
        residuals: By arm and replicate, less the arm's mean; in an order of the caller's that does not hang on the
            records'.
        labels: By arm and replicate, the group; runs without one take no part.
        key: Of the drawn orders.
        by_row: Whether each arm's groups are compared apart, and the sums of squares added: for residuals that add
            up to nothing within each replicate.
    """
    if residuals and len(labels) == len(residuals) and len(names := set(labels.values())) == 1:
        values = [residuals[cell] for cell in labels]
        return Split({names.pop(): (len(values), math.fsum(values) / len(values))})
    whole = set(whole_columns(residuals))
    if residuals and len(whole) < 2:
        return Split(reason=f"not tested: {_WHOLE[len(whole)]} every arm has a run")
    if len(residuals) > len(whole) * len({arm for arm, _ in residuals}):
        residuals = {cell: value for cell, value in residuals.items() if cell[1] in whole}
    table = _table(residuals, labels, by_row=by_row)
    groups = table.groups()
    if len(groups) < 2:
        return Split(groups)
    if table.width < 2:
        return Split(groups, reason="not tested: one replicate")
    if not any(map(any, table.values)):
        return Split(groups, reason="not tested: no run differs from its arm's mean")
    patterns = table.patterns()
    kinds = Counter(patterns)
    is_exact = math.factorial(table.width) <= EXACT_UP_TO * math.prod(map(math.factorial, kinds.values()))
    # What was seen comes last: among all orders it stands once more, and is not counted.
    if is_exact:
        found = _statistics(table, [*_all_orders(kinds, table.width), patterns])
    elif table.width > DRAWN_UP_TO:
        found = _large_statistics(table, _many_orders(patterns, key))
    else:
        found = _statistics(table, [*_drawn_orders(patterns, key), patterns])
    counted = found[:-1] if is_exact else found
    p, least = (_share(counted, value) for value in (found[-1], max(found)))
    reason = (
        f"with {table.width} replicates in these groups no p is below {least:.2g}" if least > LEVEL else ""
    )
    return Split(groups, p, least, reason)


def whole_columns(cells: Iterable[Cell]) -> list[int]:
    """Return the replicates (or rounds) in which every arm that has any run has one, ascending."""
    pairs = list(cells)
    arms, counts = len({arm for arm, _ in pairs}), Counter(column for _, column in pairs)
    return sorted(column for column, count in counts.items() if count == arms)


def _share(found: Sequence[float], seen: float) -> float:
    # Equal sums of squares, added in another order, may differ in their last bits.
    return sum(1 for value in found if value >= seen * (1 - TIE)) / len(found)


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

    own = np.array(patterns, np.intp)
    return np.concatenate([own[_many_deals(len(patterns), key)], own[None]])


@lru_cache(maxsize=1)
def _many_deals(width: int, key: str) -> npt.NDArray[np.intp]:
    """Return by order the place that is dealt to each column: (DRAWS, width), for all splits of one board."""
    import numpy as np

    twister = np.random.RandomState()
    *words, place = random.Random(f"board/split/{key}").getstate()[1]
    twister.set_state(("MT19937", np.array(words, np.uint32), place, 0, 0.0))
    return np.argsort(twister.random_sample((DRAWS, width)), axis=1)


@dataclass(frozen=True, slots=True)
class _Table:
    """Arms by replicates: `values` are residuals, `codes` place a run's label among `names`, -1 being none."""

    values: Sequence[Sequence[float]]
    codes: Sequence[Sequence[int]]
    names: Sequence[str]
    width: int
    by_row: bool

    def groups(self) -> dict[str, tuple[int, float]]:
        """Return by name how many runs a group has, and their mean."""
        found = {}
        for code, name in enumerate(self.names):
            rows = zip(self.values, self.codes, strict=True)
            own = [value for row in rows for value, label in zip(*row, strict=True) if label == code]
            found[name] = (len(own), math.fsum(own) / len(own))
        return found

    def patterns(self) -> list[int]:
        """Return by column the first with labels like its own: exchanging those two does nothing."""
        first: dict[tuple[int, ...], int] = {}
        return [first.setdefault(codes, place) for place, codes in enumerate(zip(*self.codes, strict=True))]

    def compared(self) -> Iterator[tuple[Sequence[int], int]]:
        """Yield the groups whose sums of squares are added: the arms that they span, and their label's code."""
        arms = range(len(self.values))
        for span in ([arm] for arm in arms) if self.by_row else [arms]:
            yield from ((span, code) for code in range(len(self.names)))


def _table(residuals: Cells, labels: Mapping[Cell, str], *, by_row: bool) -> _Table:
    """Return the arms and replicates that have a labelled run; every arm has a run in every replicate."""
    cells = [cell for cell in residuals if cell in labels]
    arms, columns = list(dict.fromkeys(arm for arm, _ in cells)), sorted({column for _, column in cells})
    names = sorted({labels[cell] for cell in cells})
    code_of = {name: code for code, name in enumerate(names)}
    told = {cell: code_of[labels[cell]] for cell in cells}
    values = [[residuals[arm, column] for column in columns] for arm in arms]
    codes = [[told.get((arm, column), -1) for column in columns] for arm in arms]
    return _Table(values, codes, names, len(columns), by_row)


def _statistics(table: _Table, orders: Sequence[Sequence[int]]) -> list[float]:
    """Return the between-group sum of squares for each order: by column, the place whose labels it gets."""
    compared, width = list(table.compared()), table.width
    totals = [0.0] * len(orders)
    if width * (len(table.values) * width + len(compared) * len(orders)) > PYTHON_UP_TO:
        return _large_statistics(table, orders)
    for span, code in compared:
        # By place and column: what the group's arms at that place add up to where that column is put there.
        sums = [[0.0] * width for _ in range(width)]
        count = 0
        for arm in span:
            for place in (place for place, own in enumerate(table.codes[arm]) if own == code):
                sums[place] = [
                    total + value for total, value in zip(sums[place], table.values[arm], strict=True)
                ]
                count += 1
        for number, order in enumerate(orders if count else ()):
            total = sum(sums[place][column] for column, place in enumerate(order))
            totals[number] += total * total / count
    return totals


def _large_statistics(table: _Table, orders: Sequence[Sequence[int]] | npt.NDArray[np.intp]) -> list[float]:
    """Return the same by numpy, which only many runs are worth."""
    import numpy as np

    values, codes, dealt = np.array(table.values), np.array(table.codes), np.asarray(orders, np.intp)
    places = np.unique(dealt[-1])
    number_of = np.zeros(table.width, np.intp)
    number_of[places] = np.arange(len(places))
    # By column and order, where in `sums` that column's sum at that place lies: column after column, so that what is
    # looked up lies close together.
    lies_at = np.arange(table.width)[:, None] * len(places) + np.ascontiguousarray(number_of[dealt].T)
    totals = np.zeros(len(dealt))
    for span, code in table.compared():
        has = codes[span] == code
        if has.any():
            sums = values[span].T @ has[:, places].astype(np.float64)
            totals += sums.take(lies_at).sum(axis=0) ** 2 / np.count_nonzero(has)
    found: list[float] = totals.tolist()
    return found

"""Whether groups of runs differ: a permutation test whose unit is the replicate.

The arms of a replicate share their data order and their starting weights, and so part of their luck. Exchanging
single runs between groups would count that luck once for each arm; whole replicates are exchanged in its place.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.board.statistics import TIE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Cells = Mapping[str, Mapping[int, float]]
"""By arm, then by replicate (or round)."""
Labels = Mapping[str, Mapping[int, str]]

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
AT_ONCE = 1 << 19
"""Numbers that numpy is handed at once: what it makes of them stays in the processor's cache."""

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


def split_p(residuals: Cells, labels: Labels, key: str, *, by_row: bool = False) -> Split:
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
    names = {name for own in labels.values() for name in own.values()}
    if len(names) == 1 and _size(labels) == _size(residuals):
        values = [residuals[arm][column] for arm, own in labels.items() for column in own]
        return Split({names.pop(): (len(values), math.fsum(values) / len(values))})
    whole = whole_columns(residuals)
    if _size(residuals) and len(whole) < 2:
        return Split(reason=f"not tested: {_WHOLE[len(whole)]} every arm has a run")
    table = _table(residuals, labels, whole, by_row=by_row)
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
        found = _large_statistics(table, patterns, _many_deals(table.width, key))
    else:
        found = _statistics(table, [*_drawn_orders(patterns, key), patterns])
    counted = found[:-1] if is_exact else found
    p, least = (_share(counted, value) for value in (found[-1], max(found)))
    reason = (
        f"with {table.width} replicates in these groups no p is below {least:.2g}" if least > LEVEL else ""
    )
    return Split(groups, p, least, reason)


def whole_columns(cells: Mapping[str, Iterable[int]]) -> list[int]:
    """Return the replicates (or rounds) in which every arm that has any run has one, ascending."""
    columns = [set(own) for own in cells.values()]
    return sorted(set.intersection(*filter(None, columns))) if any(columns) else []


def _size(cells: Mapping[str, Mapping[int, Any]]) -> int:
    return sum(map(len, cells.values()))


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


@lru_cache(maxsize=1)
def _many_deals(width: int, key: str) -> npt.NDArray[np.int32]:
    """Return by order and column the place that is dealt to it; last what was seen: (DRAWS + 1, width).

    One for all splits of a board. numpy promises that `RandomState` draws the same in every version.
    """
    import numpy as np

    seed = hashlib.blake2b(f"board/split/{key}".encode(), digest_size=16).digest()
    draw = np.random.RandomState(np.frombuffer(seed, "<u4"))
    found = np.tile(np.arange(width, dtype=np.int32), (DRAWS + 1, 1))
    for order in found[:-1]:
        draw.shuffle(order)
    return found


def _in_parts(rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Return some rows at a time, as many as have `AT_ONCE` numbers."""
    count = max(1, AT_ONCE // rows.shape[1])
    return (rows[start : start + count] for start in range(0, len(rows), count))


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

    def spans(self) -> list[Sequence[int]]:
        """Return the arms whose groups are looked at together; the sums of squares of all spans are added."""
        arms = range(len(self.values))
        return [[arm] for arm in arms] if self.by_row else [arms]

    def compared(self) -> list[tuple[Sequence[int], int]]:
        """Return the groups whose sums of squares are added: the arms that they span, and their label's code."""
        return [(span, code) for span in self.spans() for code in range(len(self.names))]


def _table(residuals: Cells, labels: Labels, whole: Sequence[int], *, by_row: bool) -> _Table:
    """Return the arms and the whole replicates that have a labelled run; every arm has a run in each of these."""
    told = {arm: own for arm in residuals if (own := labels.get(arm)) and not own.keys().isdisjoint(whole)}
    labelled = set().union(*told.values())
    columns = [column for column in whole if column in labelled]
    names = sorted({own[column] for own in told.values() for column in columns if column in own})
    code_of: dict[str | None, int] = {None: -1, **{name: code for code, name in enumerate(names)}}
    values = [[own[column] for column in columns] for own in map(residuals.__getitem__, told)]
    codes = [[code_of[label] for label in map(own.get, columns)] for own in told.values()]
    return _Table(values, codes, names, len(columns), by_row)


def _statistics(table: _Table, orders: Sequence[Sequence[int]]) -> list[float]:
    """Return the between-group sum of squares for each order: by column, the place whose labels it gets."""
    compared, width = table.compared(), table.width
    totals = [0.0] * len(orders)
    if width * (len(table.values) * width + len(compared) * len(orders)) > PYTHON_UP_TO:
        import numpy as np

        return _large_statistics(table, range(width), np.array(orders, np.int32))
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


def _large_statistics(table: _Table, patterns: Sequence[int], deals: npt.NDArray[np.int32]) -> list[float]:
    """Return the same by numpy, which only many runs are worth.

    Args:
        table: What is tested.
        patterns: By place, the first with the same labels.
        deals: By order and column, the place that is dealt to it.
    """
    import numpy as np

    values, codes = np.array(table.values), np.array(table.codes)
    places, number_of = np.unique(patterns, return_inverse=True)
    # Where in `sums` a column's row begins: column after column, so that what is looked up lies close together.
    begins = np.arange(table.width)[:, None] * len(places)
    totals = np.zeros(len(deals))
    for span in table.spans():
        own, labels = values[span], codes[span]
        left = np.full(len(deals), own.sum())
        for code in range(len(table.names)):
            has = labels == code
            if code < len(table.names) - 1 or (labels < 0).any():
                # By column and place: what the group's arms add up to where that place's labels stand at that column.
                sums = own.T @ has[:, places].astype(np.float64)
                parts = (sums.take(begins + number_of[dealt.T]).sum(axis=0) for dealt in _in_parts(deals))
                summed = np.concatenate(list(parts))
                left -= summed
            else:  # every run has a label: the last group has what the others leave
                summed = left
            totals += summed**2 / max(1, np.count_nonzero(has))
    found: list[float] = totals.tolist()
    return found

"""A training split whose classes differ in size, as a long tail or as a step."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.keyed import raw_numbers

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Imbalance(Dataset):
    """Another dataset with classes of unequal size in its training split; its test split stays whole.

    With K classes, the i-th from 0 on keeps, of its samples, rounded down

        long-tail:  n_i = n_max * factor^(-i / (K - 1))
        step:       n_i = n_max  for the first K - round(step_share * K) classes,  n_max / factor  for the rest

    The long tail is that of Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", section
    5.1, whose imbalance factor (largest class over smallest) went from 10 to 200; the step that of Buda et al. 2018,
    "A systematic study of the class imbalance problem", with half of the classes as in Cao et al. 2019. Which
    samples is drawn for each class from (seed, class), so those of a larger factor are among those of a smaller one.
    They stay in the split's order; of encoded images rows are selected, and nothing is decoded.

    A validation split carved from it has the same imbalance, and the test split does not: judge by
    `balanced-accuracy` there. Not beside published results on the whole set.

    Attributes:
        of: The dataset.
        factor: Samples of the largest class over those of the smallest; 1 makes all classes equal.
        shape: "long-tail" or "step".
        largest: Samples of the largest class, n_max; None takes as many as the smallest class of `of` has, so that
            every class has enough.
        order: Names of the classes from the largest to the smallest; empty takes them in the order of their labels.
        step_share: Share of the classes that are small, for "step".
        seed: Which samples are kept. Equal for all arms and replicates: it is part of the data.
    """

    of: Dataset
    factor: Annotated[float, Ge(1)] = 100.0
    shape: Literal["long-tail", "step"] = "long-tail"
    largest: Annotated[int, Ge(1)] | None = None
    order: tuple[str, ...] = ()
    step_share: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    seed: Annotated[int, Interval(ge=0, lt=2**63)] = 0

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.order if self.order.count(name) > 1})
        if twice:
            raise ValueError(f"order names {', '.join(twice)} more than once")
        # a part has its licence and the meaning of its labels from the whole; the instance is frozen
        object.__setattr__(self, "licence", self.of.licence)
        object.__setattr__(self, "changes_label", self.of.changes_label)

    def prepare(self, root: Path | None) -> Prepared:
        """Return the part of the training split and the whole test split.

        Raises:
            FileNotFoundError: As the dataset itself.
            ValueError: As the dataset itself; and naming the parameter where `order` does not hold its classes, or
                a class has fewer samples than it should keep, or would keep none.
        """
        import numpy as np

        whole = self.of.prepare(root)
        train, names = whole.train, whole.classes
        ranks = ranked(self.order, names)
        counts = np.bincount(train.labels, minlength=len(names))
        largest = int(counts.min()) if self.largest is None else self.largest
        wanted = class_sizes(len(names), largest, self.factor, self.shape, self.step_share)
        members = []
        for label, name in enumerate(names):
            keep = wanted[ranks[label]]
            if keep > counts[label]:
                raise ValueError(
                    f'imbalance: largest = {largest} asks for {keep} samples of class "{name}", which has '
                    f"{counts[label]}"
                )
            if not keep:
                raise ValueError(
                    f'imbalance: factor = {self.factor:g} leaves no sample of class "{name}" where the largest class '
                    f"has {largest}"
                )
            members.append(_drawn(np.flatnonzero(train.labels == label), keep, self.seed, label))
        kept = np.sort(np.concatenate(members))
        inputs = {name: array[kept] for name, array in train.inputs.items()}
        sources = None if train.sources is None else train.sources[kept]
        return Prepared(Split(inputs, train.labels[kept], sources), whole.test, names, whole.skipped)


def class_sizes(classes: int, largest: int, factor: float, shape: str, step_share: float) -> list[int]:
    """Return how many samples each class keeps, from the largest to the smallest."""
    if shape == "step":
        small = round(step_share * classes)
        sizes = [float(largest)] * (classes - small) + [largest / factor] * small
    else:
        sizes = [largest * factor ** (-i / max(classes - 1, 1)) for i in range(classes)]
    # A size that is whole but for rounding (32 * 32^(-2/5)) is not rounded down to the next.
    return [math.floor(size * (1 + 1e-12)) for size in sizes]


def ranked(order: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return each class's place from the largest to the smallest.

    Raises:
        ValueError: Where `order` is neither empty nor a permutation of the classes' names.
    """
    if not order:
        return list(range(len(names)))
    for name in order:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise ValueError(f'imbalance: order names "{name}", which is no class{hint}')
    if len(order) != len(names):
        raise ValueError(f"imbalance: order names {len(order)} classes, the dataset has {len(names)}")
    return [order.index(name) for name in names]


def _drawn(members: np.ndarray, count: int, seed: int, label: int) -> np.ndarray:
    import numpy as np

    numbers = raw_numbers(len(members), "imbalance", seed, label)
    return members[np.argsort(numbers, kind="stable")[:count]]

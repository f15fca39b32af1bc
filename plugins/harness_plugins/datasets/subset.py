"""A class-balanced part of another dataset's training split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Interval

from harness.contract import Dataset, Prepared, Split

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Subset(Dataset):
    """A part of another dataset's training split, for runs with few labels; its test split stays whole.

    Each class keeps its share of the samples: its part of the total, rounded down, and what is left over goes
    to the largest remainders. Which samples is drawn for each class from (seed, class), so with one seed the
    samples of a smaller subset are among a larger one's, but for rounding. They stay in the split's order.

    Not for comparing with published results on the whole set.

    Attributes:
        of: The dataset.
        samples: How many samples to keep; give this or `fraction`.
        fraction: Which share of the samples to keep, over 0 and up to 1.
        seed: Which samples are kept. Equal for all arms and replicates: it is part of the data.
    """

    of: Dataset
    samples: Annotated[int, Ge(1)] | None = None
    fraction: Annotated[float, Interval(gt=0, le=1)] | None = None
    seed: Annotated[int, Interval(ge=0, lt=2**63)] = 0

    def __post_init__(self) -> None:
        if (self.samples is None) == (self.fraction is None):
            raise ValueError(
                f"give exactly one of samples and fraction, not samples = {self.samples} and "
                f"fraction = {self.fraction}"
            )
        # a part has its licence and the meaning of its labels from the whole; the instance is frozen
        object.__setattr__(self, "licence", self.of.licence)
        object.__setattr__(self, "changes_label", self.of.changes_label)

    def prepare(self, root: Path | None) -> Prepared:
        """Return the part of the training split and the whole test split.

        Raises:
            FileNotFoundError: As the dataset itself.
            ValueError: As the dataset itself, and where it has fewer samples than are asked for.
        """
        whole = self.of.prepare(root)
        labels = whole.train.labels
        samples = round(self.fraction * len(labels)) if self.fraction is not None else self.samples
        if samples is None or samples > len(labels):
            raise ValueError(f"subset: {samples} samples asked for, the training split has {len(labels)}")
        kept = stratified(labels, samples, len(whole.classes), self.seed)
        inputs = {name: array[kept] for name, array in whole.train.inputs.items()}
        return Prepared(Split(inputs, labels[kept]), whole.test, whole.classes, whole.skipped)


def stratified(labels: np.ndarray, samples: int, num_classes: int, seed: int) -> np.ndarray:
    """Return which samples are kept, int64 (`samples`,), ascending.

    Args:
        labels: int64 (N,), each from 0 to `num_classes` - 1.
        samples: How many to keep, N at the most.
        num_classes: Number of classes.
        seed: Which ones.

    Raises:
        ValueError: Where a label is out of range.
    """
    import numpy as np

    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for {num_classes} classes")
    counts = np.bincount(labels, minlength=num_classes)
    quota, remainder = np.divmod(counts * samples, len(labels))
    left_over = samples - int(quota.sum())
    quota[np.argsort(-remainder, kind="stable")[:left_over]] += 1
    kept = []
    for label, number in enumerate(quota):
        members = np.flatnonzero(labels == label)
        # numpy promises that a bit generator's raw stream is stable across versions, not `permutation`
        numbers = np.random.Philox(key=[seed, label]).random_raw(len(members))
        kept.append(members[np.argsort(numbers, kind="stable")[:number]])
    return np.sort(np.concatenate(kept))

"""A training split of which a known share of the labels is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.keyed import raw_numbers

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class LabelNoise(Dataset):
    """Another dataset with wrong labels in its training split; its test split stays as it is.

    Of each class's n samples exactly round(rate * n) are given another label, which with K classes is

        symmetric:  each of the K - 1 other classes with equal probability
        pair:       `pairs[class]` for the classes that it names, or where it is empty class k + 1 modulo K

    as in Patrini et al. 2017, "Making Deep Neural Networks Robust to Label Noise" (there with the pairs of CIFAR-10
    that look alike), and Han et al. 2018, "Co-teaching" (the next class). In some papers a symmetric rate counts the
    true class among those that are drawn: their rate r is r * (K - 1) / K here. Which samples and what labels is drawn
    from (seed, class), so the wrong labels of a smaller rate are among those of a larger one. Images are left alone:
    nothing is decoded. Versions of one image (`precomputed-augmentation`) share their label.

    A validation split is carved from this training split, so its labels are wrong in the same share, and a rule that
    selects on it selects on noisy labels; the test split alone is clean.

    Not on labels that are known to be noisy already: the two rates add up, and neither is exact.

    Attributes:
        of: The dataset.
        rate: Share of each class's labels that are wrong, from 0 to 1; 0 changes nothing.
        kind: "symmetric" or "pair".
        pairs: For "pair", by a class's name the class that its samples are taken for:
            `{ truck = "automobile", cat = "dog", dog = "cat" }`.
        seed: Which labels are wrong. Equal for all arms and replicates: it is part of the data.
    """

    of: Dataset
    rate: Annotated[float, Interval(ge=0, le=1)] = 0.2
    kind: Literal["symmetric", "pair"] = "symmetric"
    pairs: Mapping[str, str] = field(default_factory=dict)
    seed: Annotated[int, Interval(ge=0, lt=2**63)] = 0

    def __post_init__(self) -> None:
        if self.pairs and self.kind != "pair":
            raise ValueError(f'pairs are for kind = "pair", not for kind = "{self.kind}"')
        same = [name for name, other in self.pairs.items() if name == other]
        if same:
            raise ValueError(f"pairs takes {', '.join(same)} for itself; name another class")
        # only labels are changed: licence and the meaning of labels are the whole's; the instance is frozen
        object.__setattr__(self, "licence", self.of.licence)
        object.__setattr__(self, "changes_label", self.of.changes_label)

    def prepare(self, root: Path | None) -> Prepared:
        """Return both splits, the training split with its wrong labels.

        Raises:
            FileNotFoundError: As the dataset itself.
            ValueError: As the dataset itself; and naming the parameter where `pairs` names a class that is not there,
                or there is no other class.
        """
        import numpy as np

        whole = self.of.prepare(root)
        train, classes = whole.train, whole.classes
        if len(classes) < 2:
            raise ValueError(f"label-noise: {len(classes)} class: there is no other that a label could say")
        taken_for = paired(self.pairs, classes) if self.kind == "pair" else None
        every = np.arange(len(train.labels))
        sources = every if train.sources is None else train.sources
        _, firsts, image = np.unique(sources, return_index=True, return_inverse=True)
        noisy = flipped(train.labels[firsts], len(classes), self.rate, taken_for, self.seed)[image]
        return Prepared(Split(train.inputs, noisy, train.sources), whole.test, classes, whole.skipped)


def flipped(
    labels: np.ndarray, num_classes: int, rate: float, taken_for: Mapping[int, int] | None, seed: int
) -> np.ndarray:
    """Return labels with the given share of each class changed, int64 (N,).

    Args:
        labels: int64 (N,), each from 0 to `num_classes` - 1.
        num_classes: K, at least 2.
        rate: Share of each class, rounded to whole samples.
        taken_for: By class the one that stands for it instead; None draws among all others.
        seed: Which ones.
    """
    import numpy as np

    noisy = labels.copy()
    for label in range(num_classes) if taken_for is None else sorted(taken_for):
        members = np.flatnonzero(labels == label)
        order = np.argsort(raw_numbers(len(members), "label-noise", seed, label), kind="stable")
        wrong = members[order[: round(rate * len(members))]]
        if taken_for is not None:
            noisy[wrong] = taken_for[label]
            continue
        numbers = raw_numbers(len(members), "label-noise, to", seed, label)[: len(wrong)]
        steps = 1 + ((numbers >> np.uint64(32)) * np.uint64(num_classes - 1) >> np.uint64(32)).astype(
            np.int64
        )
        noisy[wrong] = (label + steps) % num_classes
    return noisy


def paired(pairs: Mapping[str, str], classes: Sequence[str]) -> dict[int, int]:
    """Return by class the one that its samples are taken for: the next, where `pairs` is empty.

    Raises:
        ValueError: Where `pairs` names what is no class.
    """
    if not pairs:
        return {label: (label + 1) % len(classes) for label in range(len(classes))}
    for name in (*pairs, *pairs.values()):
        if name not in classes:
            close = difflib.get_close_matches(name, classes, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise ValueError(f'label-noise: pairs names "{name}", which is no class{hint}')
    return {classes.index(name): classes.index(other) for name, other in pairs.items()}

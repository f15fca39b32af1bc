"""Datasets: decoded once into arrays, opened by memory map ever after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Split:
    """One split, decoded.

    Attributes:
        inputs: By modality: `image` uint8 (N, C, H, W), C being 1 or 3.
        labels: int64 (N,), from 0 to the number of classes less one.
    """

    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray


@dataclass(frozen=True, slots=True)
class Prepared:
    """All of a dataset, decoded.

    Attributes:
        train: What is trained on; the harness carves the validation split out of it, by class.
        test: What is read once a trial, at its end, by the harness.
        classes: The classes' names, in the order of their labels.
        skipped: Files left out by a stated policy, each with its reason; they go into the manifest.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class DataInfo:
    """What a backbone has to know of the data.

    Attributes:
        num_classes: Number of classes.
        shapes: By modality, the shape of one sample: `image` (C, H, W).
    """

    num_classes: int
    shapes: Mapping[str, tuple[int, ...]]


class Dataset:
    """Base of every dataset plugin: a frozen dataclass whose fields are its parameters.

    Class variables:
        licence: The data's licence, as its publisher states it.
        changes_label: Names of augmentations that would change what a label means (a flipped 2 is no 2);
            `harness check` warns of them.
    """

    licence: ClassVar[str] = "unknown"
    changes_label: ClassVar[frozenset[str]] = frozenset()

    def prepare(self, root: Path | None) -> Prepared:
        """Decode everything. Called once for each set of parameters; torch may not be imported.

        Args:
            root: The data root (`--data` or `HARNESS_DATA`), or None where none is set.

        Raises:
            FileNotFoundError: With the path that was looked for and where to get the data.
            ValueError: With the name of the file that is damaged and what is wrong with it.
        """
        raise NotImplementedError

"""How far an augmentation moves the data: distances between what images are before it and after it, class by class.

Each image, in levels of 0 to 255, is told by

    pixels        its values, of all channels
    brightness    their mean
    contrast      their standard deviation
    edges         the mean absolute difference between a value and its right and its lower neighbour
    saturation    the mean over pixels of the highest channel less the lowest; not of grey images

and the distance is the first Wasserstein distance between the values of a class's images before and after: the area
between the two distribution functions, in levels. A mirrored image is as far from itself as nothing is: what moves
pixels about and leaves their values moves no distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

FEATURES = ("pixels", "brightness", "contrast", "edges", "saturation")


def wasserstein(one: Array, other: Array) -> float:
    """Return the first Wasserstein distance between two samples of numbers, (n,) and (m,).

    `∫ |F(x) - G(x)| dx` over the empirical distribution functions; with n = m the mean distance between values of
    equal rank.
    """
    one, other = np.sort(one, axis=None), np.sort(other, axis=None)
    if len(one) == len(other):
        return float(np.abs(one - other).mean(dtype=np.float64))
    every = np.sort(np.concatenate([one, other]))
    below = every[:-1]
    reached = np.searchsorted(one, below, "right") / len(one)
    reached_other = np.searchsorted(other, below, "right") / len(other)
    return float((np.abs(reached - reached_other) * np.diff(every).astype(np.float64)).sum())


def features(images: Array) -> dict[str, Array]:
    """Return what tells images, float (n, C, H, W) in levels: by name (n,) each, of `pixels` (n, C * H * W)."""
    flat = images.reshape(len(images), -1)
    found = {
        "pixels": flat,
        "brightness": flat.mean(1, dtype=np.float64),
        "contrast": flat.std(1, dtype=np.float64),
    }
    across, down = np.abs(np.diff(images, axis=3)), np.abs(np.diff(images, axis=2))
    count = across[0].size + down[0].size
    if count:
        sums = [part.reshape(len(images), -1).sum(1, dtype=np.float64) for part in (across, down)]
        found["edges"] = (sums[0] + sums[1]) / count
    if images.shape[1] > 1:
        span = images.max(axis=1) - images.min(axis=1)
        found["saturation"] = span.reshape(len(images), -1).mean(1, dtype=np.float64)
    return found


def distances(
    before: Array, after: Array, labels: Array, classes: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Return by class, and within by feature, how far images moved, in levels.

    Args:
        before, after: Images (n, C, H, W) in levels; their height and width may differ.
        labels: int64 (n,), the class of each image before.
        classes: Names of the classes.

    Returns:
        Null for a feature that the images do not have; no entry for a class without images.
    """
    found: dict[str, dict[str, float | None]] = {}
    for label in np.unique(labels).tolist():
        here = labels == label
        old, new = features(before[here]), features(after[here])
        found[classes[label]] = {
            name: wasserstein(old[name], new[name]) if name in old and name in new else None
            for name in FEATURES
        }
    return found


def summary(by_class: dict[str, dict[str, float | None]]) -> dict[str, dict[str, Any] | None]:
    """Return by feature the mean over the classes, and the class that moved the most; null where none has it."""
    told: dict[str, dict[str, Any] | None] = {}
    for name in FEATURES:
        values = {label: value for label, moved in by_class.items() if (value := moved[name]) is not None}
        told[name] = None
        if values:
            most = max(values, key=lambda label: values[label])
            mean = sum(values.values()) / len(values)
            told[name] = {"mean": mean, "highest": values[most], "class": most}
    return told

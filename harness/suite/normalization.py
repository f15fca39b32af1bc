"""What images are normalised by: as the suite gives it, or as it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def statistics_of(
    manifest: Mapping[str, Any], dataset: Mapping[str, Any]
) -> tuple[Sequence[float], Sequence[float]]:
    """Return each channel's mean and standard deviation that images are normalised by, in shares of full scale.

    Args:
        manifest: Its statistics of the training split are taken where the suite gives none.
        dataset: The dataset in normal form, with `normalization` where the suite gives it.
    """
    given = dataset.get("normalization") or manifest["modalities"]["image"]
    return given["mean"], given["std"]


def normalization_misfit(manifest: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """Return why the normalisation that a suite gives does not fit the images, or an empty string."""
    given = dataset.get("normalization")
    if given is None:
        return ""
    channels = manifest["modalities"]["image"]["shape"][0]
    if len(given["mean"]) == channels:
        return ""
    return f"has {len(given['mean'])} values each of mean and std, the images have {channels} channel(s)"

"""What a dataset is, as JSON: counts, digests, statistics; and the refusal of data unfit for a fair trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from harness.errors import DataError
from harness.registry.digests import digest_json

if TYPE_CHECKING:
    import numpy as np

    from harness.contract import Prepared, Split

BYTES_AT_ONCE = 2**24

NAMES_SHOWN = 10


def make_manifest(
    prepared: Prepared, full_name: str, licence: str, changes_label: Iterable[str]
) -> dict[str, Any]:
    """Check a decoded dataset and return its manifest, as docs/dataflow.md has it.

    Args:
        prepared: The decoded dataset.
        full_name: The dataset plugin's full name.
        licence: The data's licence.
        changes_label: Names of augmentations that would change what a label means.

    Raises:
        DataError: Where the data is unfit: a type or shape that the contract does not allow, an empty split, an
            empty class, a label out of range, samples that are in both splits, a channel of one value.
    """
    where = f'dataset "{full_name}"'
    splits = _splits(prepared)
    if len(prepared.classes) < 2:
        raise DataError(f"{where}: {len(prepared.classes)} class, at least 2 are needed")
    for name, split in splits.items():
        _check_arrays(split, f"{where}, {name} split")
    _check_same_shapes(prepared, where)
    counts = {
        name: _class_counts(split, prepared.classes, f"{where}, {name} split")
        for name, split in splits.items()
    }
    _check_overlap(prepared, where)
    manifest: dict[str, Any] = {
        "dataset": full_name,
        "classes": list(prepared.classes),
        "modalities": {
            name: _modality(array, f"{where}, {name}")
            for name, array in sorted(prepared.train.inputs.items())
        },
        "splits": {
            name: {
                "count": len(split.labels),
                "class_counts": counts[name],
                "digest": digest_json(sorted((key, _digest(array)) for key, array in split.inputs.items())),
                "labels_digest": _digest(split.labels),
            }
            for name, split in splits.items()
        },
        "overlap": 0,
        "skipped": list(prepared.skipped),
        "licence": licence,
        "changes_label": sorted(changes_label),
    }
    return {"hash": manifest_hash(manifest), **manifest}


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Return the digest of a manifest without its own `hash`."""
    return digest_json({name: value for name, value in manifest.items() if name != "hash"})


def arrays_of(prepared: Prepared) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """Yield every array of a dataset with its (split, name), the name being a modality's or "labels"."""
    for name, split in _splits(prepared).items():
        for modality, array in split.inputs.items():
            yield (name, modality), array
        yield (name, "labels"), split.labels


def _splits(prepared: Prepared) -> dict[str, Split]:
    return {"train": prepared.train, "test": prepared.test}


def _check_arrays(split: Split, where: str) -> None:
    import numpy as np

    labels = split.labels
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.ndim != 1:
        raise DataError(f"{where}: labels are {_seen(labels)}, expected int64 (N,)")
    if not split.inputs:
        raise DataError(f"{where}: no inputs")
    for name, array in split.inputs.items():
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim < 2:
            raise DataError(f"{where}: {name} is {_seen(array)}, expected uint8 (N, C, ...)")
        if name == "image" and (array.ndim != 4 or array.shape[1] not in (1, 3)):
            raise DataError(f"{where}: image is {_seen(array)}, expected uint8 (N, C, H, W) with C of 1 or 3")
        if len(array) != len(labels):
            raise DataError(f"{where}: {len(array):,} samples of {name} and {len(labels):,} labels")
    if not len(labels):
        raise DataError(f"{where}: 0 samples")


def _seen(value: object) -> str:
    import numpy as np

    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _check_same_shapes(prepared: Prepared, where: str) -> None:
    train, test = (
        {name: array.shape[1:] for name, array in split.inputs.items()}
        for split in (prepared.train, prepared.test)
    )
    if train != test:
        raise DataError(f"{where}: samples are {train} in the train split and {test} in the test split")


def _class_counts(split: Split, classes: tuple[str, ...], where: str) -> list[int]:
    import numpy as np

    outside = (split.labels < 0) | (split.labels >= len(classes))
    if outside.any():
        values = np.unique(split.labels[outside])[:NAMES_SHOWN].tolist()
        raise DataError(
            f"{where}: {int(outside.sum()):,} of {len(outside):,} labels are not within 0 to {len(classes) - 1}: "
            f"{values}"
        )
    counts: list[int] = np.bincount(split.labels, minlength=len(classes)).tolist()
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        shown = ", ".join(empty[:NAMES_SHOWN]) + (", ..." if len(empty) > NAMES_SHOWN else "")
        raise DataError(
            f"{where}: {len(empty)} of {len(classes)} classes have no sample ({shown}); "
            f"{len(split.labels):,} samples lie in {len(classes) - len(empty)} class(es)"
        )
    return counts


def _check_overlap(prepared: Prepared, where: str) -> None:
    train, test = _sample_digests(prepared.train), _sample_digests(prepared.test)
    both = set(train) & set(test)
    if both:
        in_train, in_test = (sum(digest in both for digest in digests) for digests in (train, test))
        digest = next(digest for digest in test if digest in both)
        raise DataError(
            f"{where}: {in_test:,} of {len(test):,} test samples are in the train split too, as {in_train:,} of its "
            f"{len(train):,} samples (the first: test sample {test.index(digest)}, train sample {train.index(digest)})"
        )


def _sample_digests(split: Split) -> list[bytes]:
    digests = []
    arrays = [array for _, array in sorted(split.inputs.items())]
    for index in range(len(split.labels)):
        digest = blake2b(digest_size=16)
        for array in arrays:
            digest.update(array[index].tobytes())
        digests.append(digest.digest())
    return digests


def _digest(array: np.ndarray) -> str:
    """Return the digest of an array's type, shape and bytes."""
    digest = blake2b(f"{array.dtype.str} {array.shape} ".encode(), digest_size=16)
    for part in _parts(array):
        digest.update(part.tobytes())
    return digest.hexdigest()


def _parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an array in parts of about `BYTES_AT_ONCE`, so that no copy of the whole is made."""
    samples = max(1, BYTES_AT_ONCE // max(1, array[0].nbytes))
    for start in range(0, len(array), samples):
        yield array[start : start + samples]


def _modality(array: np.ndarray, where: str) -> dict[str, Any]:
    """Return shape, type, and each channel's mean and population standard deviation, in 0..1."""
    import numpy as np

    channels = array.shape[1]
    histogram = np.zeros((channels, 256), np.int64)
    for part in _parts(array):
        for channel in range(channels):
            histogram[channel] += np.bincount(part[:, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    mean, std = [], []
    for channel, counts in enumerate(histogram):
        center = float(counts @ values / counts.sum())
        spread = math.sqrt(float(counts @ (values - center) ** 2 / counts.sum()))
        if np.count_nonzero(counts) == 1:
            raise DataError(
                f"{where}: channel {channel} is {center:.3g} in every training sample: nothing to normalise"
            )
        mean.append(center)
        std.append(spread)
    return {"shape": list(array.shape[1:]), "dtype": str(array.dtype), "mean": mean, "std": std}

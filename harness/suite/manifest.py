"""What a dataset is, as JSON: counts, digests, statistics; and the refusal of data unfit for a fair trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from harness.contract import Images
from harness.errors import DataError, PluginError
from harness.registry.digests import digest_json

if TYPE_CHECKING:
    import numpy as np

    from harness.contract import Prepared, Split

Sink = Callable[[str, str, "np.ndarray"], None]
"""Gets each decoded part of what is decoded when it is read: split, modality, uint8 (n, C, H, W)."""

BYTES_AT_ONCE = 2**24

NAMES_SHOWN = 10


def make_manifest(
    prepared: Prepared,
    full_name: str,
    licence: str,
    changes_label: Iterable[str],
    *,
    sink: Sink | None = None,
) -> dict[str, Any]:
    """Check a dataset and return its manifest, as docs/dataflow.md has it.

    It is read once, in parts; decoded or yet to be decoded, the manifest is the same.

    Args:
        prepared: The dataset.
        full_name: The dataset plugin's full name.
        licence: The data's licence.
        changes_label: Names of augmentations that would change what a label means.
        sink: Gets what was decoded on the way.

    Raises:
        DataError: Where the data is unfit: a type or shape that the contract does not allow, an empty split, an
            empty class, a label out of range, samples that are in both splits, a channel of one value, an image
            that cannot be decoded.
        PluginError: Where reading images breaks the contract.
    """
    where = f'dataset "{full_name}"'
    splits = splits_of(prepared)
    if len(prepared.classes) < 2:
        raise DataError(f"{where}: {len(prepared.classes)} class, at least 2 are needed")
    check_arrays(prepared, where)
    counts = {
        name: _class_counts(split, prepared.classes, f"{where}, {name} split")
        for name, split in splits.items()
    }
    surveys = {name: _survey(name, split, where, sink) for name, split in splits.items()}
    _check_overlap(surveys["train"].samples, surveys["test"].samples, where)
    manifest: dict[str, Any] = {
        "dataset": full_name,
        "classes": list(prepared.classes),
        "modalities": {
            name: {
                "shape": list(array.shape[1:]),
                "dtype": str(array.dtype),
                **_statistics(surveys["train"].histograms[name], f"{where}, {name}"),
            }
            for name, array in sorted(prepared.train.inputs.items())
        },
        "splits": {
            name: {
                "count": len(split.labels),
                "class_counts": counts[name],
                "digest": digest_json(sorted(surveys[name].digests.items())),
                "labels_digest": labels_digest(split.labels),
                # Only where there are any: every other manifest keeps its hash.
                **({} if split.sources is None else {"sources_digest": labels_digest(split.sources)}),
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


def splits_of(prepared: Prepared) -> dict[str, Split]:
    """Return the splits by their names."""
    return {"train": prepared.train, "test": prepared.test}


def labels_digest(labels: np.ndarray) -> str:
    """Return the digest of labels or sources, int64 (N,)."""
    digest = _begun(labels)
    digest.update(labels.tobytes())
    return digest.hexdigest()


def read_rows(images: Images, rows: np.ndarray, where: str) -> np.ndarray:
    """Decode some rows and hold them to the contract.

    Raises:
        DamagedImage, ValueError, OSError: As the images' own.
        PluginError: Where something else comes than uint8 (n, C, H, W).
    """
    found = images.read(rows)
    wanted = (len(rows), *images.shape[1:])
    if _seen(found) != f"uint8 {wanted}":
        raise PluginError(f"{where}: Images.read gave {_seen(found)}, expected uint8 {wanted}")
    return found


def check_arrays(prepared: Prepared, where: str) -> None:
    """Hold types, shapes and counts to the contract, without a look at the samples.

    Raises:
        DataError: Saying what was found where, and what was expected.
    """
    for name, split in splits_of(prepared).items():
        _check_split(split, f"{where}, {name} split")
    if prepared.test.sources is not None:
        raise DataError(
            f"{where}, test split: it has sources; only a training split holds versions of images"
        )
    _check_same_shapes(prepared, where)


def _check_split(split: Split, where: str) -> None:
    import numpy as np

    labels = split.labels
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.ndim != 1:
        raise DataError(f"{where}: labels are {_seen(labels)}, expected int64 (N,)")
    if not split.inputs:
        raise DataError(f"{where}: no inputs")
    for name, array in split.inputs.items():
        if not isinstance(array, np.ndarray | Images) or array.dtype != np.uint8 or len(array.shape) < 2:
            raise DataError(f"{where}: {name} is {_seen(array)}, expected uint8 (N, C, ...)")
        if name == "image" and (len(array.shape) != 4 or array.shape[1] not in (1, 3)):
            raise DataError(f"{where}: image is {_seen(array)}, expected uint8 (N, C, H, W) with C of 1 or 3")
        if len(array) != len(labels):
            raise DataError(f"{where}: {len(array):,} samples of {name} and {len(labels):,} labels")
    if not len(labels):
        raise DataError(f"{where}: 0 samples")
    sources = split.sources
    if sources is not None and (
        not isinstance(sources, np.ndarray) or sources.dtype != np.int64 or sources.shape != labels.shape
    ):
        raise DataError(f"{where}: sources are {_seen(sources)}, expected int64 ({len(labels)},)")


def _seen(value: object) -> str:
    import numpy as np

    if isinstance(value, np.ndarray | Images):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__


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


@dataclass(frozen=True, slots=True)
class _Survey:
    """What one pass over a split found.

    Attributes:
        digests: By modality, the digest of its type, shape and bytes.
        samples: A digest of each sample over all its modalities.
        histograms: By modality, int64 (C, 256): how often each channel has each value.
    """

    digests: dict[str, str]
    samples: list[bytes]
    histograms: dict[str, np.ndarray]


def _survey(name: str, split: Split, where: str, sink: Sink | None) -> _Survey:
    """Read a split once, in parts of about `BYTES_AT_ONCE`, so that no copy of the whole is made."""
    import numpy as np

    arrays = dict(sorted(split.inputs.items()))
    digests = {modality: _begun(array) for modality, array in arrays.items()}
    histograms = {modality: np.zeros((array.shape[1], 256), np.int64) for modality, array in arrays.items()}
    samples: list[bytes] = []
    step = max(1, BYTES_AT_ONCE // max(1, sum(math.prod(array.shape[1:]) for array in arrays.values())))
    for start in range(0, len(split.labels), step):
        rows = np.arange(start, min(start + step, len(split.labels)))
        hashes = [blake2b(digest_size=16) for _ in rows]
        for modality, array in arrays.items():
            part = array[start : start + step]
            if isinstance(part, Images):
                part = _decoded(part, f"{where}, {name} split")
                if sink is not None:
                    sink(name, modality, part)
            part = np.ascontiguousarray(part)
            digests[modality].update(part.data)
            for channel, counts in enumerate(histograms[modality]):
                counts += np.bincount(part[:, channel].ravel(), minlength=256)
            for digest, sample in zip(hashes, part, strict=True):
                digest.update(sample.data)
        samples += [digest.digest() for digest in hashes]
    return _Survey({key: digest.hexdigest() for key, digest in digests.items()}, samples, histograms)


def _decoded(images: Images, where: str) -> np.ndarray:
    import numpy as np

    try:
        return read_rows(images, np.arange(len(images)), where)
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: {error}") from error
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{where}: reading failed: {type(error).__name__}: {error}") from error


def _check_overlap(train: list[bytes], test: list[bytes], where: str) -> None:
    both = set(train) & set(test)
    if both:
        in_train, in_test = (sum(digest in both for digest in digests) for digests in (train, test))
        digest = next(digest for digest in test if digest in both)
        raise DataError(
            f"{where}: {in_test:,} of {len(test):,} test samples are in the train split too, as {in_train:,} of its "
            f"{len(train):,} samples (the first: test sample {test.index(digest)}, train sample {train.index(digest)})"
        )


def _begun(array: np.ndarray | Images) -> blake2b:
    shape = tuple(map(int, array.shape))
    return blake2b(f"{array.dtype.str} {shape} ".encode(), digest_size=16)


def _statistics(histogram: np.ndarray, where: str) -> dict[str, list[float]]:
    """Return each channel's mean and population standard deviation, in 0..1."""
    import numpy as np

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
    return {"mean": mean, "std": std}

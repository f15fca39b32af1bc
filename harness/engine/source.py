"""Where a trial's samples are read: a prepared folder, and the dataset where its images are left encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from harness.errors import DataError
from harness.suite.decoded import sample_digest
from harness.suite.manifest import labels_digest

if TYPE_CHECKING:
    from harness.registry.registry import Registry
    from harness.suite.plan import Job

    Array = np.ndarray[Any, Any]

SAMPLES_COMPARED = 16
"""Encoded images that are compared with what they were when they were prepared, as a split is opened: against files
that were replaced, and decoders that give other pixels."""


class Rows(Protocol):
    """Images on the host: `MappedImages`, or a dataset's own `Images`."""

    def read(self, rows: Array) -> Array:
        """Return rows, int64 (n,), as uint8 (n, C, H, W)."""
        ...


@dataclass(frozen=True, slots=True)
class MappedImages:
    """Decoded images in a memory-mapped file, uint8 (N, C, H, W)."""

    array: Array

    def read(self, rows: Array) -> Array:
        """Return some rows, copied. They have been checked to lie within."""
        return self.array.take(rows, axis=0, mode="clip")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a trial's splits are opened: a prepared folder, and the dataset where images stay encoded.

    Attributes:
        folder: What `suite.prepare` made.
        manifest: Its manifest.
        mode: "resident", "memory" or "stream".
        registry, dataset, root: What builds the dataset in stream mode: its normal form, and the data root.
    """

    folder: Path
    manifest: Mapping[str, Any]
    mode: str = "resident"
    registry: Registry | None = None
    dataset: Mapping[str, Any] | None = None
    root: Path | None = None

    def open(self, split: str) -> tuple[Array | Rows, Array]:
        """Return the images and the labels, int64 (N,), of a split.

        Raises:
            DataError: Where the data is not what was prepared.
        """
        labels = np.load(self.folder / f"{split}.labels.npy", allow_pickle=False)
        if self.mode == "stream":
            return self._encoded(split, labels), labels
        # Copy on write: torch warns of arrays that it could not write to, and nobody writes.
        images = np.load(self.folder / f"{split}.image.npy", mmap_mode="c", allow_pickle=False)
        return (images if self.mode == "resident" else MappedImages(images)), labels

    def image_sources(self, split: str) -> Array | None:
        """Return which image each sample of a split is a version of, int64 (N,); None where each is its own.

        Raises:
            DataError: Where the prepared folder is not what its manifest says.
        """
        expected = self.manifest["splits"][split].get("sources_digest")
        if expected is None:
            return None
        file = self.folder / f"{split}.sources.npy"
        sources: Array = np.load(file, allow_pickle=False)
        if labels_digest(sources) != expected:
            raise DataError(f"{file}: not what was prepared; remove the folder, and it is prepared anew")
        return sources

    def _encoded(self, split: str, labels: Array) -> Rows:
        if self.registry is None or self.dataset is None:
            raise DataError(f"{self.folder}: encoded images are read by their dataset, and none is named")
        try:
            prepared = self.registry.build("dataset", self.dataset).prepare(self.root)
        except (OSError, ValueError) as error:
            raise DataError(f'dataset "{self.dataset["name"]}": {error}') from error
        rows = np.load(self.folder / f"{split}.rows.npy", allow_pickle=False)
        found = getattr(prepared, split)
        images = found.inputs["image"]
        is_same = (
            min(len(found.labels), len(images)) > rows.max(initial=-1)
            and np.array_equal(found.labels[rows], labels)
            and list(images.shape[1:]) == self.manifest["modalities"]["image"]["shape"]
            and self._decodes_alike(split, images[rows])
        )
        if not is_same:
            raise DataError(
                f'dataset "{self.dataset["name"]}", {split} split: it has changed since it was prepared in '
                f"{self.folder}; remove that folder, and it is prepared anew"
            )
        read: Rows = images[rows]
        return read

    def _decodes_alike(self, split: str, images: Rows) -> bool:
        """Return whether some images, from all over the split, are what they were when they were prepared."""
        expected = np.load(self.folder / f"{split}.image.digests.npy", mmap_mode="r", allow_pickle=False)
        rows = np.unique(np.linspace(0, len(expected) - 1, SAMPLES_COMPARED).astype(np.int64))
        try:
            decoded = images.read(rows)
        except (OSError, ValueError) as error:
            raise DataError(f"{split} split: {error}") from error
        digests = b"".join(sample_digest(sample) for sample in decoded)
        return digests == bytes(expected[rows].tobytes())


def source_of(job: Job, registry: Registry, mode: str) -> Source:
    """Return where the splits of a job are opened."""
    root = None if job.data_root is None else Path(job.data_root)
    return Source(Path(job.data), job.manifest, mode, registry, job.recipe["dataset"], root)

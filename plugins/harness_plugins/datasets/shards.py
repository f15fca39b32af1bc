"""Samples in tar or TFRecord shards, on this machine or in an object store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.encoded_images import EncodedImages
from harness_plugins.datasets.label_numbers import number_labels
from harness_plugins.datasets.resizing import Size
from harness_plugins.datasets.shard_index import Fields, Sample, read_index
from harness_plugins.datasets.shard_store import (
    Shard,
    ShardStore,
    default_folder,
    list_shards,
    read_at,
)

Text = Annotated[str, MinLen(1)]


@dataclass(frozen=True)
class Shards(Dataset):
    """Images and labels from WebDataset's tar files (Aizman et al. 2019) or from TensorFlow's TFRecord files.

    Tar, not compressed: members that follow each other and share their path up to the first dot are one sample; of
    each, one of `image_keys` is the image, and `cls` (a whole number or a name) or a key of `json` its label.
    TFRecord: each record is a `tf.train.Example` with an image and a label; the checksum of every record is compared
    when its file is indexed. Rows are in the sorted order of files and then as they stand there.

    An index says where each image lies, so that any can be read by itself; it is made once for each version of a
    file and kept in `HARNESS_CACHE`. `folder` may be any URL that fsspec knows (`s3://bucket/set`, with what fsspec
    needs for it installed): then whole shards are copied to this machine as they are needed, and those used last are
    kept, `cache_bytes` in all. An epoch in random order takes samples from all shards, so where the splits are larger
    than that they are decoded once to disk, unless the suite asks for `stream`. Not for streams from a store that
    are larger than `cache_bytes`: shards would be copied again and again.

    Labels are names, numbered by `classes` or in sorted order, or whole numbers from `first_label` on. Image uint8
    (N, 3, H, W), decoded as it is read, as `image-folder` does: upright, always RGB; all images have one size, or
    `size` says to which they are brought (resized until it is just covered, the middle cut out).

    Attributes:
        train: Files of the training split, a glob relative to the folder; `{000..012}` stands for each number.
        test: Files of the test split, likewise.
        folder: Folder of the files, relative to the data root, or a URL.
        format: "tar" or "tfrecord"; "auto" takes names that end in `.tar` for tar and others for TFRecord.
        image_keys: Tar: what an image's member ends in; a sample has one of them.
        label_field: Tar: the key of the label in `json`.
        image_feature: TFRecord: the feature that holds the image.
        label_feature: TFRecord: the feature that holds the label.
        first_label: The number of the first class; 1 for ImageNet's usual TFRecord files.
        classes: The classes' names, in the order of their numbers.
        size: Height and width; None asks that all images have one size.
        skip_damaged: Leave out images that cannot be decoded and records with another checksum, for all arms alike,
            and list them in the manifest, rather than refuse the data.
        cache_bytes: How much room copies of shards may take on this machine.
    """

    train: Text = "train*.tar"
    test: Text = "test*.tar"
    folder: Text = "."
    format: Literal["auto", "tar", "tfrecord"] = "auto"
    image_keys: Annotated[tuple[Text, ...], MinLen(1)] = ("jpg", "jpeg", "png", "webp")
    label_field: Text = "label"
    image_feature: Text = "image/encoded"
    label_feature: Text = "image/class/label"
    first_label: Annotated[int, Ge(0)] = 0
    classes: Annotated[tuple[str, ...], MinLen(2)] | None = None
    size: Size | None = None
    skip_damaged: bool = False
    cache_bytes: Annotated[int, Ge(1)] = 2**34

    def prepare(self, root: Path | None) -> Prepared:
        """Find the samples of both splits.

        Raises:
            FileNotFoundError: Where no data root is set, or no file matches.
            OSError: Where a store fails, or the cache cannot be written.
            ImportError: Where a URL is given, and what reads it is not installed.
            ValueError: Where a path leaves the data root, or a file is damaged, naming it and the row.
        """
        store = ShardStore(default_folder() / "copies", self.cache_bytes)
        splits, skipped = {}, []
        for name, pattern in (("train", self.train), ("test", self.test)):
            splits[name], damaged = self._rows(list_shards(root, self.folder, pattern), store)
            if damaged and not self.skip_damaged:
                raise ValueError(damaged[0])
            skipped += damaged
        classes, train, test = number_labels(
            splits["train"].labels(self.first_label),
            splits["test"].labels(self.first_label),
            self.classes,
            lambda split, row: splits[split].name(row),
        )
        total = sum(rows.remote_bytes for rows in splits.values())
        parts = [
            Split({"image": self._images(rows, total > self.cache_bytes)}, labels)
            for rows, labels in zip(splits.values(), (train, test), strict=True)
        ]
        return Prepared(parts[0], parts[1], classes, tuple(skipped))

    def _rows(self, shards: list[Shard], store: ShardStore) -> tuple[ShardRows, list[str]]:
        fields = Fields(self.image_keys, self.label_field, self.image_feature, self.label_feature)
        samples: list[tuple[int, Sample]] = []
        damaged: list[str] = []
        for number, shard in enumerate(shards):
            is_tar = shard.name.endswith(".tar") if self.format == "auto" else self.format == "tar"
            index = read_index(shard, store, fields, is_tar, default_folder() / "indexes")
            samples += [(number, sample) for sample in index.samples]
            damaged += index.damaged
        return ShardRows(shards, samples, store), damaged

    def _images(self, rows: ShardRows, exceeds_cache: bool) -> EncodedImages:
        images = EncodedImages(rows, self.size, self.skip_damaged)
        images.decode_once = exceeds_cache
        return images


class ShardRows:
    """The encoded images of one split.

    Args:
        shards: Its files.
        samples: Number of the file, and sample, in order.
        store: What opens the files.
    """

    def __init__(self, shards: Sequence[Shard], samples: list[tuple[int, Sample]], store: ShardStore) -> None:
        self._shards, self._samples, self._store = shards, samples, store

    @property
    def remote_bytes(self) -> int:
        """The size of all files that have to be copied."""
        return sum(shard.size for shard in self._shards if shard.path is None)

    def labels(self, first: int) -> list[int | str]:
        """Return the labels, numbers less the first class's.

        Raises:
            ValueError: Where a number is less than the first class's.
        """
        labels = [sample.label for _, sample in self._samples]
        for row, label in enumerate(labels):
            if isinstance(label, int) and label < first:
                raise ValueError(f"{self.name(row)}: label {label} is less than first_label = {first}")
        return [label - first if isinstance(label, int) else label for label in labels]

    def __len__(self) -> int:
        return len(self._samples)

    def name(self, row: int) -> str:
        """Return the file and the row in it, and the member's name where it has one."""
        number, sample = self._samples[row]
        member = f" ({sample.name})" if sample.name else ""
        return f"{self._shards[number].name} row {sample.row}{member}"

    def fetch(self, rows: Sequence[int]) -> Iterator[bytes]:
        """Yield the bytes of some images; each file is opened once.

        Raises:
            ValueError: Naming a file that cannot be had, or is not as it was.
        """
        for number, group in groupby(rows, key=lambda row: self._samples[row][0]):
            shard = self._shards[number]
            try:
                with self._store.opened(shard) as descriptor:
                    for row in group:
                        sample = self._samples[row][1]
                        data = read_at(descriptor, sample.offset, sample.size)
                        if len(data) != sample.size:
                            raise ValueError(f"{self.name(row)}: the file ends before it, and has changed")
                        yield data
            except OSError as error:
                raise ValueError(f"{shard.name}: cannot be read ({type(error).__name__}: {error})") from error

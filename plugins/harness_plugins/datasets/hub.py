"""Image rows from the Hugging Face hub, by its `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any

from annotated_types import Len, MinLen

from harness.contract import DamagedImage, Dataset, Prepared, Split
from harness_plugins.datasets.encoded_images import EncodedImages
from harness_plugins.datasets.label_numbers import number_labels
from harness_plugins.datasets.resizing import Size

INSTALL = "pip install harness-bench[data]"

Text = Annotated[str, MinLen(1)]


@dataclass(frozen=True)
class Hub(Dataset):
    """Images and labels of a dataset of the Hugging Face hub, or of a local folder that its library reads.

    `datasets` finds it: a folder of that name under the data root, else what lies in the library's own cache
    (`HF_HOME`) from an earlier use. Nothing is looked for on the network unless `download` is true, and no code of a
    dataset is ever run. Say `revision` where others shall read the same.

    The label column holds whole numbers, named by the dataset's features, or names, which are numbered in sorted
    order. Image uint8 (N, 3, H, W), decoded as it is read, as `image-folder` does: upright, always RGB; all images
    have one size, or `size` says to which they are brought (resized until it is just covered, the middle cut out).

    Lhoest et al. 2021, "Datasets: A Community Library for Natural Language Processing". Not for Parquet files that
    are at hand: `parquet` reads the same without the library, and begins 2 s sooner.

    Attributes:
        path: The dataset's name ("owner/name"), or its folder relative to the data root.
        config: Which of its configurations; None takes the only one.
        revision: The commit, in full; None takes the newest, or the newest that is in the cache.
        train: The training split, as `datasets` names it.
        test: The test split.
        image_column: Column that holds the images.
        label_column: Column that holds the labels.
        download: Whether to fetch from the hub what is not there.
        size: Height and width; None asks that all images have one size.
        skip_damaged: Leave out images that cannot be decoded, for all arms alike, and list them in the manifest,
            rather than refuse the data.
    """

    path: Text
    config: Text | None = None
    revision: Annotated[str, Len(40, 40)] | None = None
    train: Text = "train"
    test: Text = "test"
    image_column: Text = "image"
    label_column: Text = "label"
    download: bool = False
    size: Size | None = None
    skip_damaged: bool = False

    def prepare(self, root: Path | None) -> Prepared:
        """Open both splits.

        Raises:
            FileNotFoundError: Where it is not on this machine, and may not be downloaded.
            ImportError: Where `datasets` is not installed.
            OSError: Where a download fails.
            ValueError: Where a column is absent or not of images or labels.
        """
        train, test = (self._rows(root, split) for split in (self.train, self.test))
        if train.classes != test.classes:
            raise ValueError(f"{self.path}: the splits name different classes")
        classes, train_labels, test_labels = number_labels(
            train.labels,
            test.labels,
            train.classes,
            lambda split, row: (train if split == "train" else test).name(row),
        )
        parts = [
            Split({"image": EncodedImages(rows, self.size, self.skip_damaged)}, labels)
            for rows, labels in ((train, train_labels), (test, test_labels))
        ]
        return Prepared(parts[0], parts[1], classes)

    def _rows(self, root: Path | None, split: str) -> HubRows:
        try:
            import datasets
        except ImportError as error:
            raise ImportError(f"hub: the library datasets is not installed: {INSTALL}") from error
        place = self._local(root)
        table = self._load(datasets, place, split)
        where = f"{self.path} {split}"
        for column in (self.image_column, self.label_column):
            if column not in table.features:
                raise ValueError(f'{where}: no column "{column}"; there are {", ".join(table.features)}')
        feature = table.features[self.label_column]
        classes = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None
        try:
            images = table.select_columns([self.image_column])
            images = images.cast_column(self.image_column, datasets.Image(decode=False))
        except (TypeError, ValueError, NotImplementedError) as error:  # pyarrow's are among them
            raise ValueError(f'{where}: column "{self.image_column}" holds no images ({error})') from error
        allowed = [Path(datasets.config.HF_CACHE_HOME), Path(datasets.config.HF_DATASETS_CACHE)]
        allowed += [place] if place else []
        labels = table.select_columns([self.label_column])[:][self.label_column]
        for row, label in enumerate(labels):
            if isinstance(label, bool) or not isinstance(label, int | str):
                raise ValueError(
                    f'{where} row {row}: {label!r} in column "{self.label_column}", expected a whole number or a name'
                )
        return HubRows(images, self.image_column, list(labels), classes, where, allowed)

    def _local(self, root: Path | None) -> Path | None:
        """Return the folder of that name under the data root, where there is one."""
        path = PurePath(self.path)
        if path.is_absolute() or ".." in path.parts or "\0" in self.path or "://" in self.path:
            raise ValueError(
                f'hub: "{self.path}" is neither a name on the hub nor a path that stays inside the data root'
            )
        return root / self.path if root is not None and (root / self.path).is_dir() else None

    def _load(self, datasets: Any, place: Path | None, split: str) -> Any:
        try:
            with offline(datasets, not self.download):
                revision = None if place else self.revision
                table = datasets.load_dataset(
                    str(place or self.path), self.config, split=split, revision=revision
                )
        except Exception as error:  # the library raises its own, pyarrow's and those of two HTTP clients
            said = f"{type(error).__name__}: {error}"
            if self.download or place:
                raise OSError(f"hub: {self.path}, split {split}, cannot be had ({said})") from error
            raise FileNotFoundError(
                f"hub: {self.path}, split {split}, is neither a folder under the data root nor in the cache of "
                f"datasets; say download = true to fetch it ({said})"
            ) from error

        # Without the network the library takes the newest of its cache, whatever revision it was asked for.
        found = {Path(file["filename"]).parent.name for file in table.cache_files}
        if revision is not None and found != {revision}:
            raise FileNotFoundError(
                f"hub: {self.path}: the cache holds revision {', '.join(sorted(found))}, not {revision}; say "
                "download = true to fetch it"
            )
        return table


@contextmanager
def offline(datasets: Any, is_offline: bool) -> Iterator[None]:
    """Keep `datasets` and what it downloads by from the network, and put their settings back afterwards.

    Their environment variables are read when they are imported, which may have been long ago.
    """
    from huggingface_hub import constants

    modules: tuple[Any, ...] = (datasets.config, constants)
    held = [(module, module.HF_HUB_OFFLINE) for module in modules]
    try:
        for module, was in held:
            module.HF_HUB_OFFLINE = is_offline or was
        yield
    finally:
        for module, was in held:
            module.HF_HUB_OFFLINE = was


class HubRows:
    """The encoded images of one split.

    Args:
        images: The library's table, with the image column alone, not decoded.
        column: Its name.
        labels: The labels, whole numbers or names.
        classes: The classes' names where the dataset names them.
        where: Dataset and split, as messages name them.
        allowed: Folders that an image may lie in where the table holds only its path.
    """

    def __init__(
        self,
        images: Any,
        column: str,
        labels: list[int | str],
        classes: tuple[str, ...] | None,
        where: str,
        allowed: Sequence[Path],
    ) -> None:
        self.labels, self.classes = labels, classes
        self._images, self._column, self._where = images, column, where
        self._allowed = [folder.resolve() for folder in allowed]

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, row: int) -> str:
        """Return dataset, split and row."""
        return f"{self._where} row {row}"

    def fetch(self, rows: Sequence[int]) -> Iterator[bytes]:
        """Yield the bytes of some images.

        Raises:
            DamagedImage: Where there are none.
        """
        for row in rows:
            cell = self._images[row][self._column] or {}
            if isinstance(cell.get("bytes"), bytes):
                yield cell["bytes"]
            else:
                yield self._read(row, cell.get("path"))

    def _read(self, row: int, path: str | None) -> bytes:
        if path is None:
            raise DamagedImage(row, f"{self.name(row)}: no image")
        file = Path(path).resolve()
        # A table from elsewhere must not name any file of this machine.
        if not any(file.is_relative_to(folder) for folder in self._allowed):
            raise DamagedImage(row, f"{self.name(row)}: {path} lies outside the dataset")
        try:
            return file.read_bytes()
        except OSError as error:
            raise DamagedImage(row, f"{self.name(row)}: {path}: {error.strerror or error}") from error

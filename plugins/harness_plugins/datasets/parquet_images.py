"""The image column of Parquet files, decoded as it is read, a row group at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract import DamagedImage, Images
from harness_plugins.datasets.image_rows import decode
from harness_plugins.datasets.quick_decoding import QuickDecoder

if TYPE_CHECKING:
    import numpy as np

CACHE_BYTES = 2**28
"""Encoded row groups that a process keeps. A shuffled order takes its rows from all of them: where a split's encoded
images are larger, row groups are read again and again, and it pays to have them decoded once (`memory`)."""


class ParquetImages(Images):
    """The images of one split.

    Args:
        root: What the names of files are relative to in messages.
        files: Parquet files, in order.
        column: The column that holds the images.
        size: Height and width to resize to; None takes those of the first image.
        skip_damaged: Whether images that cannot be decoded are left out.

    Raises:
        ValueError: Where a file is damaged, or the first image and it may not be left out.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[Path],
        column: str,
        size: tuple[int, int] | None,
        skip_damaged: bool,
    ) -> None:
        import numpy as np

        self.skip_damaged = skip_damaged
        self._root, self._files, self._column, self._size = root, files, column, size
        self._decoder = QuickDecoder()
        self._opened: dict[int, Any] = {}
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._groups = [
            (file, group, first) for file in range(len(files)) for group, first in self._groups_of(file)
        ]
        counts = [self._open(file).metadata.row_group(group).num_rows for file, group, _ in self._groups]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._extent = size or self._first_extent()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, 3, height, width."""
        return (int(self._starts[-1]), 3, *self._extent)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Decode some rows; each row group is read once at the most.

        Raises:
            DamagedImage: Naming file and row.
            ValueError: Naming a row group that is damaged, or an image of another size.
        """
        import numpy as np

        images = np.empty((len(rows), 3, *self._extent), np.uint8)
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        for place in np.argsort(numbers, kind="stable").tolist():
            row, number = int(rows[place]), int(numbers[place])
            image = self._decode(row, number)
            if image.shape[1:] != self._extent:
                raise ValueError(
                    f"{self._place(row, number)}: the image is {image.shape[1:]}, those before "
                    f"{self._extent} (height, width); give size = [height, width]"
                )
            images[place] = image
        return images

    def _first_extent(self) -> tuple[int, int]:
        for number, start in enumerate(self._starts[:-1].tolist()):
            for row in range(start, int(self._starts[number + 1])):
                try:
                    _, height, width = self._decode(row, number).shape
                except DamagedImage:
                    if not self.skip_damaged:
                        raise
                    continue
                return height, width
        return 0, 0

    def _decode(self, row: int, number: int) -> np.ndarray:
        cell = self._cells(number)[row - int(self._starts[number])].as_py()
        try:
            return self._decoder.decode(cell) if self._size is None else decode(cell, self._size)
        except ValueError as error:
            raise DamagedImage(row, f"{self._place(row, number)}: {error}") from error

    def _place(self, row: int, number: int) -> str:
        file, _, first = self._groups[number]
        name = self._files[file].relative_to(self._root).as_posix()
        return f"{name} row {first + row - int(self._starts[number])}"

    def _cells(self, number: int) -> Any:
        """Return the encoded images of a row group, from those kept where it is among them."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        cells = self._read_group(number)
        self._kept[number] = cells
        while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > CACHE_BYTES:
            self._kept.popitem(last=False)
        return cells

    def _read_group(self, number: int) -> Any:
        import pyarrow

        file, group, first = self._groups[number]
        last = first + int(self._starts[number + 1] - self._starts[number]) - 1
        try:
            # No threads of its own: this is mostly one of several forked workers.
            column = self._open(file).read_row_group(group, columns=[self._column], use_threads=False)
            cells = column.column(0).combine_chunks()
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(
                f"{self._files[file]}: row group {group} (rows {first} to {last}) is damaged ({error})"
            ) from error
        kind = cells.type
        if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return cells.field("bytes")
        return cells

    def _groups_of(self, file: int) -> list[tuple[int, int]]:
        """Return (number, first row in the file) of a file's row groups."""
        metadata = self._open(file).metadata
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        return [(group, sum(counts[:group])) for group in range(len(counts))]

    def _open(self, file: int) -> Any:
        from pyarrow import parquet

        if file not in self._opened:
            # Mapped into memory there is no file position that processes could share.
            self._opened[file] = parquet.ParquetFile(
                self._files[file], memory_map=True, page_checksum_verification=True
            )
        return self._opened[file]

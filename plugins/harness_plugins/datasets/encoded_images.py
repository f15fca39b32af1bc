"""Encoded images from any container, decoded as they are read and brought to one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from harness.contract import DamagedImage, Images
from harness_plugins.datasets.quick_decoding import QuickDecoder
from harness_plugins.datasets.resizing import Size, cover

if TYPE_CHECKING:
    import numpy as np


class Encoded(Protocol):
    """A split's encoded images, in a fixed order."""

    def __len__(self) -> int:
        """Return their number."""
        ...

    def name(self, row: int) -> str:
        """Return where an image stands, as messages name it: file and row."""
        ...

    def fetch(self, rows: Sequence[int]) -> Iterator[bytes]:
        """Yield the bytes of some rows, which ascend, in their order.

        Raises:
            DamagedImage: Where one image cannot be had.
            ValueError: Where its whole container cannot.
        """
        ...


class EncodedImages(Images):
    """The images of one split, uint8 (N, 3, H, W).

    Args:
        source: Where their bytes are.
        size: Height and width to bring images to; None takes those of the first.
        skip_damaged: Whether images that cannot be decoded are left out.
        fit: What brings an image, uint8 (3, H, W), to `size`; resized until it just covers that and its middle cut
            out, unless given.

    Raises:
        DamagedImage: Where the first image is damaged and may not be left out.
    """

    def __init__(
        self,
        source: Encoded,
        size: Size | None,
        skip_damaged: bool,
        fit: Callable[[np.ndarray, Size], np.ndarray] = cover,
    ) -> None:
        self.skip_damaged = skip_damaged
        self._source, self._size, self._fit = source, size, fit
        self._decoder = QuickDecoder()
        self._extent = size or self._first_extent()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, 3, height, width."""
        return (len(self._source), 3, *self._extent)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Decode some rows, each container's one after the other.

        Raises:
            DamagedImage: Naming file and row.
            ValueError: Naming an image of another size, or a container that is damaged as a whole.
        """
        import numpy as np

        images = np.empty((len(rows), 3, *self._extent), np.uint8)
        places = np.argsort(rows, kind="stable").tolist()
        ascending = [int(rows[place]) for place in places]
        encoded = self._source.fetch(ascending)
        for place, row, data in zip(places, ascending, encoded, strict=True):
            image = self._decode(row, data)
            if image.shape[1:] != self._extent:
                raise ValueError(
                    f"{self._source.name(row)}: the image is {image.shape[1:]}, the first is {self._extent} "
                    "(height, width); give size = [height, width]"
                )
            images[place] = image
        return images

    def _first_extent(self) -> tuple[int, int]:
        for row in range(len(self._source)):
            try:
                (data,) = self._source.fetch([row])
                _, height, width = self._decode(row, data).shape
            except DamagedImage:
                if not self.skip_damaged:
                    raise
                continue
            return height, width
        return 0, 0

    def _decode(self, row: int, data: bytes) -> np.ndarray:
        try:
            image = self._decoder.decode(data)
        except ValueError as error:
            raise DamagedImage(row, f"{self._source.name(row)}: {error}") from error
        return image if self._size is None else self._fit(image, self._size)

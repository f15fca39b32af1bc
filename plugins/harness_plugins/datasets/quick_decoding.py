"""Decoding in half of Pillow's time, by torchvision, where it gives the same pixels."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from harness_plugins.datasets.image_rows import decode

if TYPE_CHECKING:
    import numpy as np

COMPARED = 4
"""How many images a process decodes in both ways, before it trusts the quick one."""

LARGEST_PIXELS = 2**26
"""Larger images go to Pillow, which refuses what would fill the memory; torchvision ends the process."""


class QuickDecoder:
    """Decodes as `image_rows.decode` does, to the same bits.

    PNG of 8 bits and three or one channels, and plain JPEG, go to torchvision (libpng and libjpeg-turbo, which Pillow
    has as well); the rest, what fails there, and everything in a process without torch (where data is prepared) goes
    to Pillow. Where the two differ on the first images, Pillow decodes all.
    """

    def __init__(self) -> None:
        self._quick: Any = None
        self._compared = 0

    def decode(self, cell: Any) -> np.ndarray:
        """Return an image as uint8 (3, H, W).

        Raises:
            ValueError: As `image_rows.decode`.
        """
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if (
            "torch" not in sys.modules
            or self._compared < 0
            or not isinstance(data, bytes)
            or not is_plain(data)
        ):
            return decode(cell, None)
        image = self._decode_quickly(data)
        if image is None:
            return decode(cell, None)
        if self._compared < COMPARED:
            import numpy as np

            expected = decode(cell, None)
            self._compared = self._compared + 1 if np.array_equal(image, expected) else -1
            return expected
        return image

    def _decode_quickly(self, data: bytes) -> np.ndarray | None:
        import torch

        if self._quick is None:
            from torchvision.io import ImageReadMode, decode_image

            self._quick = lambda encoded: decode_image(encoded, mode=ImageReadMode.RGB)
        try:
            # A copy that may be written to: torch warns of one that may not.
            decoded: np.ndarray = self._quick(torch.frombuffer(bytearray(data), dtype=torch.uint8)).numpy()
        except RuntimeError:
            return None  # Pillow says what is wrong
        return decoded


def is_plain(data: bytes) -> bool:
    """Return whether it is a PNG or JPEG without anything on which decoders differ: depths, colours, turned by EXIF."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        # IHDR comes first: bit depth and colour type (0 grey, 2 RGB) stand at a fixed place.
        is_usual = data[24:25] == b"\x08" and data[25:26] in (b"\x00", b"\x02")
        return is_usual and _is_moderate(data[16:20], data[20:24]) and not _has_chunk(data)
    return data.startswith(b"\xff\xd8\xff") and _is_plain_jpeg(data)


def _is_moderate(side: bytes, other: bytes) -> bool:
    return int.from_bytes(side, "big") * int.from_bytes(other, "big") <= LARGEST_PIXELS


def _has_chunk(data: bytes) -> bool:
    return b"tRNS" in data or b"eXIf" in data or b"acTL" in data


def _is_plain_jpeg(data: bytes) -> bool:
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in (0xE1, 0xEE):  # EXIF, and Adobe's colour transforms
            return False
        if marker in (0xC0, 0xC1, 0xC2):  # start of frame: bits, height, width, components
            is_usual = data[place + 4] == 8 and data[place + 9] in (1, 3)
            return is_usual and _is_moderate(data[place + 5 : place + 7], data[place + 7 : place + 9])
        place += 2 + length
    return False

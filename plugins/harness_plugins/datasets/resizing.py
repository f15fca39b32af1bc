"""Images brought to one size: resized until they just cover it, and a part cut out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

Size = tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]]
"""Height and width in pixels."""

PIXELS_AT_ONCE = 2**26
"""Where an image would be resized to more, only the part that is kept is made: up to rounding, the same."""


def cover(image: np.ndarray, size: Size) -> np.ndarray:
    """Return an image, uint8 (3, H, W), resized until it just covers `size`, and the middle of it cut out."""
    import numpy as np
    from PIL import Image

    height, width = image.shape[1:]
    scale = max(size[0] / height, size[1] / width)
    covering = max(size[0], round(height * scale)), max(size[1], round(width * scale))
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    top, left = (covering[0] - size[0]) // 2, (covering[1] - size[1]) // 2
    return resized_part(picture, covering, (top, left), size)


def resized_part(picture: PIL.Image.Image, resized: Size, place: tuple[int, int], size: Size) -> np.ndarray:
    """Return the part of `size` at `place` (top, left) of an image brought to `resized`, as uint8 (3, H, W)."""
    import numpy as np
    from PIL import Image

    (top, left), (height, width) = place, size
    if resized[0] * resized[1] <= PIXELS_AT_ONCE:
        whole = picture.resize((resized[1], resized[0]), Image.Resampling.BILINEAR)
        part = np.asarray(whole)[top : top + height, left : left + width]
    else:
        # A file of one pixel by 20,000 would become gigabytes, of which nearly nothing is kept.
        rows, columns = (
            (begin * old / new, (begin + length) * old / new)
            for begin, length, old, new in zip(
                place, size, (picture.height, picture.width), resized, strict=True
            )
        )
        box = columns[0], rows[0], columns[1], rows[1]
        part = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box))
    return np.ascontiguousarray(part.transpose(2, 0, 1))

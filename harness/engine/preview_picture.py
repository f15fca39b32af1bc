"""The picture of a preview: a row for each augmentation, a column for each sample, drawn with Pillow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.engine.preview import Preview, Shown, mixed_shares

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    Array = np.ndarray[Any, Any]

CELL = 72
"""Images up to this high are enlarged by a whole number, larger ones made smaller."""
LARGEST = 96
NARROWEST = 64
GAP, MARGIN = 6, 12
HEADING, BESIDE, NOTE = 13, 12, 11
MOST_SHARES = 4
PAPER, INK, SOFT = (255, 255, 255), (27, 31, 36), (90, 100, 114)


PAGE_QUALITY = 85


def draw_picture(preview: Preview, samples: int) -> tuple[bytes, bytes]:
    """Return the picture of the first `samples` samples as PNG, and as WebP, a third of the size, for a page.

    Equal previews give equal bytes. Values beyond black and white are cut off. A sample that was mixed has the
    shares of its target below it.
    """
    from PIL import Image, ImageDraw

    count = min(samples, len(preview.labels))
    labels = preview.labels[:count]
    names = [_label(row, preview.total_steps) for row in preview.shown]
    notes = [mixed_shares(row.targets[:count], labels) for row in preview.shown]
    lines = [min(MOST_SHARES, max((len(shares) for shares in row), default=0)) for row in notes]
    width, height = _cell(preview.shown[0].images.shape)
    column = max(width, NARROWEST)
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left = MARGIN + max(_width(probe, text, size) for name in names for text, size in name) + 2 * GAP
    heights = [height + line * (NOTE + 2) + GAP for line in lines]
    top = MARGIN + HEADING + GAP
    picture = Image.new(
        "RGB", (left + count * (column + GAP) - GAP + MARGIN, top + sum(heights) - GAP + MARGIN), PAPER
    )
    draw = ImageDraw.Draw(picture)
    for index, label in enumerate(labels.tolist()):
        _text(draw, (left + index * (column + GAP), MARGIN), preview.classes[label], HEADING, SOFT, column)
    for row, name, shares, drop in zip(preview.shown, names, notes, heights, strict=True):
        for number, (text, size) in enumerate(name):
            _text(draw, (MARGIN, top + 2 + number * (HEADING + 4)), text, size, SOFT if number else INK, left)
        for index in range(count):
            across = left + index * (column + GAP)
            picture.paste(_image(row.images[index], (width, height)), (across, top))
            for number, (label, share) in enumerate(shares[index][:MOST_SHARES]):
                place = (across, top + height + 1 + number * (NOTE + 2))
                _shares(draw, place, preview.classes[label], share, column)
        top += drop
    whole, small = io.BytesIO(), io.BytesIO()
    picture.save(whole, "PNG", optimize=True)
    picture.save(small, "WEBP", quality=PAGE_QUALITY)
    return whole.getvalue(), small.getvalue()


def _label(row: Shown, total_steps: int) -> list[tuple[str, int]]:
    """Return what stands beside a row, a line each with its size."""
    lines = [(row.label, HEADING)]
    if row.step is not None:
        lines.append((f"at {100 * row.step / total_steps:.0f} % of the training", BESIDE))
    elif row.placement == "loader":
        lines.append(("in the loader", BESIDE))
    return lines


def _cell(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return width and height at which images (n, C, H, W) are drawn."""
    height, width = shape[2:]
    if max(height, width) <= CELL:
        factor = CELL // max(height, width)
        return width * factor, height * factor
    scale = LARGEST / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _image(levels: Array, size: tuple[int, int]) -> Image:
    """Return an image (C, H, W) in levels, in the size of its cell."""
    from PIL import Image

    pixels = np.nan_to_num(levels).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    grows = size[0] % image.width == 0 and size[1] % image.height == 0
    return image.resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS)


def _shares(draw: ImageDraw, place: tuple[int, int], name: str, share: float, room: int) -> None:
    number = f"{share:.2f}"
    taken = _width(draw, number, NOTE) + 4
    _text(draw, place, number, NOTE, INK, taken)
    _text(draw, (place[0] + taken, place[1]), name, NOTE, SOFT, room - taken)


def _text(
    draw: ImageDraw, place: tuple[int, int], text: str, size: int, ink: tuple[int, int, int], room: int
) -> None:
    """Write a line, cut with an ellipsis where it is wider than its room."""
    kept = _printable(text)
    while len(kept) > 1 and _width(draw, kept, size) > room:
        kept = kept.removesuffix("..")[:-1] + ".."
        if len(kept) <= 3:
            break
    draw.text(place, kept, fill=ink, font=_font(size))


def _width(draw: ImageDraw, text: str, size: int) -> int:
    return round(draw.textlength(_printable(text), font=_font(size)))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)

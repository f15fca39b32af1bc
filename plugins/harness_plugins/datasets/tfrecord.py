"""TFRecord files of `tf.train.Example`: where each record's image lies, and its label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from harness_plugins.datasets.crc32c import crc32c

HEADER_BYTES, FOOTER_BYTES = 12, 4
MASK_DELTA = 0xA282EAD8


class DamagedRecord(ValueError):
    """A record whose content cannot be believed, in a file that can be read on."""


def masked_crc(data: bytes) -> int:
    """Return a checksum as the format stores it: CRC-32C rotated right by 15 bits, plus a constant."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


def records(file: BinaryIO, name: str, size: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield each record's place in the file and its content; None where its checksum is another.

    A record: its length (8 bytes, the least first), the masked checksum of these (4), the content, and its masked
    checksum (4).

    Raises:
        ValueError: Where a length's checksum is another, or the file ends within a record: what comes after it
            cannot be found.
    """
    place, number = 0, 0
    while place < size:
        header = file.read(HEADER_BYTES)
        length = int.from_bytes(header[:8], "little")
        is_whole = len(header) == HEADER_BYTES
        if is_whole and masked_crc(header[:8]) != int.from_bytes(header[8:], "little"):
            raise ValueError(
                f"{name} row {number}: the checksum of its length is another; damaged from byte {place} on"
            )
        if not is_whole or length > size - place - HEADER_BYTES - FOOTER_BYTES:
            raise ValueError(f"{name} row {number}: the file ends within it, at byte {size}: it is truncated")
        content = file.read(length)
        expected = int.from_bytes(file.read(FOOTER_BYTES), "little")
        yield place + HEADER_BYTES, content if masked_crc(content) == expected else None
        place, number = place + HEADER_BYTES + length + FOOTER_BYTES, number + 1


def parse_example(data: bytes, image: str, label: str) -> tuple[int, int, int | str]:
    """Return where the image lies in a serialised `tf.train.Example` (offset, size), and its label.

    An example is the message {1: features}, features {1: map of name to feature}, a feature one of {1: bytes list},
    {2: floats}, {3: integers}, each list {1: values}.

    Raises:
        DamagedRecord: Where it is no such message, or lacks one of the two features.
    """
    features = dict(_features(data))
    found = {}
    for name in (image, label):
        if name not in features:
            raise DamagedRecord(f'no feature "{name}"; there are {", ".join(sorted(features)) or "none"}')
        found[name] = features[name]
    kind, begin, end = found[image]
    values = [(number, at, to) for number, at, to in _fields(data, begin, end)]
    if kind != 1 or len(values) != 1 or values[0][0] != 1:
        raise DamagedRecord(f'the feature "{image}" is not one string of bytes')
    return values[0][1], values[0][2] - values[0][1], _label(data, *found[label], label)


def _label(data: bytes, kind: int, begin: int, end: int, name: str) -> int | str:
    values: list[int | str] = []
    for _, at, to in _fields(data, begin, end):
        if kind == 1:
            values.append(data[at:to].decode("utf-8", "replace"))
        elif kind == 3:
            while at < to:  # one value by itself, or several packed
                value, at = _varint(data, at, to)
                values.append(value - (1 << 64) if value >> 63 else value)
    if len(values) != 1:
        raise DamagedRecord(f'the feature "{name}" holds {len(values)} names or whole numbers, expected one')
    return values[0]


def _features(data: bytes) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Yield each feature's name, its kind, and where its list lies."""
    for number, begin, end in _fields(data, 0, len(data)):
        if number != 1:
            continue
        for entry, at, to in _fields(data, begin, end):
            parts = {part: (first, last) for part, first, last in _fields(data, at, to)}
            if entry != 1 or 1 not in parts or 2 not in parts:
                raise DamagedRecord("not a tf.train.Example")
            name = data[slice(*parts[1])].decode("utf-8", "replace")
            for kind, first, last in _fields(data, *parts[2]):
                yield name, (kind, first, last)


def _fields(data: bytes, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each field of a message, and where its value lies (begin, end)."""
    while place < end:
        tag, place = _varint(data, place, end)
        wire = tag & 7
        if wire == 0:
            _, stop = _varint(data, place, end)
        elif wire == 2:
            length, place = _varint(data, place, end)
            stop = place + length
        elif wire in (1, 5):
            stop = place + (8 if wire == 1 else 4)
        else:
            raise DamagedRecord("not a tf.train.Example")
        if stop > end:
            raise DamagedRecord("a field reaches beyond its message")
        yield tag >> 3, place, stop
        place = stop


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the least first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
    raise DamagedRecord("not a tf.train.Example: a number without an end")

"""CRC-32C (Castagnoli), the checksum of TFRecord files, by numpy."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

POLYNOMIAL = 0x82F63B78
"""Of Castagnoli, Bräuer and Herrmann 1993, its bits reversed (RFC 3720, appendix B.4)."""

STEPS = 7
"""A lane is 2^7 bytes long at the most: numpy's calls then cost about as much as its work."""

SHORT = 128
"""So few bytes are read one after the other."""


def crc32c(data: bytes) -> int:
    """Return the checksum of some bytes; tens of megabytes a second where they are an image's.

    The register is linear over GF(2) in what it holds and what it reads: so it runs over many stretches of the bytes
    side by side, and the register of a left half is moved over a right half by a matrix.
    """
    import numpy as np

    if len(data) < SHORT:
        state, entries = 0xFFFFFFFF, _entries()
        for byte in data:
            state = entries[(state ^ byte) & 0xFF] ^ (state >> 8)
        return state ^ 0xFFFFFFFF
    values = np.frombuffer(data, np.uint8)
    lanes = 1 << max(0, len(values).bit_length() - STEPS)
    length = -(-len(values) // lanes)
    # Zeros ahead leave a register of zero as it is; the start value goes into the first four bytes instead.
    padded = np.zeros(lanes * length, np.uint8)
    padded[len(padded) - len(values) :] = values
    padded[len(padded) - len(values) :][:4] ^= 0xFF
    # The last 32 lanes read zeros and begin with one bit each: they become the matrix that moves over `length` bytes.
    columns = np.zeros((length, lanes + 32), np.uint32)
    columns[:, :lanes] = padded.reshape(lanes, length).T
    state_of = np.zeros(lanes + 32, np.uint32)
    state_of[lanes:] = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    table = _table()
    for column in columns:
        state_of = table[(state_of ^ column) & 0xFF] ^ (state_of >> 8)
    registers, matrix = state_of[:lanes], state_of[lanes:]
    while len(registers) > 1:
        registers = _apply(matrix, registers[0::2]) ^ registers[1::2]
        matrix = _apply(matrix, matrix)
    return int(registers[0]) ^ 0xFFFFFFFF


def _apply(matrix: np.ndarray, registers: np.ndarray) -> np.ndarray:
    """Return the products with a matrix over GF(2), whose columns are uint32 (32,), of registers uint32 (n,)."""
    import numpy as np

    bits = (registers[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    products: np.ndarray = np.bitwise_xor.reduce(bits * matrix, axis=1)
    return products


@cache
def _table() -> np.ndarray:
    """Return what the register becomes for each of 256 bytes, uint32 (256,)."""
    import numpy as np

    state: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        state = (state >> 1) ^ (np.uint32(POLYNOMIAL) * (state & 1))
    return state


@cache
def _entries() -> list[int]:
    entries: list[int] = _table().tolist()
    return entries

"""Random numbers that depend on names alone, for datasets that select or change samples."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def philox_key(*names: object) -> int:
    """Return a key of 128 bits for numpy's Philox: other names, another stream."""
    text = "\0".join(str(name) for name in names)
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little")


def raw_numbers(count: int, *names: object) -> np.ndarray:
    """Return whole numbers of 64 random bits, uint64 (`count`,), a function of the names.

    They are the bit generator's raw stream: numpy promises that it is stable across versions, and not
    `permutation` or `choice`.
    """
    import numpy as np

    numbers: np.ndarray = np.random.Philox(key=philox_key(*names)).random_raw(count)
    return numbers

"""Images decoded into files part by part, and a digest of each, which says later whether they are still the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from harness.contract import Images
    from harness.suite.manifest import Sink

DIGEST_BYTES = 16


@contextmanager
def open_durably(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write; when it is closed, it is on the disk."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def decoded_into(
    folder: Path, images: Mapping[tuple[str, str], Images], decoding: Mapping[tuple[str, str], Images]
) -> Iterator[Sink]:
    """Give what takes each decoded part: no split is ever in memory as a whole.

    Args:
        folder: Where `<split>.<modality>.npy` goes, and `<split>.<modality>.digests.npy`, uint8 (N, 16).
        images: By split and modality, all of which a digest is kept.
        decoding: Those that are written as well.
    """
    from numpy.lib import format as npy

    def begin(name: str, shape: tuple[int, ...]) -> IO[bytes]:
        file = stack.enter_context(open_durably(folder / name))
        npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return file

    with ExitStack() as stack:
        digests = {
            (split, name): begin(f"{split}.{name}.digests.npy", (len(array), DIGEST_BYTES))
            for (split, name), array in images.items()
        }
        files = {
            (split, name): begin(f"{split}.{name}.npy", a.shape) for (split, name), a in decoding.items()
        }

        def write(split: str, name: str, part: np.ndarray) -> None:
            digests[split, name].write(b"".join(sample_digest(sample) for sample in part))
            if (split, name) in files:
                files[split, name].write(part.tobytes())

        yield write


def sample_digest(sample: np.ndarray[Any, Any]) -> bytes:
    """Return the digest of one decoded sample's bytes."""
    return blake2b(sample.tobytes(), digest_size=DIGEST_BYTES).digest()

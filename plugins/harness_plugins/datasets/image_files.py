"""Image files as they are listed, to be decoded by `EncodedImages`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.contract import DamagedImage


class ImageFiles:
    """The image files of one split.

    Args:
        root: What the names of files are relative to in messages.
        paths: Its files, in order.
        places: What stands before each file's name in messages (a list's line); nothing where it is empty.
    """

    def __init__(self, root: Path, paths: Sequence[Path], places: Sequence[str] = ()) -> None:
        self._root, self._paths, self._places = root, paths, places

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, row: int) -> str:
        """Return a file's name, relative to the data root, with the place that names it."""
        name = self._paths[row].relative_to(self._root).as_posix()
        return f"{self._places[row]}: {name}" if self._places else name

    def fetch(self, rows: Sequence[int]) -> Iterator[bytes]:
        """Yield the content of some files.

        Raises:
            DamagedImage: Naming a file that is not there or cannot be read.
        """
        for row in rows:
            try:
                data = self._paths[row].read_bytes()
            except OSError as error:
                raise DamagedImage(row, f"{self.name(row)}: {error.strerror or error}") from error
            yield data

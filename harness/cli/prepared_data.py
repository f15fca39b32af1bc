"""What the cache of prepared data takes, and which of it is what data was before it changed: `harness doctor`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_MOST_FOLDERS = 5


def prepared_data(cache: Path) -> tuple[str, str] | None:
    """Return how much the prepared data of a cache takes, and how to remove what is older; None where there is none.

    Nothing is removed here: a run in another terminal may be training on data as it was when that run began, and
    data that comes back (a branch, a disk) is not decoded again. Of a data set with other parameters, or of another
    state of its plugin, nobody can tell whether it is wanted again: it counts, and is not told as older.

    Args:
        cache: The cache folder (`suite.prepare.default_cache`).
    """
    from harness.suite.kept import outdated, prepared_folders

    folders, old = prepared_folders(cache / "prepared"), outdated(cache / "prepared")
    if not folders:
        return None
    text = f"{_size(folders)} in {cache / 'prepared'}"
    if not old:
        return text, ""
    named = shlex.join(map(str, old[:_MOST_FOLDERS]))
    more = f" and {len(old) - _MOST_FOLDERS} more" if len(old) > _MOST_FOLDERS else ""
    return (
        f"{text}, {_size(old)} of it data as it was before it changed",
        f"when no run uses it any more: rm -r {named}{more}",
    )


def gigabytes(count: float) -> str:
    """Return bytes in words."""
    if count < 1e9:
        return f"{count / 1e6:,.0f} MB"
    return f"{count / 1e9:,.0f} GB" if count >= 1e10 else f"{count / 1e9:.1f} GB"


def _size(folders: Sequence[Path]) -> str:
    count = 0
    for folder in folders:
        with suppress(OSError):  # somebody else's, or removed while we look
            count += sum(file.stat().st_size for file in folder.iterdir())
    return gigabytes(count)

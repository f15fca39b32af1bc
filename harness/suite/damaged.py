"""Images that cannot be decoded, left out where a dataset says so, the same for all arms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.contract import DamagedImage, Images, Prepared, Split
from harness.errors import DataError, PluginError
from harness.suite.manifest import read_rows, splits_of

if TYPE_CHECKING:
    import numpy as np

ROWS_AT_ONCE = 64


def leave_out_damaged(prepared: Prepared, where: str) -> tuple[Prepared, dict[str, np.ndarray]]:
    """Return a dataset without its damaged images, and by split the rows that are left, int64 (n,).

    Only what says `skip_damaged` is looked through: a pass of decoding more. A split that is decoded already
    has no rows here.

    Raises:
        DataError: Where reading fails in another way.
        PluginError: Where reading breaks the contract.
    """
    import numpy as np

    kept: dict[str, np.ndarray] = {}
    skipped = list(prepared.skipped)
    splits: dict[str, Split] = {}
    for name, split in splits_of(prepared).items():
        splits[name] = split
        images = [array for array in split.inputs.values() if isinstance(array, Images)]
        if not images:
            continue
        damaged: dict[int, str] = {}
        for each in images:
            if each.skip_damaged:
                damaged |= find_damaged(each, f"{where}, {name} split")
        rows = np.setdiff1d(np.arange(len(images[0])), np.array(sorted(damaged), np.int64))
        kept[name] = rows
        if damaged:
            inputs = {modality: array[rows] for modality, array in split.inputs.items()}
            sources = None if split.sources is None else split.sources[rows]
            splits[name] = Split(inputs, split.labels[rows], sources)
            # Versions of one image are damaged as one.
            skipped += dict.fromkeys(damaged[row] for row in sorted(damaged))
    return replace(prepared, train=splits["train"], test=splits["test"], skipped=tuple(skipped)), kept


def find_damaged(images: Images, where: str) -> dict[int, str]:
    """Return what is wrong with each row that cannot be decoded."""
    import numpy as np

    damaged: dict[int, str] = {}
    for start in range(0, len(images), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(images)))
        while len(rows):
            try:
                read_rows(images, rows, where)
                break
            except DamagedImage as error:
                if error.row not in rows:
                    raise PluginError(
                        f"{where}: DamagedImage names row {error.row}, which was not asked for"
                    ) from error
                damaged[error.row] = str(error)
                rows = rows[rows != error.row]
            except (OSError, ValueError) as error:
                raise DataError(f"{where}: {error}") from error
    return damaged

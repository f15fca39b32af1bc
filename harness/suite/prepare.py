"""Data, decoded once: arrays to map into memory, and the manifest that says what they are.

    <cache>/prepared/<key>/manifest.json, <split>.<modality>.npy, <split>.labels.npy

The key covers what the data was made by: components with their source digests, parameters and the data root.
What came out is in the manifest's own hash, which goes into every trial id. `sources.json` names the files that were
read, with size and time of change (`sources`): where one changed since, the data is prepared anew, and where its
content differs, in a folder beside (`kept`).

A modality that the dataset gives as `Images` may stay as published, to be decoded in each epoch (`stream`): then
its arrays are not there. `encoded.json` names such modalities, `<split>.rows.npy` the rows that are used, and
`<split>.<modality>.digests.npy` says whether they are still the same. Decoded or not is no part of the manifest,
and what is missing is decoded when a later run asks for it. `decode_once.json` names the modalities that stay
encoded for nobody but who asks for `stream`.

Where a training split holds several versions of its images, `train.sources.npy` says which are of one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson
import platformdirs

from harness.contract import Images
from harness.errors import DataError
from harness.registry.digests import digest_json
from harness.suite.damaged import leave_out_damaged
from harness.suite.dataset import data_of
from harness.suite.decoded import decoded_into, open_durably
from harness.suite.kept import (
    DECODE_ONCE,
    ENCODED,
    MANIFEST,
    SOURCES,
    Mode,
    array_file,
    find_kept,
    find_orphaned,
    folder_for,
    names_in,
    read_manifest,
    tell_changes,
)
from harness.suite.manifest import check_arrays, make_manifest, splits_of
from harness.suite.sources import Watch, watched

if TYPE_CHECKING:
    import numpy as np

    from harness.registry.registry import Registry

FORMAT = 1
"""Counts up when what lies in a prepared folder changes, so that older folders are not opened."""

STREAM_BYTES = 20 * 2**30
"""Decoded data of more than this is left as published, unless the suite asks for it."""

STREAM_SHARE = 0.5
"""So is what would take more than this share of the disk's free room."""


@dataclass(frozen=True, slots=True)
class PreparedData:
    """A dataset that is ready to be opened.

    Attributes:
        manifest: What the data is (docs/dataflow.md); its `hash` covers the rest of it.
        folder: Where the arrays lie.
        notice: What the user has to know of it, in a line: which files changed since it was last prepared, or that
            they are gone. Empty as a rule.
    """

    manifest: dict[str, Any]
    folder: Path
    notice: str = field(default="", compare=False)


def default_cache() -> Path:
    """Return `HARNESS_CACHE`, or else the platform's folder for caches."""
    return Path(os.environ.get("HARNESS_CACHE") or platformdirs.user_cache_dir("harness-bench"))


def prepare(
    dataset: Mapping[str, Any],
    registry: Registry,
    data_root: Path | None,
    cache: Path,
    *,
    mode: Mode = "auto",
) -> PreparedData:
    """Return a dataset's prepared folder, made first where it is not there yet or its files changed since.

    Of several processes that want the same data one makes it and the others wait; what a crash left half done
    is never visible under the folder's name.

    Args:
        dataset: The dataset in normal form.
        registry: Where its component comes from.
        data_root: The data root, or None where none is set.
        cache: The cache folder; `default_cache()` unless the user says otherwise.
        mode: How the suite wants samples to reach the device: with "stream" what can stay encoded does, with
            "auto" where it is large, else everything is decoded.

    Raises:
        DataError: Where the data is absent, damaged or unfit, or the cache cannot be written.
        PluginError: Where the dataset's plugin is not there or fails.
    """
    root = data_root.resolve() if data_root is not None else None
    components = registry.describe("dataset", dataset)
    sources = [[component["full_name"], component["source_digest"]] for component in components]
    key = digest_json([FORMAT, sources, dataset["params"], None if root is None else os.fsencode(root).hex()])
    folder = cache / "prepared" / key
    kept = find_kept(folder, mode, root)
    if kept is None:
        with _lock(folder):
            kept = find_kept(folder, mode, root)
            if kept is None:
                try:
                    return _make(dataset, components[0]["full_name"], registry, root, folder, mode)
                except DataError as error:
                    kept = find_orphaned(folder, mode)
                    if kept is None or not isinstance(error.__cause__, FileNotFoundError):
                        raise
    return PreparedData(*kept)


def encoded_modalities(folder: Path) -> list[str]:
    """Return the modalities of a prepared folder that the dataset can decode as they are read."""
    return names_in(folder / ENCODED)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the lock beside `folder`, once whoever has it lets it go; the system frees a dead process's."""
    with _disk(folder.parent, 0):
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with _disk(folder.parent, 0):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[None]:
    """Turn what the disk refuses into a `DataError` that names the folder and the `size` in bytes."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(f"{folder}: a file stands where a folder should be (HARNESS_CACHE)") from error
    except OSError as error:
        needed = f" ({size:,} bytes of prepared data)" if size else ""
        raise DataError(
            f"{folder}: cannot be written{needed}: {error.strerror or error}; "
            "make room, or set HARNESS_CACHE to another folder"
        ) from error


def _make(
    dataset: Mapping[str, Any],
    full_name: str,
    registry: Registry,
    root: Path | None,
    folder: Path,
    mode: Mode,
) -> PreparedData:
    """Decode, check and write. The caller holds the lock."""
    with watched(root, (folder.parents[1], default_cache())) as watch:
        return _decode(dataset, full_name, registry, root, folder, mode, watch)


def _decode(
    dataset: Mapping[str, Any],
    full_name: str,
    registry: Registry,
    root: Path | None,
    folder: Path,
    mode: Mode,
    watch: Watch,
) -> PreparedData:
    component, found = data_of(dataset, full_name, registry, root)
    check_arrays(found, f'dataset "{full_name}"')
    prepared, rows = leave_out_damaged(found, f'dataset "{full_name}"')
    arrays: dict[tuple[str, str], np.ndarray | Images] = {
        (split, name): array
        for split, part in splits_of(prepared).items()
        for name, array in (*part.inputs.items(), ("labels", part.labels))
    }
    images = {key: array for key, array in arrays.items() if isinstance(array, Images)}
    free = shutil.disk_usage(folder.parent).free
    decoding = {} if _stay_encoded(images, mode, free) else images
    whole = {key: array for key, array in arrays.items() if not isinstance(array, Images)}
    whole |= {(split, "rows"): kept for split, kept in rows.items()}
    whole |= {
        (split, "sources"): part.sources
        for split, part in splits_of(prepared).items()
        if part.sources is not None
    }
    size = sum(a.nbytes for a in whole.values()) + sum(a.nbytes for a in decoding.values())
    temporary = folder.with_name(f".{folder.name}.partial")
    with _disk(folder, size):
        if free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        shutil.rmtree(temporary, ignore_errors=True)  # what a crash left; nobody else has the lock
        try:
            temporary.mkdir()
            with decoded_into(temporary, images, decoding) as sink:
                manifest = make_manifest(
                    prepared, full_name, component.licence, component.changes_label, sink=sink
                )
            for (split, name), array in whole.items():
                with open_durably(array_file(temporary, split, name)) as file:
                    _save(file, array)
            _write_json(temporary / ENCODED, sorted({name for _, name in images}))
            if once := sorted({name for (_, name), array in images.items() if array.decode_once}):
                _write_json(temporary / DECODE_ONCE, once)
            with open_durably(temporary / SOURCES) as file:
                watch.sources().write(file)
            _write_json(temporary / MANIFEST, manifest)
            _sync(temporary)
            notice, place = tell_changes(folder, manifest, root), folder_for(folder, manifest)
            _put_in_place(temporary, place, manifest)
            _sync(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return PreparedData(manifest, place, notice)


def _stay_encoded(images: Mapping[tuple[str, str], Images], mode: Mode, free: int) -> bool:
    """Return whether images are left as published, given the disk's free room in bytes."""
    if mode != "auto":
        return mode == "stream"
    if any(array.decode_once for array in images.values()):
        return False  # all of them: a trial reads both splits in one way
    return sum(array.nbytes for array in images.values()) > min(STREAM_BYTES, STREAM_SHARE * free)


def _put_in_place(temporary: Path, folder: Path, manifest: Mapping[str, Any]) -> None:
    if not folder.is_dir():
        temporary.rename(folder)
        return
    if read_manifest(folder) == manifest:  # it lacks an array, or is not new: whoever reads the rest goes on
        for file in temporary.iterdir():
            file.replace(folder / file.name)
    else:
        shutil.rmtree(folder)
        temporary.rename(folder)


def _write_json(path: Path, value: Any) -> None:
    with open_durably(path) as file:
        file.write(orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))


def _save(file: IO[bytes], array: np.ndarray) -> None:
    import numpy as np

    np.save(file, array, allow_pickle=False)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

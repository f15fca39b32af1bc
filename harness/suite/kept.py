"""Prepared folders that are there already: which is whole, and which is still what its files say.

Data that changed is prepared beside the folder of before, as `<key>-<manifest hash>`: trials of a run that goes on
may be reading that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import orjson

from harness.suite.manifest import manifest_hash
from harness.suite.sources import Sources, read_sources

MANIFEST = "manifest.json"
ENCODED = "encoded.json"
DECODE_ONCE = "decode_once.json"
SOURCES = "sources.json"

Mode = Literal["auto", "resident", "memory", "stream"]

Kept = tuple[dict[str, Any], Path, str]
"""A manifest, its folder, and what the user has to know, or nothing."""


def find_kept(first: Path, mode: Mode, root: Path | None) -> Kept | None:
    """Return what was prepared and has all that `mode` needs, where its files are what they were; else None.

    Args:
        first: The folder that a key has unless its data changed.
        mode: How the suite wants samples to reach the device.
        root: The data root, that names are told relative to.
    """
    for number, (folder, manifest, sources) in enumerate(_whole(first, mode)):
        if sources.now() == sources:
            if not number:
                return manifest, folder, ""
            # The files are once more what they were before the last.
            told = tell_changes(first, manifest, root)
            with suppress(OSError):
                (folder / SOURCES).touch()
            return manifest, folder, told
    return None


def find_orphaned(first: Path, mode: Mode) -> Kept | None:
    """Return what was prepared last, where not one of its files is left (a disk that is not there); else None."""
    for folder, manifest, sources in _whole(first, mode):
        if not sources.now().is_empty():
            return None
        places = sorted(_shown(place, None) for place in (*sources.listed, *sources.opened))
        return (
            manifest,
            folder,
            f"no file of the data is left ({places[0]}); what was prepared of them is used",
        )
    return None


def _whole(first: Path, mode: Mode) -> Iterator[tuple[Path, dict[str, Any], Sources]]:
    for folder in kept_folders(first):
        manifest, sources = complete(folder, mode), read_sources(folder / SOURCES)
        if manifest is not None and sources is not None:
            yield folder, manifest, sources


def prepared_folders(place: Path) -> list[Path]:
    """Return all folders of prepared data in a cache, sorted."""
    return sorted(folder for folder in place.glob("[!.]*") if (folder / MANIFEST).is_file())


def outdated(place: Path) -> list[Path]:
    """Return those that hold data as it was before it changed: beside each, something newer of the same key."""
    keys = dict.fromkeys(folder.name.partition("-")[0] for folder in prepared_folders(place))
    return sorted(folder for key in keys for folder in kept_folders(place / key)[1:])


def kept_folders(first: Path) -> list[Path]:
    """Return the prepared folders of a key, the one that was prepared or came back last before the others."""
    found = [(_time_of(folder), folder) for folder in (first, *first.parent.glob(f"{first.name}-*"))]
    return [folder for time_ns, folder in sorted(found, reverse=True) if time_ns]


def folder_for(first: Path, manifest: Mapping[str, Any]) -> Path:
    """Return where data of a manifest goes: where the same is, or beside what differs."""
    for folder in kept_folders(first):
        if read_manifest(folder) == manifest:
            return folder
    if read_manifest(first) is None:
        return first
    return first.with_name(f"{first.name}-{manifest['hash'][:16]}")


def tell_changes(first: Path, manifest: Mapping[str, Any], root: Path | None) -> str:
    """Return in a line what changed since data was last prepared; nothing where it is the same, or the first.

    Args:
        first: The folder that the key has unless its data changed.
        manifest: What the data is now.
        root: The data root, that names are told relative to.
    """
    last = next((folder for folder in kept_folders(first) if read_manifest(folder) is not None), None)
    if last is None or read_manifest(last) == manifest:
        return ""
    told = f"data changed since it was prepared (manifest {manifest['hash'][:8]}): "
    then = read_sources(last / SOURCES)
    if then is None:
        return f"{told}what it was read from then is not known; the arrays of before stay in {last}"
    changed = then.differences(then.now())
    count = f"{len(changed):,} files changed, first" if len(changed) != 1 else "1 file changed,"
    which = f"{count} {_shown(changed[0], root)}" if changed else "in files that are not known to be read"
    return f"{told}{which}; the arrays of before stay in {last}"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder, or None where there is none that is whole."""
    try:
        manifest: dict[str, Any] = orjson.loads((folder / MANIFEST).read_bytes())
        return manifest if manifest["hash"] == manifest_hash(manifest) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def complete(folder: Path, mode: Mode) -> dict[str, Any] | None:
    """Return the manifest of a folder in which everything is there that `mode` needs, else None."""
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    try:
        encoded = names_in(folder / ENCODED)
        may_stay = encoded if mode == "stream" else []
        if mode == "auto" and not names_in(folder / DECODE_ONCE):
            may_stay = encoded
        arrays = [name for name in [*manifest["modalities"], "labels"] if name not in may_stay]
        arrays += ["rows", *(f"{name}.digests" for name in encoded)] if encoded else []
        files = [array_file(folder, split, name) for split in manifest["splits"] for name in arrays]
        files += [
            array_file(folder, split, "sources")
            for split, said in manifest["splits"].items()
            if "sources_digest" in said
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return manifest if all(file.is_file() for file in files) else None


def array_file(folder: Path, split: str, name: str) -> Path:
    """Return the file of a split's array."""
    return folder / f"{split}.{name}.npy"


def names_in(file: Path) -> list[str]:
    """Return the names that a file of a prepared folder lists; none where it is not there."""
    try:
        names: list[str] = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return []
    return names


def _time_of(folder: Path) -> int:
    """Return when a folder was prepared or came back last; 0 where nothing says so."""
    for name in (SOURCES, MANIFEST):
        try:
            return (folder / name).stat().st_mtime_ns
        except OSError:
            continue
    return 0


def _shown(path: str, root: Path | None) -> str:
    """Return a path on one line, relative to the data root where it lies below it."""
    inside = root is not None and Path(path).is_relative_to(root)
    name = os.path.relpath(path, root) if inside else path
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)

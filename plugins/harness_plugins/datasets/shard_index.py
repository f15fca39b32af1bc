"""Which samples a shard holds, and where: found once for each version of a file, and kept."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from harness_plugins.datasets.shard_store import Shard, ShardStore, read_at
from harness_plugins.datasets.tfrecord import DamagedRecord, parse_example, records

FORMAT = 1
"""Counts up when what an index holds changes."""

MEMBER = re.compile(r"^((?:.*/|)[^./][^.]*)[.]([^/]*)$")
"""A sample's key, up to the first dot of the file's name, and the field's name, as WebDataset has them."""

LABEL_BYTES = 2**20
BLOCK_BYTES = 512


@dataclass(frozen=True, slots=True)
class Fields:
    """Where in a sample its image and its label are.

    Attributes:
        image_keys: Tar: names of the field that is the image; a sample has one of them.
        label_field: Tar: the key of the label in a sample's `json`, where it has no `cls`.
        image_feature: TFRecord: the feature that is the image.
        label_feature: TFRecord: the feature that is the label.
    """

    image_keys: tuple[str, ...]
    label_field: str
    image_feature: str
    label_feature: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of a shard: its number in the file, its name there, where its image lies, its label."""

    row: int
    name: str
    offset: int
    size: int
    label: int | str


@dataclass(frozen=True, slots=True)
class Index:
    """The samples of a shard, and what could not be read: rows with what is wrong with each."""

    samples: list[Sample]
    damaged: list[str]


def read_index(shard: Shard, store: ShardStore, fields: Fields, is_tar: bool, folder: Path) -> Index:
    """Return a shard's index, from those kept where it is among them, else made and kept.

    Raises:
        OSError: Where the shard cannot be had, or the index not be written.
        ValueError: Where the shard is damaged as a whole, or a sample is not as it should be.
    """
    described = json.dumps([FORMAT, is_tar, asdict(fields)])
    key = blake2b(f"{shard.key}\0{described}".encode(), digest_size=16).hexdigest()
    file = folder / f"{key}.json"
    kept = _load(file)
    if kept is not None:
        return kept
    with store.opened(shard) as descriptor, os.fdopen(os.dup(descriptor), "rb") as opened:
        opened.seek(0)
        if os.fstat(descriptor).st_size != shard.size:
            raise ValueError(f"{shard.name}: it changed while it was read")
        index = index_tar(opened, shard, fields) if is_tar else index_tfrecord(opened, shard, fields)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"samples": [list(_row(sample)) for sample in index.samples], "damaged": index.damaged}
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(file)
    return index


def _row(sample: Sample) -> tuple[int, str, int, int, int | str]:
    return sample.row, sample.name, sample.offset, sample.size, sample.label


def _load(file: Path) -> Index | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Index([Sample(*row) for row in content["samples"]], list(content["damaged"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # not there, or torn by a crash


def index_tfrecord(file: BinaryIO, shard: Shard, fields: Fields) -> Index:
    """Return the samples of a TFRecord file; the checksum of every record is compared."""
    samples, damaged = [], []
    for row, (place, content) in enumerate(records(file, shard.name, shard.size)):
        if content is None:
            damaged.append(f"{shard.name} row {row}: its checksum is another: damaged")
            continue
        try:
            offset, size, label = parse_example(content, fields.image_feature, fields.label_feature)
        except DamagedRecord as error:
            raise ValueError(f"{shard.name} row {row}: {error}") from error
        samples.append(Sample(row, "", place + offset, size, label))
    return Index(samples, damaged)


def index_tar(file: BinaryIO, shard: Shard, fields: Fields) -> Index:
    """Return the samples of a WebDataset tar file: members that follow each other and share a key."""
    groups: list[tuple[str, dict[str, tarfile.TarInfo]]] = []
    for key, field, member in _members(file, shard):
        if not groups or groups[-1][0] != key:
            groups.append((key, {}))
        if field in groups[-1][1]:
            raise ValueError(f"{shard.name}: two members {member.name}")
        groups[-1][1][field] = member
    samples = []
    for row, (key, members) in enumerate(groups):
        where = f"{shard.name} row {row} ({key})"
        images = [name for name in fields.image_keys if name in members]
        if len(images) != 1:
            wanted, found = "|".join(fields.image_keys), ", ".join(members)
            raise ValueError(f"{where}: {len(images)} images, expected one of {wanted}; it has {found}")
        image = members[images[0]]
        label = _label(file.fileno(), members, fields, where)
        samples.append(Sample(row, image.name, image.offset_data, image.size, label))
    return Index(samples, [])


def _members(file: BinaryIO, shard: Shard) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Yield the key, the field and the header of each file in a tar file."""
    end = 0
    try:
        # "r:" is a tar file that is not compressed: only in such can a sample be read by itself.
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                end = member.offset_data
                if member.isreg():
                    end += -(-member.size // BLOCK_BYTES) * BLOCK_BYTES
                match = MEMBER.match(member.name)
                if member.isreg() and not member.issparse() and match:
                    yield match[1], match[2].lower(), member
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(
            f"{shard.name}: not a whole tar file without compression ({type(error).__name__}: {error})"
        ) from error
    if read_at(file.fileno(), end, BLOCK_BYTES) != bytes(BLOCK_BYTES):
        raise ValueError(f"{shard.name}: no mark of its end at byte {end}: it is truncated")


def _label(descriptor: int, members: dict[str, tarfile.TarInfo], fields: Fields, where: str) -> int | str:
    """Return a sample's label: the whole number or the name in its `cls`, or what its `json` has."""
    member = members.get("cls") or members.get("json")
    if member is None:
        raise ValueError(
            f"{where}: no label, expected cls or json; it has {', '.join(members)}; "
            "members of one sample follow each other"
        )
    if member.size > LABEL_BYTES:
        raise ValueError(f"{where}: {member.name} has {member.size:,} bytes, expected a label")
    text = read_at(descriptor, member.offset_data, member.size).decode("utf-8", "replace").strip()
    label: Any = text
    if "cls" in members:
        label = int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else text
    else:
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{where}: {member.name} is no JSON ({error})") from error
        label = content.get(fields.label_field) if isinstance(content, dict) else None
    if isinstance(label, bool) or not isinstance(label, int | str) or label == "":
        raise ValueError(
            f"{where}: {member.name} holds no label, expected a whole number or a name"
            + ("" if "cls" in members else f' under the key "{fields.label_field}"')
        )
    return label

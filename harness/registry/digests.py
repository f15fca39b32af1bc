"""Hashes of JSON and of bytes."""

import hashlib
from pathlib import Path

import orjson


def digest_bytes(data: bytes) -> str:
    """Return the blake2b hash of `data`, 16 bytes, as hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def digest_file(path: Path) -> str:
    """Return the hash of a file's bytes, as `digest_bytes` would: read in parts."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while part := file.read(1 << 22):
            digest.update(part)
    return digest.hexdigest()


def digest_json(value: object) -> str:
    """Return the hash of a JSON value; the order of keys does not count."""
    return digest_bytes(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))

"""Whether the records were made in one environment, and what it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from harness.board.select import Record, value_at

Shared = Mapping[str, Any]


def shared_of(records: Iterable[Record], name: str, shared: Shared) -> dict[str, Any]:
    """Return by hash what `records`, each with its `refs`, refer to as `name`; None where it is not in `shared`."""
    hashes = {digest for record in records if isinstance(digest := value_at(record, "refs", name), str)}
    return {digest: shared.get(digest) for digest in sorted(hashes)}


def environment_stamps(records: Sequence[Record], timings: Sequence[Record], shared: Shared) -> list[str]:
    """Say where the records' hosts differ in what may change a result's bits, or their or the timings' code differs."""
    stamps = []
    hosts = _parts(shared_of(records, "host", shared), ("accuracy",))
    if len(hosts) > 1:
        stamps.append(f"mixed hosts: trials ran in {len(hosts)} environments{_difference(hosts)}")
    trained, code = (shared_of(some, "code", shared) for some in (records, [*records, *timings]))
    if len(engines := {_engine(digest, value) for digest, value in code.items()}) > 1:
        ran = (
            "trials"
            if len({_engine(*item) for item in trained.items()}) == len(engines)
            else "trials and timings"
        )
        stamps.append(f"mixed code: {ran} ran with {len(engines)} states of the harness")
    if any(value_at(value, "dirty") is True for value in code.values()):
        stamps.append("uncommitted code: the harness had changes that no commit holds")
    return stamps


def _parts(hosts: Mapping[str, Any], names: tuple[str, ...]) -> dict[bytes, Any]:
    """Return the distinct environments; a host that cannot be resolved is one of its own."""
    parts: dict[bytes, Any] = {}
    for digest, host in hosts.items():
        found = {name: value_at(host, name) for name in names}
        known = any(value is not None for value in found.values())
        value = found if known else {"hash": digest} if host is None else host
        parts[orjson.dumps(value, option=orjson.OPT_SORT_KEYS)] = value
    return parts


def _engine(digest: str, code: Any) -> str:
    """Return what decides a result of a state of the code: an edited README is no other engine."""
    return str(value_at(code, "engine") or digest)


def _difference(hosts: Mapping[bytes, Any]) -> str:
    """Name the entries that differ, as in ` (libraries.torch, cpu)`."""
    flat = [dict(_flatten(value_at(host, "accuracy") or {})) for host in hosts.values()]
    names = sorted({name for one in flat for name in one})
    different = [name for name in names if len({repr(one.get(name)) for one in flat}) > 1]
    return f" ({', '.join(different)})" if different else ""


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, entry in value.items():
        if isinstance(entry, dict):
            yield from _flatten(entry, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", entry

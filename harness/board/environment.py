"""Whether the records were made in one environment, and what it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from harness.board.host_words import groups_in_words, host_in_brief
from harness.board.select import Record, value_at
from harness.board.wording import counted

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


def origin_stamps(
    records: Sequence[tuple[Record, int]], timings: Sequence[Record], shared: Shared
) -> list[str]:
    """Say of which machines accuracy and speed are, where they are of more than one kind.

    Args:
        records: Each with the number of trials that it stands for.
        timings: Those that are shown.
        shared: By hash, what they refer to.
    """
    told = [
        ("accuracy", _origins(records, shared), "trial"),
        ("speed and memory", _origins([(timing, 1) for timing in timings], shared), "timing"),
    ]
    if len({name for _, origins, _ in told for name in origins}) < 2:
        return []
    parts = [
        f"{what} of {' and of '.join(f'{name} ({counted(count, word)})' for name, count in origins.items())}"
        for what, origins, word in told
        if origins
    ]
    return [f"shown: {'; '.join(parts)}"]


def _origins(records: Sequence[tuple[Record, int]], shared: Shared) -> dict[str, int]:
    """Return how many records are of which machine, the most first; one that is not known is not told."""
    found: dict[str, int] = {}
    for record, count in records:
        host = shared.get(str(value_at(record, "refs", "host")))
        if isinstance(host, Mapping):
            name = host_in_brief(host)
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


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
    """Tell the entries that differ, as in ` (torch: 2.9.1 and 2.15.0)`."""
    parts = [value_at(host, "accuracy") for host in hosts.values()]
    flat = [dict(_flatten(part)) if isinstance(part, dict) else {} for part in parts]
    names = sorted({name for one in flat for name in one})
    different = [name for name in names if len({repr(one.get(name)) for one in flat}) > 1]
    return f" ({groups_in_words(different, flat, is_pooled=True)})" if different else ""


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, entry in value.items():
        if isinstance(entry, dict):
            yield from _flatten(entry, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", entry

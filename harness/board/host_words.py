"""In what two machines or environments differ, with the values of both: words for a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.gate_hosts import speed_keys

Json = Mapping[str, Any]

MOST = 4
"""Differences that are told; more are counted, and the JSON has them all."""
_PREFIXES = ("libraries.", "speed.")


def differences_in_words(differs: Sequence[str], hosts: Sequence[Json | None]) -> str:
    """Return `torch 2.9.1 in the base, 2.15.0 in the candidate; and 3 more`; torch, which decides most, comes first.

    Args:
        differs: Keys as `gate_hosts.differing` names them, and others, which are told as they are.
        hosts: The fingerprints of base and candidate.
    """
    return _listed(differs, *(speed_keys(host) for host in hosts))


def _listed(differs: Sequence[str], base: Json, candidate: Json) -> str:
    ordered = sorted(differs, key=lambda key: key != "libraries.torch")
    told = [
        f"{_name(key)} {_value(key, base.get(key))} in the base, {_value(key, candidate.get(key))} in the candidate"
        if key in base or key in candidate
        else key
        for key in ordered[:MOST]
    ]
    more = [f"and {len(ordered) - MOST} more"] if len(ordered) > MOST else []
    return "; ".join([*told, *more])


def environments_in_words(base: Json | None, candidate: Json | None) -> str:
    """Return in what two environments differ that the bits of a result hang on, as `differences_in_words` does.

    Args:
        base: A host's fingerprint, as records refer to it.
        candidate: The other's.
    """
    one, other = (_accuracy(host) for host in (base, candidate))
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    return _listed(keys, one, other)


def apart_in_words(base: Sequence[Json], candidate: Sequence[Json]) -> str:
    """Return in what two sides' environments differ; empty where they are the same ones, or a side's are not known.

    Of several on a side the first is told that the other side lacks, and how many there were.

    Args:
        base: Fingerprints of the hosts of a side.
        candidate: Those of the other.
    """
    sides = [{digest_json(_accuracy(host)): host for host in hosts} for hosts in (base, candidate)]
    one, other = ({key: own[key] for key in sorted(own)} for own in sides)
    if not one or not other or one.keys() == other.keys():
        return ""
    pair = (
        next((own[key] for key in own if key not in theirs), next(iter(own.values())))
        for own, theirs in ((one, other), (other, one))
    )
    counts = [
        f"the {word} ran in {len(own)} environments"
        for word, own in (("base", one), ("candidate", other))
        if len(own) > 1
    ]
    return "; ".join([environments_in_words(*pair), *counts])


def _accuracy(host: Json | None) -> dict[str, Any]:
    part = (host or {}).get("accuracy") or {}
    libraries = part.get("libraries") or {}
    return {key: value for key, value in part.items() if key != "libraries"} | {
        f"libraries.{name}": version for name, version in libraries.items()
    }


def _name(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key.removesuffix("_bytes")


def _value(key: str, value: Any) -> str:
    if value is None or value == []:
        return "none"
    if key == "speed.memory_bytes":
        return f"{value} GiB"  # as `speed_keys` rounds it
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

"""Whether two sides were measured on machines whose speed and memory compare (PROTOCOL.md, "What may be compared")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.registry.digests import digest_json

Json = Mapping[str, Any]

_ACCURACY_KEYS = ("system", "machine", "python", "cpu", "gpu")
_LIBRARIES = ("torch", "nvidia-")
"""Libraries whose version decides speed; that of the harness itself may be what is compared."""


def differing(base: Json | None, candidate: Json | None, *, shared: bool = False) -> list[str]:
    """Return the keys in which two host fingerprints differ, as far as they decide speed; sorted.

    A key that both lack is equal. The driver counts by its major version, memory by whole GiB: what the kernel
    keeps for itself changes with every boot. Its release does not count: hosted runners change it every few weeks.

    Args:
        base: A fingerprint as `record.fingerprint.host` gives it, or None where it is not known.
        candidate: The other.
        shared: Compare the keys alone that both have.
    """
    one, other = speed_keys(base), speed_keys(candidate)
    keys = one.keys() & other.keys() if shared else one.keys() | other.keys()
    return sorted(key for key in keys if one.get(key) != other.get(key))


def is_software(key: str) -> bool:
    """Return whether a key that `differing` names is of an environment, not of the machine."""
    return key == "python" or key.startswith("libraries.")


def host_key(host: Json | None) -> str:
    """Return a short name for the kind of machine: equal for two hosts that `differing` tells nothing of."""
    return digest_json(speed_keys(host))[:12]


def speed_keys(host: Json | None) -> dict[str, Any]:
    """Return what decides speed, flat; a host that is not known has but the key "host"."""
    if not isinstance(host, Mapping) or not host:
        return {"host": None}
    accuracy, speed = _part(host, "accuracy"), _part(host, "speed")
    keys = {key: accuracy[key] for key in _ACCURACY_KEYS if key in accuracy}
    libraries = _part(accuracy, "libraries")
    keys.update({f"libraries.{name}": libraries[name] for name in libraries if name.startswith(_LIBRARIES)})
    keys.update({f"speed.{key}": _rounded(key, value) for key, value in speed.items() if key != "kernel"})
    return keys


def _part(value: Json, key: str) -> Json:
    part = value.get(key)
    return part if isinstance(part, Mapping) else {}


def _rounded(key: str, value: Any) -> Any:
    if key == "memory_bytes" and isinstance(value, (int, float)):
        return round(value / 2**30)
    if key == "driver" and isinstance(value, str):
        return value.partition(".")[0]
    return value


def one_host(hosts: Iterable[Any]) -> tuple[Json | None, list[str]]:
    """Return the host of one side, and in what its samples' hosts differ: nothing where they agree."""
    known = [host for host in hosts if isinstance(host, Mapping)]
    if not known:
        return None, []
    mixed = sorted({key for host in known[1:] for key in differing(known[0], host)})
    return known[0], mixed

"""In what machines, environments or groups of records differ, with the values: words for boards and comparisons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.gate_hosts import speed_keys
from harness.registry.digests import digest_json

Json = Mapping[str, Any]

MOST = 4
"""Differences that are told; more are counted, and the JSON has them all."""
_MOST_VALUES = 3
"""Values that are told of what is not shown."""
_AS_PLANNED = "as planned"
_PREFIXES = ("libraries.", "speed.")
_OF_HOSTS = ("system", "machine", "python", "cpu", "gpu", "host")
_DIGEST = re.compile(r"[0-9a-f]{32}")


def differences_in_words(differs: Sequence[str], hosts: Sequence[Json | None]) -> str:
    """Return `torch 2.9.1 in the base, 2.15.0 in the candidate; and 3 more`; torch, which decides most, comes first.

    Args:
        differs: Keys as `gate_hosts.differing` names them, and others, which are told as they are.
        hosts: The fingerprints of base and candidate.
    """
    return _listed(differs, *(speed_keys(host) for host in hosts))


def groups_in_words(names: Sequence[str], groups: Sequence[Json], *, is_pooled: bool = False) -> str:
    """Return `torch: 2.9.1 here, 2.15.0 there; cores: 2 here, 4 and 64 there; and 3 more`; torch comes first.

    Args:
        names: The entries in which groups are unlike.
        groups: The entries of each, those of the group that is shown first. What a recipe's entry lacks is as planned.
        is_pooled: All are shown, and none is here or there.
    """
    ordered = sorted(names, key=lambda key: key != "libraries.torch")
    told = [f"{_name(key)}: {_here_and_there(key, groups, is_pooled)}" for key in ordered[:MOST]]
    more = [f"and {len(ordered) - MOST} more"] if len(ordered) > MOST else []
    return "; ".join([*told, *more])


def entries_in_words(differs: Json) -> str:
    """Return one group's own entries, `torch 2.9.1, cores 2`; torch comes first.

    Args:
        differs: Its values of the entries in which groups are unlike; what a recipe's entry lacks is as planned.
    """
    ordered = sorted(differs, key=lambda key: key != "libraries.torch")
    values = {key: _entry(key, differs) for key in ordered}
    if set(values.values()) == {_AS_PLANNED}:
        return _AS_PLANNED
    return ", ".join(f"{_name(key)} {value}" for key, value in values.items())


def _here_and_there(key: str, groups: Sequence[Json], is_pooled: bool) -> str:
    here, *others = dict.fromkeys(_entry(key, group) for group in groups)
    there = [*others[:_MOST_VALUES]]
    if len(others) > _MOST_VALUES:
        there.append(f"{len(others) - _MOST_VALUES} more")
    return " and ".join([here, *there]) if is_pooled else f"{here} here, {' and '.join(there)} there"


def _entry(key: str, group: Json) -> str:
    if group.get(key) is None and not key.startswith(_PREFIXES) and key not in _OF_HOSTS:
        return _AS_PLANNED
    return _value(key, group.get(key))


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


def host_in_brief(host: Json) -> str:
    """Return `2 × NVIDIA H200, torch 2.15.0`, or `AMD EPYC (2 cores), torch 2.15.0` where there is no GPU."""
    accuracy, speed = _part(host, "accuracy"), _part(host, "speed")
    cards, gpus = speed.get("gpus"), accuracy.get("gpu")
    models = [str(card.get("model")) for card in _listed_in(cards) if isinstance(card, Mapping)]
    models = models or [*map(str, _listed_in(gpus))]
    counts = [(model, models.count(model)) for model in dict.fromkeys(models)]
    machine = " and ".join(model if count == 1 else f"{count} × {model}" for model, count in counts)
    if not machine:
        cores = speed.get("cores")
        machine = str(accuracy.get("cpu") or "a CPU") + ("" if cores is None else f" ({cores} cores)")
    version = _part(accuracy, "libraries").get("torch")
    return machine + (f", torch {version}" if version else "")


def _accuracy(host: Json | None) -> dict[str, Any]:
    part = _part(host, "accuracy")
    libraries = _part(part, "libraries")
    return {key: value for key, value in part.items() if key != "libraries"} | {
        f"libraries.{name}": version for name, version in libraries.items()
    }


def _part(value: Any, key: str) -> Json:
    """Return the table under a key; an empty one where there is none: a host's file may hold anything."""
    part = value.get(key) if isinstance(value, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _listed_in(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _name(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key.removesuffix("_bytes")


def _value(key: str, value: Any) -> str:
    if value is None or value == []:
        return "none"
    if key == "speed.memory_bytes":
        return f"{value} GiB"  # as `speed_keys` rounds it
    if isinstance(value, Mapping):
        return " ".join(
            f"{_name(name)} {_value(name, one)}" for name, one in value.items() if one is not None
        )
    if isinstance(value, list):
        return ", ".join(_value("", one) for one in value)
    return value[:12] if isinstance(value, str) and _DIGEST.fullmatch(value) else str(value)

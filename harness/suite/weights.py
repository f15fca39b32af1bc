"""Weights files that a suite names: what they say of themselves, and which roles they can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from harness.errors import PluginError
from harness.registry.digests import digest_file, digest_json
from harness.registry.messages import quote
from harness.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A safetensors file that an arm starts from or learns from.

    Attributes:
        path: Where it is.
        digest: Of its bytes.
        made: What the harness wrote into it: `{trial, backbone, shapes, classes, …}`; None for a file of others.
    """

    path: Path
    digest: str
    made: Mapping[str, Any] | None


def read_weights_file(path: Path) -> WeightsFile:
    """Return what is known of a weights file without loading its tensors.

    Raises:
        ValueError: Where it is not there or no safetensors file, with the words for the user.
    """
    from safetensors import SafetensorError, safe_open

    if "\0" in str(path) or not path.is_file():
        raise ValueError(f"there is no file {quote(str(path), 300)}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{quote(str(path), 300)} is no safetensors file ({error}); nothing else is read, for a pickle may run code"
        ) from error
    return WeightsFile(path, digest_file(path), made_by(metadata))


def made_by(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what the harness wrote into a weights file; None where it is not there, or not as it writes it.

    A file may come from anywhere, so each part is looked at before anything leans on it.
    """
    try:
        made = orjson.loads(metadata.get("harness", "null"))
    except orjson.JSONDecodeError:
        return None
    if not isinstance(made, dict):
        return None
    backbone, classes, shapes = made.get("backbone"), made.get("classes"), made.get("shapes")
    statistics = made.get("normalization", {"mean": [], "std": []})
    whole = (
        isinstance(backbone, dict)
        and isinstance(backbone.get("name"), str)
        and isinstance(backbone.get("params", {}), dict)
        and _are(classes, str)
        and isinstance(shapes, dict)
        and bool(shapes)
        and all(_are(shape, int) for shape in shapes.values())
        and isinstance(statistics, dict)
        and all(_are(statistics.get(key), int | float) for key in ("mean", "std"))
    )
    return made if whole else None


def _are(values: object, kind: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def check_file(role: str, file: WeightsFile, registry: Registry) -> None:
    """See whether a file can have a role.

    Raises:
        ValueError: With why it cannot.
    """
    if role == "init":
        return  # any tensors with the backbone's names do
    if file.made is None:
        raise ValueError(
            f"{quote(str(file.path), 300)} does not say what network it belongs to: it was not written by the harness; "
            f"as {role} it takes the weights of a trial (results/SUITE/weights)"
        )
    backbone = file.made["backbone"]
    try:
        registry.find("backbone", backbone["name"])
    except PluginError as error:
        raise ValueError(
            f"{quote(str(file.path), 300)} belongs to a backbone that is not here: {error}"
        ) from error
    _, bad = registry.validate(
        "backbone", {"name": backbone["name"], **backbone.get("params", {})}, "backbone"
    )
    if bad:
        raise ValueError(
            f"{quote(str(file.path), 300)} belongs to a backbone that cannot be built: {bad[0].path} {bad[0].message}"
        )


def identity_of(role: str, file: WeightsFile, registry: Registry) -> str:
    """Return what a file in a role puts into the trial id: its digest, and of a model that runs also its code's."""
    if role == "init" or file.made is None:
        return file.digest
    used = registry.describe("backbone", file.made["backbone"])
    return digest_json([file.digest, [[one["full_name"], one["source_digest"]] for one in used]])

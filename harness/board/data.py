"""What a plan says of the data: classes, test examples, the accuracy of guessing, the table of data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from harness.board.select import ArmTrials, number_at, value_at

Json = dict[str, Any]

PLACES = ("folder", "path", "file")
"""Parameters that say where a dataset reads: their last part is what people call the data."""


def _manifest(plan: Mapping[str, Any], arm: Json) -> Json:
    return (plan.get("manifests") or {}).get(arm.get("data")) or {}


def _classes(manifest: Json) -> int:
    classes = manifest.get("classes")
    return len(classes) if isinstance(classes, list) else int(classes or 0)


def test_count_of(plan: Mapping[str, Any], arm: Json) -> int:
    """Return how many test examples an arm has; 0 where the plan does not say."""
    return int(number_at(_manifest(plan, arm), "splits", "test", "count") or 0)


def has_other_test(plan: Mapping[str, Any], arm: Json, baseline: Json) -> bool:
    """Return whether two arms were judged on other test data; yes where they have other data and it tells no more."""
    if arm.get("data") == baseline.get("data"):
        return False
    own, other = (value_at(_manifest(plan, one), "splits", "test", "digest") for one in (arm, baseline))
    return own is None or own != other


def chance_of(plan: Mapping[str, Any], arm: Json, trials: ArmTrials) -> float:
    """Return the accuracy of guessing, in points: from the manifest, else from what a record says of it."""
    if classes := _classes(_manifest(plan, arm)):
        return 100.0 / classes
    told = (number_at(one.rest, "chance_top1") for one in trials.counted.values())
    return next((value for value in told if value is not None), 0.0)


def data_of(plan: Mapping[str, Any], arms: Mapping[str, Json]) -> list[Json]:
    """Return the data sets that arms use, in the order of the arms."""
    users: dict[str, list[Json]] = {}
    for arm in arms.values():
        if arm.get("data"):
            users.setdefault(str(arm["data"]), []).append(arm)
    manifests = plan.get("manifests") or {}
    found = [(digest, manifests.get(digest) or {}) for digest in users]
    return [
        {
            "hash": digest,
            "dataset": dataset_in_words(value_at(users[digest][0], "recipe", "dataset"))
            or manifest.get("dataset"),
            "classes": _classes(manifest),
            "licence": manifest.get("licence"),
            "train": value_at(manifest, "splits", "train", "count"),
            "validation": _held_out(manifest, users[digest]),
            "test": value_at(manifest, "splits", "test", "count"),
        }
        for digest, manifest in found
    ]


def _held_out(manifest: Json, arms: Sequence[Json]) -> int | None:
    """Return how many images of the training split its arms hold out, as the engine carves them: a share of each class.

    None where arms hold out unlike shares, and where some images are versions of others: of those one is held out, and
    the others are on neither side, which no manifest counts.
    """
    shares = {number_at(arm, "recipe", "dataset", "validation") or 0.0 for arm in arms}
    if len(shares) > 1:
        return None
    (share,) = shares
    split = value_at(manifest, "splits", "train") or {}
    counts = split.get("class_counts")
    if not share:
        return 0
    if not isinstance(counts, list) or "sources_digest" in split:
        return None
    return sum(round(share * int(count)) for count in counts)


def dataset_in_words(normal: Any) -> str:
    """Return a dataset as people say it: `subset of digits`; what only reads files is `neu_cls (parquet)`."""
    if not isinstance(normal, dict):
        return ""
    params = normal.get("params") or {}
    # A plan's keys are sorted: an augmentation that is applied ahead comes before the dataset `of` which it is.
    inner = next(
        (v for v in (params.get("of"), *params.values()) if isinstance(v, dict) and "name" in v), None
    )
    name = str(normal.get("name") or "")
    if inner:
        return f"{name} of {dataset_in_words(inner)}"
    place = next((value for key in PLACES if isinstance(value := params.get(key), str)), "")
    # The owner on the hub is a part of the name; the folders above a folder are this machine's.
    own = place if name == "hub" else PurePath(place).name
    return f"{own} ({name})" if own not in ("", name) else name

"""What `harness preview` wrote beside a suite's records, as far as it is of the plan that a board is built from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.registry.digests import digest_bytes, digest_json

Json = dict[str, Any]

SCHEMA = 1
FOLDER, FILE = "preview", "preview.json"
FEATURES = ("pixels", "brightness", "contrast", "edges", "saturation")
AGAIN = "`harness preview SUITE` makes it anew"
_KEPT = ("arm", "picture", "small", "digest", "measured")
_SHOWN = ("label", "placement", "progress", "distances")


def inputs_of(plan: Mapping[str, Any], arm: Mapping[str, Any]) -> str:
    """Return the hash of all that an arm's preview is made from: what may change without it does not make it stale."""
    recipe = arm["recipe"]
    kinds = ("dataset", "augmentation", "backbone")
    return str(
        digest_json(
            {
                "seed": plan["seed"],
                "data": arm["data"],
                "recipe": {
                    key: recipe.get(key)
                    for key in ("dataset", "augmentations", "backbone", "batch_size", "budget", "numerics")
                },
                "components": [
                    [one["full_name"], one["source_digest"]]
                    for one in arm["components"]
                    if one["kind"] in kinds
                ],
            }
        )
    )


def sealed(preview: Mapping[str, Any]) -> bytes:
    """Return a preview as the bytes of its file, with the hash that tells whether it still is what was written."""
    return (
        orjson.dumps(
            {**preview, "content_hash": digest_json(dict(preview))},
            option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2,
        )
        + b"\n"
    )


def read_preview(folder: Path) -> Json | None:
    """Return the preview in a suite's folder; `{"problem"}` where it is damaged, None where there is none."""
    path = folder / FOLDER / FILE
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as error:
        return {"problem": f"{FOLDER}/{FILE} cannot be read ({error})"}
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        return {"problem": f"{FOLDER}/{FILE} is not of schema {SCHEMA}"}
    body = {key: entry for key, entry in value.items() if key != "content_hash"}
    if digest_json(body) != value.get("content_hash"):
        return {"problem": f"{FOLDER}/{FILE} was changed since it was written"}
    return body


def read_pictures(folder: Path, board: Mapping[str, Any]) -> dict[str, bytes]:
    """Return, by digest, the pictures that a board's previews name and that are what was written."""
    found: dict[str, bytes] = {}
    for arm in board.get("previews", {}).get("arms", ()):
        try:
            data = (folder / FOLDER / arm["small"]).read_bytes()
        except OSError:
            continue
        if digest_bytes(data) == arm["digest"]:
            found[arm["digest"]] = data
    return found


def previews_of(plan: Mapping[str, Any], preview: Mapping[str, Any] | None) -> tuple[Json | None, list[str]]:
    """Return what a board shows of a preview, and what its reader has to be told of what is left out.

    An arm's preview is stale where the plan is another and what it was made from has changed.
    """
    if preview is None:
        return None, []
    if "problem" in preview:
        return None, [f"preview left out: {preview['problem']}; {AGAIN}"]
    arms = {str(arm["name"]): arm for arm in plan.get("arms", []) if not arm.get("failure")}
    shown, stale = [], []
    for told in preview["arms"]:
        arm = arms.get(told["arm"])
        same_plan = preview["plan"] == plan.get("hash")
        if arm is None or not (same_plan or inputs_of(plan, arm) == told["inputs"]):
            stale.append(str(told["arm"]))
        elif told["error"] is None:
            rows = [{key: row[key] for key in _SHOWN} for row in told["rows"]]
            shown.append({**{key: told[key] for key in _KEPT}, "rows": rows})
    notes = []
    if stale:
        whose = "" if not shown else f" of {', '.join(stale)}"
        notes.append(f"preview{whose} left out: it is of another plan; {AGAIN}")
    return ({"arms": shown} if shown else None), notes


def grouped(arms: list[Json]) -> list[tuple[list[str], Json]]:
    """Return the previews that differ, each with the arms that it is of: most arms of a suite have the same."""
    groups: dict[str, tuple[list[str], Json]] = {}
    for told in arms:
        names, _ = groups.setdefault(str(told["digest"]), ([], told))
        names.append(str(told["arm"]))
    return list(groups.values())

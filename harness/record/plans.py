"""Plans as they stand in a results folder: read, and believed only where they are what was written.

A plan fixes the level, the margins, the family and the trials before the first of them is run; so a plan that somebody
edited afterwards is no plan. Its hash is that of its own content with an empty `hash`, and it is the file's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.errors import StoreError
from harness.registry.digests import digest_json

Json = dict[str, Any]


def plan_hash(plan: Mapping[str, Any]) -> str:
    """Return the hash of a plan's content; what it says of its hash itself does not count."""
    return digest_json({**plan, "hash": ""})


def read_plan(path: Path) -> Json:
    """Return the plan in a file.

    Raises:
        StoreError: Where the file is absent or damaged, its content is not what its name says, or its trials name an
            arm that is none of its own.
    """
    try:
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path}: the plan cannot be read: {error.strerror}") from error
    except ValueError as error:  # no JSON, or a name that no file can have
        raise StoreError(
            f"{path}: the plan is damaged ({error}); run the suite again to write it anew"
        ) from error
    if not isinstance(value, dict) or value.get("hash") != path.stem:
        raise StoreError(f"{path}: the plan is damaged: its hash is not its name; run the suite again")
    if (found := plan_hash(value)) != path.stem:
        raise StoreError(
            f"{path}: the plan was edited or damaged after it was written: its content has the hash {found}; "
            "restore the file, or run the suite again to write it anew"
        )
    if reason := misfit_of(value):
        raise StoreError(f"{path}: the plan contradicts itself: {reason}; run the suite again")
    return value


def trial_ids(folder: Path) -> set[str]:
    """Return the ids of all trials of the intact plans in a folder."""
    found: set[str] = set()
    for path in folder.glob("*.json"):
        try:
            found.update(trial["id"] for trial in read_plan(path)["trials"])
        except StoreError:
            continue
    return found


def misfit_of(plan: Mapping[str, Any]) -> str | None:
    """Return what of a plan its readers would fall over: arms without a name, trials of no arm."""
    try:
        arms = {arm["name"] for arm in plan["arms"]}
        if strangers := {trial["arm"] for trial in plan["trials"]} - arms:
            return f'its trials name the arm "{min(strangers)}", which is none of its arms'
        if not all(isinstance(trial["id"], str) for trial in plan["trials"]):
            return "a trial's id is no text"
        if not all(type(trial["replicate"]) is int for trial in plan["trials"]):
            return "a trial's replicate is no whole number"
    except (KeyError, TypeError) as error:
        return f"its arms or trials are not as plans have them ({type(error).__name__}: {error})"
    return None

"""One trial trained once more, from its plan alone, into a folder that goes afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import DataError, HarnessError, PluginError
from harness.launch.launcher import run
from harness.launch.options import Options
from harness.launch.progress import Progress
from harness.record.record import measured_in
from harness.record.store import Store
from harness.registry.digests import digest_file
from harness.registry.discovery import discover
from harness.registry.registry import Registry
from harness.registry.source_digests import text_digest
from harness.suite.parents import with_parents
from harness.suite.plan import Arm, Plan, Trial
from harness.suite.prepare import default_cache, prepare

Json = dict[str, Any]


class CannotReproduce(HarnessError):
    """What a trial takes is not here."""


@dataclass(frozen=True, slots=True)
class Again:
    """A trial that was trained again.

    Attributes:
        record: Its new record.
        shared: By hash, what the record refers to.
        sources: Components whose source is not the one that the plan was made with, by full name.
    """

    record: Mapping[str, Any]
    shared: Mapping[str, Any]
    sources: list[str]


def train_again(
    plan: Plan,
    trial: Trial,
    folders: Sequence[Path],
    *,
    data: Path | None,
    device: str,
    progress: Progress,
    record_of: Callable[[str], Mapping[str, Any] | None],
) -> Again:
    """Train a trial, and before it those whose models it needs, and return its new record.

    Args:
        plan: The plan that it is of; the suite file is not needed.
        trial: The trial.
        folders: Where the suite's plugin and weights files may be, by the names that the suite gives them.
        data: The data root.
        device: "cpu", "cuda" or "cuda:1".
        progress: What shows it.
        record_of: Returns the record of a trial, where there is one: a budget in seconds comes to as many steps as in
            the record.

    Raises:
        CannotReproduce: A plugin or weights file is not there or is another, a budget in seconds has no record of its
            steps, or the run left no record.
        DataError: The data is not what the plan's manifest says.
    """
    names = set(with_parents([trial.arm], {arm.name: arm.recipe for arm in plan.arms}))
    arms = tuple(arm for arm in plan.arms if arm.name in names)
    plugins = {one["path"]: _find(one["path"], one["digest"], folders) for one in plan.plugins}
    weights = {
        parent["file"]: _find(parent["file"], parent["digest"], folders, is_text=False)
        for arm in arms
        for parent in (arm.recipe.get("parents") or {}).values()
        if "file" in parent
    }
    registry = discover(list(plugins.values()), allow=os.environ.get("HARNESS_PLUGINS"))
    prepared = {arm.data or "": _prepared(arm, registry, plan, data) for arm in arms}
    wanted = {(name, trial.replicate) for name in names}
    trials = tuple(one for one in plan.trials if (one.arm, one.replicate) in wanted)
    measured = {
        one.id: _steps_of(one, record_of(one.id))
        for one in trials
        if plan.arm(one.arm).recipe["budget"]["unit"] == "seconds"
    }
    small = replace(
        plan,
        arms=arms,
        trials=trials,
        timing={**plan.timing, "rounds": 0},
        baseline=trial.arm,
    ).hashed()
    options = Options(
        jobs=1,
        device=device,
        data_root=data,
        plugins=tuple(plugins.values()),
        weights=weights,
        measured=measured,
    )
    with tempfile.TemporaryDirectory(prefix="harness-reproduce-") as folder:
        store = Store(Path(folder) / plan.suite)
        with store.lock("harness reproduce"):
            store.write_plan(small.to_json())
            run(small, store, data=prepared, options=options, progress=progress)
        reading = store.read(small.to_json())
    if (record := reading.good().get(trial.id)) is None:
        raise CannotReproduce(f"{trial.id}: the trial did not come to an end; its messages stand above")
    return Again(record, reading.shared, _other_sources(arms, registry))


def _steps_of(trial: Trial, record: Mapping[str, Any] | None) -> Json:
    if told := measured_in(record):
        return told
    raise CannotReproduce(
        f'{trial.id}: arm "{trial.arm}" has a budget in seconds, and no record says how many steps this trial took: '
        "measured anew they would be others"
    )


def _prepared(arm: Arm, registry: Registry, plan: Plan, data: Path | None) -> Path:
    prepared = prepare(arm.recipe["dataset"], registry, data, default_cache(), mode=plan.loader["mode"])
    if prepared.manifest["hash"] != arm.data:
        raise DataError(
            f'arm "{arm.name}": the data here has the manifest {prepared.manifest["hash"]}, the plan\'s {arm.data}: '
            "the files, or the code that prepares them, are others"
        )
    return prepared.folder


def _find(name: str, digest: str, folders: Sequence[Path], *, is_text: bool = True) -> Path:
    """Return the file that a suite names, by its digest."""
    other = None
    for folder in folders:
        path = folder / name
        if path.is_file():
            if (text_digest(path.read_bytes()) if is_text else digest_file(path)) == digest:
                return path.resolve()
            other = path
    where = f"{other} is another by its digest" if other else f"it is not in {', '.join(map(str, folders))}"
    raise CannotReproduce(
        f'"{name}", which the suite names, is needed: {where}; give the suite\'s file with --suite'
    )


def _other_sources(arms: Sequence[Arm], registry: Registry) -> list[str]:
    """Return the components whose source is another now."""
    found = set()
    for arm in arms:
        for one in arm.components:
            try:
                now = registry.describe(one["kind"], {"name": one["name"], "params": {}})[0]
            except (PluginError, KeyError, TypeError, ValueError):
                continue
            if now["source_digest"] != one["source_digest"]:
                found.add(str(one["full_name"]))
    return sorted(found)

"""How much a run will write: `harness plan` says it, and `harness run` asks for as much room before it begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.board.select import amount_at
from harness.cli.forecast import is_alike, shape_of
from harness.record.limits import usable_cores
from harness.suite.grid import RECORD_BYTES
from harness.suite.parents import parent_arms
from harness.suite.plan import Plan

TIMING_BYTES = 4_000
UNKNOWN_WEIGHTS_BYTES = 16_000_000
"""Weights of a model of which nothing is known."""
PARAMETER_BYTES = 4
CHECKPOINT_COPIES = 4
"""Times the weights that a checkpoint holds at the most: the model, two moments of an optimizer and an average."""


def parameter_counts(plan: Plan, records: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return, by arm, how many parameters its model has, as far as the plan's records tell.

    An arm without a record has as many as one with its backbone, image shape and number of classes.
    """
    found: dict[str, int] = {}
    for trial in plan.trials:
        count = amount_at(records.get(trial.id) or {}, "parameters")
        if count is not None:
            found[trial.arm] = max(found.get(trial.arm, 0), int(count))
    known = [(arm, found[arm.name]) for arm in plan.arms if arm.name in found]
    for arm in plan.arms:
        if arm.name not in found and arm.failure is None:
            data = plan.manifests[arm.data or ""]
            alike = [
                count
                for other, count in known
                if is_alike(arm, shape_of(data), other.recipe, shape_of(plan.manifests[other.data or ""]))
                and len(plan.manifests[other.data or ""]["classes"]) == len(data["classes"])
            ]
            found |= {arm.name: max(alike)} if alike else {}
    return found


@dataclass(frozen=True, slots=True)
class Searched:
    """A search that is run before the plan, as far as it is known.

    Attributes:
        plan: Its plan; an arm's trials are arms of it, `<arm>.t<number>`.
        records: By trial of it, those that count.
        later: How many trials come after those of the plan.
    """

    plan: Plan
    records: Mapping[str, Mapping[str, Any]]
    later: int


def disk_bytes(
    plan: Plan,
    records: Mapping[str, Mapping[str, Any]],
    rounds: Mapping[str, int],
    jobs: int,
    parameters: Mapping[str, int],
    search: Searched | None = None,
) -> int:
    """Return roughly what a run will write: records, timings, weights that others need, and the open checkpoints.

    Args:
        plan: The plan.
        records: By trial, those that count.
        rounds: By arm, the timings that are left.
        jobs: Trials at a time; 0 takes the cores.
        parameters: By arm, as far as they are known; another's weights are taken for 16 MB, its checkpoint too.
        search: What is tried before the plan is run.
    """
    kept, open_bytes = _trials_bytes(plan, records, jobs, parameters)
    kept += sum(rounds.values()) * TIMING_BYTES
    if search is not None:
        own = parameter_counts(search.plan, search.records)
        named = {arm.name: parameters.get(arm.name.rpartition(".t")[0]) for arm in search.plan.arms}
        known = {name: count for name, count in named.items() if count is not None} | own
        # One after the other: the checkpoints of the search are gone before the plan's are written.
        before, open_before = _trials_bytes(search.plan, search.records, jobs, known)
        kept, open_bytes = kept + before + search.later * RECORD_BYTES, max(open_bytes, open_before)
    return kept + open_bytes


def _trials_bytes(
    plan: Plan, records: Mapping[str, Mapping[str, Any]], jobs: int, parameters: Mapping[str, int]
) -> tuple[int, int]:
    """Return what stays of a plan's missing trials, and what their open checkpoints take beside it."""
    missing = Counter(trial.arm for trial in plan.trials if trial.id not in records)
    needed = {name for arm in plan.arms for name in parent_arms(arm.recipe).values()}
    kept = sum(count * _weights(parameters.get(arm)) for arm, count in missing.items() if arm in needed)
    open_at_once = min(missing.total(), jobs or usable_cores())
    largest = max((_checkpoint(parameters.get(arm)) for arm in missing), default=0)
    return missing.total() * RECORD_BYTES + kept, open_at_once * largest


def _weights(parameters: int | None) -> int:
    return UNKNOWN_WEIGHTS_BYTES if parameters is None else parameters * PARAMETER_BYTES


def _checkpoint(parameters: int | None) -> int:
    return UNKNOWN_WEIGHTS_BYTES if parameters is None else CHECKPOINT_COPIES * _weights(parameters)

"""What a record holds, and the hash that tells whether it still does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from harness.record.shape import misshapen
from harness.registry.digests import digest_bytes, digest_json

SCHEMA = 1
"""Number of the records' format; a reader sets aside what has another."""

FINAL = frozenset({"completed", "diverged", "oom", "timeout", "crashed", "failed"})
"""How a trial may end for good."""

AGAIN = frozenset({"preempted", "lost"})
"""How a trial ends by the machine's fault: it is run again with the same seed."""

_STATUSES = FINAL | AGAIN

_OUTCOME = (
    "status",
    "mode",
    "culprit",
    "digests",
    "initial_parameters",
    "results",
    "curves",
    "budget",
    "seconds",
    "loader",
    "data_wait_share",
    "time_to_target",
    "memory",
    "leak",
    "parameters",
    "pipeline",
    "observables",
    "changes",
    "resumed_from_step",
    "chance_top1",
)
_TIMING = (
    "status",
    "culprit",
    "images_per_second",
    "compute_images_per_second",
    "evaluation_images_per_second",
    "step_seconds",
    "tries",
    "window_seconds",
    "warmup_steps",
    "steady_steps",
    "noisy",
    "loader",
    "data_wait_share",
    "input_bound",
    "augmentations",
    "latency_seconds",
    "energy",
    "peak_memory_bytes",
    "seconds",
)


def culprit(error: str, traceback: str = "", *, step: int | None = None) -> dict[str, Any]:
    """Return the culprit of a trial in which no plugin could be named."""
    return {"plugin": None, "slot": None, "step": step, "error": error, "traceback": traceback}


def together_mode(
    together: int, reason: str | None = None, *, ratio: float | None = None, difference: float | None = None
) -> dict[str, Any]:
    """Return how a trial of a suite that asks for replicates at once was trained, as its record's `mode`.

    Args:
        together: Replicates that were trained at once; 1 for one by one.
        reason: Why one by one; None where they were at once.
        ratio: Serial time over the time at once, as the probe measured it.
        difference: Largest relative difference of a loss between the two, in the probe.
    """
    return {
        "together": together,
        "probe_ratio": ratio,
        "probe_loss_difference": difference,
        "reason": reason,
    }


def told_parents(parents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a record says of the models that its trial needed; nothing where it needed none.

    Args:
        parents: As in the job, by role.
    """
    keys = ("arm", "trial", "file", "digest", "training_flops", "train_seconds")
    told = {role: {key: one[key] for key in keys if key in one} for role, one in parents.items()}
    return {"parents": told} if told else {}


def measured_in(record: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a record says that a trial measured of its own step, for a budget in seconds; empty where nothing.

    Returns:
        `{asked, step_seconds, total_steps, measured_steps, measuring_seconds}`; the first and the third are numbers.
    """
    budget = (record or {}).get("budget")
    told = budget.get("seconds") if isinstance(budget, Mapping) else None
    if not isinstance(told, Mapping) or not told.get("total_steps"):
        return {}
    return dict(told) if type(told["total_steps"]) is int and type(told.get("asked")) in (int, float) else {}


def dead_outcome(status: str, cause: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the outcome of a trial that could not tell its own: every key there, null where unknown."""
    return {**dict.fromkeys(_OUTCOME), "status": status, "culprit": cause and dict(cause), "changes": []}


def dead_timing(status: str, cause: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the timing of a process that could not tell its own: every key there, null where unknown."""
    return {**dict.fromkeys(_TIMING), "status": status, "culprit": cause and dict(cause)}


def trial_record(
    outcome: Mapping[str, Any],
    *,
    heading: Mapping[str, Any],
    refs: Mapping[str, str | None],
    started_at: str,
    finished_at: str,
) -> dict[str, Any]:
    """Return a trial's record, sealed.

    Args:
        outcome: What `engine.run_trial` returned, or `dead_outcome`.
        heading: `protocol, suite, plan, trial, arm, replicate, attempt, place`.
        refs: Hashes of what is shared, by name; they stand for `initial_parameters` and `pipeline` too.
        started_at: UTC, ISO 8601.
        finished_at: UTC, ISO 8601.
    """
    told = {key: value for key, value in outcome.items() if key not in ("initial_parameters", "pipeline")}
    times = {"started_at": started_at, "finished_at": finished_at}
    return seal({"schema": SCHEMA, **heading, **times, **told, "refs": dict(refs)})


def timing_record(
    timing: Mapping[str, Any],
    *,
    heading: Mapping[str, Any],
    refs: Mapping[str, str | None],
    started_at: str,
    finished_at: str,
) -> dict[str, Any]:
    """Return a timing's record, sealed; `heading` holds `protocol, suite, plan, arm, round`."""
    times = {"started_at": started_at, "finished_at": finished_at}
    return seal({"schema": SCHEMA, **heading, **times, **timing, "refs": dict(refs)})


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record as JSON would give it back (NaN is null), with its `content_hash`."""
    plain = orjson.loads(canonical({key: value for key, value in record.items() if key != "content_hash"}))
    return {**plain, "content_hash": digest_json(plain)}


def canonical(value: object) -> bytes:
    """Return the one way of writing `value` as JSON: sorted keys, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def ended_order(record: Mapping[str, Any]) -> tuple[str, int, str]:
    """Return what puts the attempts at one trial in the order in which they ended.

    Of several attempts that ended for good the first stands. On one machine this is the order of their numbers; where
    `harness merge` has joined the records of several, only the time can tell.
    """
    ended, number = record.get("finished_at"), record.get("attempt")
    return str(ended or ""), int(number or 0), str(record.get("content_hash"))


def names_of(record: Mapping[str, Any], slot: object) -> tuple[str, str]:
    """Return the names under which a record may stand in its folder.

    Args:
        record: The record.
        slot: Its attempt, or `<round>-<arm>` of a timing. Where `harness merge` finds that taken by another record,
            the content hash makes a name of its own.
    """
    return f"{slot}.json", f"{slot}.{record.get('content_hash')}.json"


def open_sealed(data: bytes) -> dict[str, Any]:
    """Return the record in a file's bytes.

    Raises:
        ValueError: With what is wrong, where it is no record of this schema, not as it was sealed, misshapen, or
            of no known status.
    """
    if not data:
        raise ValueError("empty")
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"no JSON (truncated?): {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("content_hash"), str):
        raise ValueError("no record: it has no content hash")
    if not _as_sealed(data, record):
        raise ValueError("changed since it was written: its content hash does not match")
    if type(record.get("schema")) is not int or record["schema"] != SCHEMA:  # true is equal to 1
        raise ValueError(f"schema {record.get('schema')}, this harness reads {SCHEMA}")
    if not isinstance(record.get("refs"), dict) or not isinstance(record.get("status"), str):
        raise ValueError("no record: it has no status or no refs")
    if record["status"] not in _STATUSES:
        raise ValueError(f"status is {record['status']!r}, expected one of {', '.join(sorted(_STATUSES))}")
    if reason := misshapen(record):
        raise ValueError(reason)
    return record


def is_sealed(data: bytes, claimed: str) -> bool:
    """Return whether bytes are as they were sealed under a hash: it is that of the bytes without itself.

    Taking the hash out spares writing the JSON anew: half the time over 10,000 records.
    """
    return digest_bytes(data.replace(b'"content_hash":"%b",' % claimed.encode(), b"", 1)) == claimed


def _as_sealed(data: bytes, record: dict[str, Any]) -> bool:
    claimed: str = record["content_hash"]
    if is_sealed(data, claimed):
        return True
    again: str = digest_json({key: value for key, value in record.items() if key != "content_hash"})
    return again == claimed
